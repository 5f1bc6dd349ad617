"""The slices in a patient's folder in their order, and the files of masks that are written of them."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

SLICE_ENDINGS = (".tif", ".tiff", ".png")
"""The endings, in lower case, of slices that are pictures."""

MASK = "_mask"
"""The end of a mask's name, before its ending; the rest is that of its slice."""


def is_slice(path: Path) -> bool:
    """True for a picture that is no mask by its name."""
    return path.suffix.lower() in SLICE_ENDINGS and not path.stem.endswith(MASK)


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Paths by their names, numbers in these by their value: slice 2 comes before slice 10."""
    return sorted(paths, key=lambda path: (_parts(path.stem), path.name))


def slices_in(folder: Path) -> list[Path]:
    """The slices that lie in a folder, in their order; hidden files are passed over."""
    return in_order([path for path in folder.iterdir() if path.is_file() and is_slice(path) and path.name[0] != "."])


def mask_path(image: Path, folder: Path) -> Path:
    """The mask of a slice in a folder, ``<slice>_mask`` with the slice's own ending."""
    return folder / f"{image.stem}{MASK}{image.suffix}"


def mask_content(mask: NDArray[np.bool_], path: Path) -> bytes:
    """A grey picture of a mask (H, W), 255 inside and 0 elsewhere, in the format of a path's ending."""
    content = io.BytesIO()
    picture = PillowImage.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
    if path.suffix.lower() == ".png":
        picture.save(content, format="PNG")
    else:
        picture.save(content, format="TIFF", compression="tiff_adobe_deflate")
    return content.getvalue()


def _parts(name: str) -> list[tuple[str, int]]:
    """A name as pairs of a text and the number behind it, -1 where there is none."""
    return [(text, int(digits or -1)) for text, digits in re.findall(r"(\D*)([0-9]*)", name)]
