"""Cases written to a disk, with the findings on them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from fedmed.data.audit.case_facts import case_facts
from fedmed.data.audit.case_findings import Rules, case_findings
from fedmed.data.audit.finding import Finding

SHAPE = (12, 11, 10)
MODALITIES = ("t1ce", "t1", "t2", "flair")
SEGMENTED = Rules(MODALITIES, labels=(0, 1, 2, 4), scheme="brats2018")
RAS = np.diag([1.0, 1.0, 2.0, 1.0])
Stored = np.ndarray | tuple[np.ndarray, np.ndarray]
"""Voxels, or voxels and an affine."""


def brain(seed: int = 0) -> np.ndarray:
    """Tissue in a margin of zeros."""
    inner = np.random.default_rng(seed).integers(100, 1000, (8, 7, 6))
    return np.pad(inner, 2).astype(np.float32)


def scans() -> dict[str, Stored]:
    return {modality: brain(seed) for seed, modality in enumerate(MODALITIES)}


def tumour() -> np.ndarray:
    label = np.zeros(SHAPE, np.uint8)
    label[4:8, 4:8, 4:6] = 2
    label[5:7, 5:7, 4:6] = 1
    label[5, 5, 5] = 4
    return label


def save(path: Path, stored: Stored) -> Path:
    voxels, affine = stored if isinstance(stored, tuple) else (stored, RAS)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def found(
    folder: Path, images: Mapping[str, Stored], label: Stored | None = None, rules: Rules = SEGMENTED
) -> list[Finding]:
    """Writes a case and looks at it; the files are named after the modalities."""
    paths = {modality: save(folder / f"{modality} ä.nii.gz", stored) for modality, stored in images.items()}
    segmentation = None if label is None else save(folder / "seg ä.nii.gz", label)
    return list(case_findings("case 7", paths, segmentation, case_facts(paths, segmentation), rules))


def one(folder: Path, image: Stored, **rules: Any) -> list[Finding]:
    """The same of a case of one image."""
    return found(folder, {"t1": image}, rules=Rules(("t1",), **rules))


def only(findings: list[Finding], level: str, check: str, *said: str) -> str:
    (finding,) = findings
    assert (finding.level, finding.check) == (level, check), finding
    assert finding.sentence.endswith(".")
    for part in said:
        assert part in finding.sentence
    return finding.sentence
