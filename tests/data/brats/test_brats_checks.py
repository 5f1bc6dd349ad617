"""The checks of BraTS cases, each on its two sides, on files as they lie on a disk."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fedmed.data.audit.case_facts import case_facts
from fedmed.data.audit.case_findings import case_findings
from fedmed.data.audit.finding import Finding
from fedmed.data.brats.brats_checks import LEAST_BACKGROUND, MOST_HEAD_ML, skull_stripped
from fedmed.data.brats.brats_rules import brats_rules
from tests.data.audit import written_cases
from tests.data.audit.written_cases import MODALITIES, SHAPE, Stored, brain, one, only, save, scans, tumour

NAMED = brats_rules("brats2018")


def found(folder: Path, images: Mapping[str, Stored], label: Stored | None = None) -> list[Finding]:
    return written_cases.found(folder, images, label, NAMED)


def test_a_sound_case_has_no_findings(tmp_path: Path) -> None:
    assert found(tmp_path, scans(), tumour()) == []
    assert found(tmp_path, scans()) == []


# Background


def background(folder: Path, zeros: float, ml: float = 1000) -> list[Finding]:
    """Of a volume of tissue of ``ml`` with a share of zeros."""
    values = np.random.default_rng(0).integers(100, 1000, 1000).astype(np.int16)
    values[: round(1000 * zeros)] = 0
    edge = (1000 * ml / (1000 - round(1000 * zeros))) ** (1 / 3)
    return one(folder, (values.reshape(10, 10, 10), np.diag([edge, edge, edge, 1])), checks=(skull_stripped,))


def test_a_volume_with_few_zeros_is_not_skull_stripped(tmp_path: Path) -> None:
    assert background(tmp_path, LEAST_BACKGROUND + 0.01) == []
    findings = background(tmp_path, LEAST_BACKGROUND - 0.01)
    only(findings, "warning", "background", str(tmp_path / "t1 ä.nii.gz"), "9%", "strip the skull")


def test_a_volume_with_more_than_a_brain_is_not_skull_stripped(tmp_path: Path) -> None:
    assert background(tmp_path, 0.8, MOST_HEAD_ML - 10) == []
    findings = background(tmp_path, 0.8, MOST_HEAD_ML + 10)
    only(findings, "warning", "background", str(tmp_path / "t1 ä.nii.gz"), f"{MOST_HEAD_ML + 10} ml", "strip the skull")


def test_a_background_of_nan_is_told_once(tmp_path: Path) -> None:
    values = np.where(brain() == 0, np.nan, brain())
    affine = np.diag([15.0, 15, 15, 1])  # 1.1 litres of tissue in 4.5 litres
    only(one(tmp_path, (values, affine), checks=(skull_stripped,)), "error", "finite")


def test_skulls_are_looked_for_only_where_the_task_says_so(tmp_path: Path) -> None:
    assert one(tmp_path, (brain()[2:-2, 2:-2, 2:-2], np.diag([2.0, 2, 2, 1]))) == []


def test_masks_that_are_unlike_are_a_warning(tmp_path: Path) -> None:
    """Of 336 voxels of tissue one modality lacks 48 or 16: 14 or 5 percent."""
    lacking, nearly = brain(2), brain(2)
    lacking[2, :, :] = lacking[3, 2:4, 2:5] = 0
    nearly[2, 2:4, :] = 0
    assert found(tmp_path, {**scans(), "t2": nearly}, tumour()) == []
    only(found(tmp_path, {**scans(), "t2": lacking}, tumour()), "warning", "masks", "case 7", "14%", "co-registered")


# The tumour


def test_an_empty_tumour_is_a_warning(tmp_path: Path) -> None:
    findings = found(tmp_path, scans(), np.zeros(SHAPE, np.uint8))
    only(findings, "warning", "empty tumour", str(tmp_path / "seg ä.nii.gz"), "look whether")


@pytest.mark.parametrize(
    ("outside", "level"), [(0, None), (1, None), (2, "warning"), (50, "warning"), (51, "error"), (100, "error")]
)
def test_a_tumour_outside_the_brain_is_a_warning_or_an_error(tmp_path: Path, outside: int, level: str | None) -> None:
    """Of 100 voxels of tumour."""
    label = np.zeros(SHAPE, np.uint8)
    inside, around = np.flatnonzero(brain()), np.flatnonzero(brain() == 0)
    label.flat[inside[: 100 - outside]] = label.flat[around[:outside]] = 1
    findings = found(tmp_path, scans(), label)
    assert len(findings) == (level is not None)
    if level:
        only(findings, level, "tumour outside", str(tmp_path / "seg ä.nii.gz"), f"{outside}% of", "look whether")


def test_a_flipped_label_is_found_though_its_header_says_nothing(tmp_path: Path) -> None:
    """A brain on one side of the volume, and its tumour on the other."""
    images = {modality: brain(seed) for seed, modality in enumerate(MODALITIES)}
    for voxels in images.values():
        voxels[6:] = 0
    label = np.zeros(SHAPE, np.uint8)
    label[3:5, 4:8, 4:6] = 1
    assert found(tmp_path, images, label) == []
    only(found(tmp_path, images, np.flip(label, 0)), "error", "tumour outside", "100%", "another case or flipped")


# Files in another's place


def named(folder: Path, *parts: str) -> list[Finding]:
    """A case whose files end in ``parts``: those of the modalities in their order, and the label's."""
    images = dict(zip(MODALITIES, (folder / f"case 7{part}.nii.gz" for part in parts), strict=False))
    for seed, path in enumerate(images.values()):
        save(path, brain(seed))
    label = save(folder / f"case 7{parts[-1]}.nii.gz", tumour())
    return list(case_findings("case 7", images, label, case_facts(images, label), NAMED))


@pytest.mark.parametrize(
    "parts",
    [
        ("_t1ce", "_t1", "_t2", "_flair", "_seg"),
        ("-t1c", "-t1n", "-t2w", "-t2f", "-seg"),
        ("_0000", "_0001", "_0002", "_0003", ""),
        ("_flairy", "t1ce", "-t1", "_t2f", "_mask"),
    ],
)
def test_names_of_brats_in_their_places_and_all_other_names_are_accepted(tmp_path: Path, parts: tuple[str]) -> None:
    assert named(tmp_path, *parts) == []


@pytest.mark.parametrize(
    ("parts", "file", "place", "told"),
    [
        (("_0", "_t1", "_t2", "_t1ce", "_seg"), "case 7_t1ce.nii.gz", "flair", "t1ce"),
        (("-t2f", "_1", "_2", "_3", "-seg"), "case 7-t2f.nii.gz", "t1ce", "flair"),
        (("_0", "_seg", "_2", "_3", ""), "case 7_seg.nii.gz", "t1", "label"),
        (("_0", "_1", "_2", "_3", "_flair"), "case 7_flair.nii.gz", "label", "flair"),
    ],
)
def test_a_file_whose_name_tells_another_modality_is_an_error(
    tmp_path: Path, parts: tuple[str], file: str, place: str, told: str
) -> None:
    findings = named(tmp_path, *parts)
    only(findings, "error", "modality", str(tmp_path / file), f"listed as {place}", f"says {told};", "correct the list")
