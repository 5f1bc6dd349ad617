"""Small pictures with something to see in them, and sets of them in the layouts of hospitals."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from scipy.ndimage import gaussian_filter

PLACE = {"city": "Aachen", "country": "Germany", "latitude": 50.8, "longitude": 6.1}


def picture(number: int, edge: int = 96) -> PillowImage.Image:
    """A grey picture of blobs; another number gives another one."""
    noise = np.random.default_rng(number).standard_normal((edge, edge))
    smooth = gaussian_filter(noise, edge / 12)
    low, high = smooth.min(), smooth.max()
    return PillowImage.fromarray(np.rint(255 * (smooth - low) / (high - low)).astype(np.uint8))


def write_pictures(folder: Path, first: int, number: int) -> None:
    """Pictures ``first``, ``first + 1`` ... as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in range(first, first + number):
        picture(each).save(folder / f"{each}.png")


def hospital(name: str, folder: str, class_map: Mapping[str, str], **other: Any) -> dict[str, Any]:
    """An entry of hospitals.json."""
    return {
        "name": name, "folder": folder, "class_map": dict(class_map), "location": PLACE, "fictional": True, **other,
    }  # fmt: skip


def write_hospitals(tree: Path, *entries: Mapping[str, Any]) -> Path:
    """The set's own hospitals.json."""
    tree.mkdir(parents=True, exist_ok=True)
    path = tree / "hospitals.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def write_two_hospitals(tree: Path, each: int = 10) -> None:
    """North with four classes and South with one, ``each`` pictures a class, none a copy of another."""
    north = {"glioma": "glioma", "brain_menin": "meningioma", "none": "no_tumor", "pituitary tumor": "pituitary"}
    write_hospitals(
        tree, hospital("North", "north", north), hospital("South", "south/mr", {"no tumour": "no_tumor"})
    )  # fmt: skip
    for place, folder in enumerate(north):
        write_pictures(tree / "north" / folder, 100 * place, each)
    write_pictures(tree / "south" / "mr" / "no tumour", 1000, each)
