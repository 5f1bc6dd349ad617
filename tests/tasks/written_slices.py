"""Slices of heads with a tumour that is bright in FLAIR, in the layout of Kaggle's set, small enough for tests."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

EDGE = 64
DATE = "19960909"


def write_patient(folder: Path, patient: str, slices: int, tumour: int = 2, seed: int = 0) -> list[dict[str, Any]]:
    """Write a patient's slices and masks; their entries for a list, with paths relative to ``folder``.

    Args:
        patient: such as TCGA_CS_0001.
        slices: their number.
        tumour: the number of slices in the middle that show the tumour.
        seed: of the noise and the tumour's place.
    """
    generator = np.random.default_rng(seed)
    scan = f"{patient}_{DATE}"
    (folder / scan).mkdir(parents=True)
    rows, columns = np.mgrid[:EDGE, :EDGE]
    head = np.hypot(rows - 31, columns - 31) < 26
    lesion = np.hypot(rows - generator.integers(22, 40), columns - generator.integers(22, 40)) < 8
    first = (slices - tumour) // 2
    entries = []
    for number in range(slices):
        mask = lesion & (first <= number < first + tumour)
        pixels = np.stack([90.0 * head, 90.0 * head + 110 * mask, 110.0 * head], axis=-1)
        pixels = np.where(head[..., None], pixels + generator.normal(0, 8, pixels.shape), 0)
        name = f"{scan}/{scan}_{number + 1}"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.tif")
        Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(folder / f"{name}_mask.tif")
        facts = {"patient": patient, "institution": patient.split("_")[1]}
        entries.append({"image": f"{name}.tif", "label": f"{name}_mask.tif", **facts})
    return entries


def write_sites(folder: Path, sites: Mapping[str, Mapping[str, list[int]]]) -> None:
    """Write patients and the lists ``datalist/<site>.json``.

    Args:
        folder: of the set.
        sites: by site and split the number of slices of each of its patients.
    """
    (folder / "datalist").mkdir(parents=True)
    seed = 0
    for code, (site, splits) in zip(("CS", "DU", "FG"), sites.items(), strict=False):
        document: dict[str, list[dict[str, Any]]] = {}
        for split, patients in splits.items():
            for slices in patients:
                seed += 1
                document.setdefault(split, []).extend(
                    write_patient(folder, f"TCGA_{code}_{seed:04d}", slices, tumour=max(1, slices // 2), seed=seed)
                )
        (folder / "datalist" / f"{site}.json").write_text(json.dumps(document))
