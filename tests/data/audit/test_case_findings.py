"""Every check on its two sides, on files as they lie on a disk; a finding names the file and the remedy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmed.data.audit.case_facts import case_facts
from fedmed.data.audit.case_findings import FAR_BRIGHTER, Rules, case_findings, target_findings
from fedmed.data.audit.finding import Finding
from fedmed.data.targets import Target
from tests.data.audit.written_cases import (
    MODALITIES,
    RAS,
    SEGMENTED,
    SHAPE,
    brain,
    found,
    one,
    only,
    save,
    scans,
    tumour,
)


def test_a_sound_case_has_no_findings(tmp_path: Path) -> None:
    assert found(tmp_path, scans(), tumour()) == []
    assert found(tmp_path, scans()) == []


# Dimensions and values


def test_a_4d_volume_is_an_error_and_the_only_one(tmp_path: Path) -> None:
    path = str(tmp_path / "t1ce ä.nii.gz")
    images = {**scans(), "t1ce": np.stack([brain(), brain(1)], -1)}
    only(found(tmp_path, images, tumour()), "error", "dimensions", path, "4 dimensions", "one file a modality")


def test_a_4d_label_is_an_error_and_the_only_one(tmp_path: Path) -> None:
    label = np.stack([tumour(), tumour()], -1)
    only(found(tmp_path, scans(), label), "error", "dimensions", str(tmp_path / "seg ä.nii.gz"), "one file a modality")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_an_error(tmp_path: Path, value: float) -> None:
    image = brain()
    image[5, 5, 4:7] = value
    findings = found(tmp_path, {**scans(), "t2": image}, tumour())
    only(findings, "error", "finite", str(tmp_path / "t2 ä.nii.gz"), "3 voxels", "set them to 0 or export again")


@pytest.mark.parametrize(("value", "count"), [(3e38, 0), (1e39, 1), (-1e300, 1)])
def test_voxels_too_large_for_float32_are_infinite_in_training(tmp_path: Path, value: float, count: int) -> None:
    image = brain().astype(np.float64)
    image[5, 5, 5] = value
    findings = [finding for finding in one(tmp_path, image) if finding.level == "error"]
    assert len(findings) == count
    if count:
        only(findings, "error", "finite", str(tmp_path / "t1 ä.nii.gz"), "1 voxel that is")


@pytest.mark.parametrize(("factor", "count"), [(FAR_BRIGHTER * 0.99, 0), (FAR_BRIGHTER * 1.01, 1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_voxel_far_brighter_than_all_others_is_a_warning(
    tmp_path: Path, factor: float, count: int, sign: int
) -> None:
    image = np.where(brain() > 0, 100 + brain() / 10000, 0).astype(np.float32)
    image[5, 5, 5] = sign * factor * np.percentile(image[image > 0], 99)
    findings = one(tmp_path, image)
    assert len(findings) == count
    if count:
        only(findings, "warning", "far brighter", str(tmp_path / "t1 ä.nii.gz"), "look whether single voxels")


def test_a_volume_of_nan_alone_is_not_called_0(tmp_path: Path) -> None:
    findings = one(tmp_path, np.full(SHAPE, np.nan, np.float32))
    assert "finite" in [finding.check for finding in findings]
    assert not any("is 0 everywhere" in finding.sentence for finding in findings)


@pytest.mark.parametrize("value", [0, 7, -1.5])
def test_a_constant_volume_is_an_error(tmp_path: Path, value: float) -> None:
    findings = one(tmp_path, np.full(SHAPE, value, np.float32))
    only(findings, "error", "constant", str(tmp_path / "t1 ä.nii.gz"), f"{value:g} everywhere", "export it again")


def test_an_empty_modality_is_one_error(tmp_path: Path) -> None:
    findings = found(tmp_path, {**scans(), "flair": np.zeros(SHAPE, np.int16)}, tumour())
    only(findings, "error", "constant", str(tmp_path / "flair ä.nii.gz"))


@pytest.mark.parametrize(("spread", "count"), [(0, 1), (0.5, 1), (2, 0)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_volume_that_is_nearly_constant_is_a_warning(tmp_path: Path, spread: float, count: int, sign: int) -> None:
    """A thousandth of the mean's size is the limit: here a standard deviation of 1."""
    inner = np.where(np.arange(8 * 7 * 6) % 2, 1000 + spread, 1000 - spread).reshape(8, 7, 6)
    findings = one(tmp_path, np.pad(sign * inner, 2).astype(np.float32))
    assert len(findings) == count
    if count:
        only(findings, "warning", "constant", str(tmp_path / "t1 ä.nii.gz"), "nearly constant", "look whether")


def test_a_normalised_volume_is_not_constant(tmp_path: Path) -> None:
    """Its mean is 0: the spread is large against it, and the sign does not matter."""
    values = np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32)
    assert one(tmp_path, values) == []


# Grids


def rotated(degrees: float) -> np.ndarray:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[cosine, -sine, 0, 0], [sine, cosine, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return np.asarray(turn @ RAS)


@pytest.mark.parametrize(
    ("affine", "said"),
    [
        (rotated(3), "affines differ (by up to 0.0523)"),
        (np.diag([-1.0, -1, 2, 1]), "orientation LPS against RAS"),
        (np.diag([1.0, 1.0, 2.5, 1.0]), "spacing in mm 1 x 1 x 2.5 against 1 x 1 x 2"),
    ],
)
def test_one_modality_that_lies_otherwise_is_an_error(tmp_path: Path, affine: np.ndarray, said: str) -> None:
    findings = found(tmp_path, {**scans(), "t2": (brain(2), affine)}, tumour())
    names = [str(tmp_path / f"{modality} ä.nii.gz") for modality in ("t2", "t1ce")]
    only(findings, "error", "grid", *names, said, "resampled to one grid")


def test_another_shape_is_an_error_with_both(tmp_path: Path) -> None:
    findings = found(tmp_path, {**scans(), "t2": np.pad(brain(2), ((0, 0), (0, 0), (0, 1)))})
    names = [str(tmp_path / f"{modality} ä.nii.gz") for modality in ("t2", "t1ce")]
    only(findings, "error", "grid", *names, "(12, 11, 11)", "(12, 11, 10)", "resampled to one grid")


@pytest.mark.parametrize(("shift_mm", "count"), [(0.0, 0), (0.002, 0), (0.009, 0), (0.02, 1), (1.0, 1)])
def test_a_label_may_lie_a_rounding_error_away(tmp_path: Path, shift_mm: float, count: int) -> None:
    affine = RAS.copy()
    affine[0, 3] = shift_mm
    findings = found(tmp_path, scans(), (tumour(), affine))
    assert len(findings) == count
    if count:
        only(findings, "error", "grid", str(tmp_path / "seg ä.nii.gz"), "resampled to one grid")


def test_images_may_not_lie_so_far_away(tmp_path: Path) -> None:
    affine = RAS.copy()
    affine[0, 3] = 0.002
    only(found(tmp_path, {**scans(), "t1": (brain(1), affine)}, tumour()), "error", "grid")


def test_images_a_rounding_error_apart_need_no_resampling(tmp_path: Path) -> None:
    affine = RAS.copy()
    affine[0, 3] = 0.002
    sentence = only(found(tmp_path, {**scans(), "t1": (brain(1), affine)}), "error", "grid", "copy the header of one")
    assert "resampled" not in sentence


@pytest.mark.parametrize(("spacing", "count"), [(1.0005, 0), (1.005, 1)])
def test_a_label_of_another_spacing_is_an_error_though_its_affine_is_near(
    tmp_path: Path, spacing: float, count: int
) -> None:
    """Half a hundredth of a mm a voxel is millimetres at the end of a row."""
    findings = found(tmp_path, scans(), (tumour(), np.diag([spacing, 1, 2, 1])))
    assert len(findings) == count
    if count:
        only(findings, "error", "grid", str(tmp_path / "seg ä.nii.gz"), "resampled to one grid")


@pytest.mark.parametrize(("spacing", "count"), [(1.01, 0), (0.99, 1), (0.001, 1)])
def test_a_volume_under_a_centimetre_is_an_error(tmp_path: Path, spacing: float, count: int) -> None:
    """Of ten voxels along its last axis."""
    findings = one(tmp_path, (brain(), np.diag([1, 1, spacing, 1])))
    assert len(findings) == count
    if count:
        only(findings, "error", "extent", str(tmp_path / "t1 ä.nii.gz"), "12 x 11 x", "correct the spacing")


def test_a_label_whose_header_is_flipped_is_an_error(tmp_path: Path) -> None:
    findings = found(tmp_path, scans(), (tumour(), np.diag([-1.0, 1, 2, 1])))
    only(findings, "error", "grid", str(tmp_path / "seg ä.nii.gz"), "orientation LAS against RAS")


# Labels


@pytest.mark.parametrize(("values", "shown"), [((3,), "3"), ((-1,), "-1"), ((0.5,), "0.5"), ((5, 7), "5, 7")])
def test_a_label_value_of_another_scheme_is_an_error(tmp_path: Path, values: tuple[float, ...], shown: str) -> None:
    label = tumour().astype(np.float32)
    label[5, 5, : len(values)] = values
    said = (str(tmp_path / "seg ä.nii.gz"), f"values {shown}, which brats2018", "0, 1, 2, 4", "right label_scheme")
    only(found(tmp_path, scans(), label), "error", "label values", *said)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_label_that_is_no_number_is_told_as_such(tmp_path: Path, value: float) -> None:
    label = tumour().astype(np.float32)
    label[5, 5, :2] = value
    said = (str(tmp_path / "seg ä.nii.gz"), "2 voxels that are NaN or infinite", "export it again")
    assert "label_scheme" not in only(found(tmp_path, scans(), label), "error", "label values", *said)


def test_labels_0_to_3_where_another_scheme_is_stated_are_an_error(tmp_path: Path) -> None:
    label = np.where(tumour() == 4, 3, tumour()).astype(np.uint8)
    only(found(tmp_path, scans(), label), "error", "label values", "values 3, which")
    newer = Rules(MODALITIES, labels=(0, 1, 2, 3), scheme="brats2023")
    assert found(tmp_path, scans(), label, newer) == []


def test_a_label_need_not_hold_every_value_nor_be_of_integers(tmp_path: Path) -> None:
    assert found(tmp_path, scans(), np.where(tumour() == 2, 4.0, 0.0)) == []


def test_an_image_in_a_labels_place_is_an_error_of_bounded_length(tmp_path: Path) -> None:
    sentence = only(found(tmp_path, scans(), brain()), "error", "label values", ", ...")
    assert len(sentence) < 300 + len(str(tmp_path))


# The same image twice


def test_one_image_for_two_modalities_is_a_warning(tmp_path: Path) -> None:
    findings = found(tmp_path, {**scans(), "flair": brain(1)}, tumour())
    only(findings, "warning", "duplicate", "case 7", "t1 and flair", "put the right file")


def test_one_image_for_all_modalities_is_an_error(tmp_path: Path) -> None:
    findings = found(tmp_path, dict.fromkeys(MODALITIES, brain()), tumour())
    only(findings, "error", "duplicate", "case 7", "t1ce, t1, t2, flair are all the same image", "correct its list")


def test_two_empty_modalities_are_not_called_the_same(tmp_path: Path) -> None:
    empty = np.zeros(SHAPE, np.int16)
    findings = found(tmp_path, {**scans(), "t1": empty, "t2": empty}, tumour())
    assert [finding.check for finding in findings] == ["constant", "constant"]


# Pictures

PICTURES = Rules(("photo",), dimensions=2, labels=(0, 255), scheme="masks")


def picture(path: Path, *shape: int) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(1, 256, shape, dtype=np.uint8)).save(path)
    return path


def pictured(image: Path, label: Path | None = None, rules: Rules = PICTURES) -> list[Finding]:
    return list(case_findings("case 7", {"photo": image}, label, case_facts({"photo": image}, label), rules))


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
def test_a_sound_picture_without_a_label_has_no_findings(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert pictured(picture(tmp_path / "a.png", *shape), rules=Rules(("photo",), dimensions=2)) == []


def test_pictures_have_no_grid_to_differ_in(tmp_path: Path) -> None:
    images = {"one": picture(tmp_path / "a.png", 20, 30), "other": picture(tmp_path / "b.png", 25, 30)}
    assert list(case_findings("c", images, None, case_facts(images, None), Rules(tuple(images), dimensions=2))) == []


@pytest.mark.parametrize("value", [255, 7])
def test_the_mask_of_a_picture_is_looked_at(tmp_path: Path, value: int) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:9] = value
    Image.fromarray(mask).save(tmp_path / "mask.png")
    findings = pictured(picture(tmp_path / "a.png", 20, 30, 3), tmp_path / "mask.png")
    if value == 255:
        assert findings == []
    else:
        only(findings, "error", "label values", str(tmp_path / "mask.png"), "values 7, which masks")


def test_a_constant_picture_is_an_error(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (9, 9, 9)).save(tmp_path / "a.png")
    only(pictured(tmp_path / "a.png"), "error", "constant", str(tmp_path / "a.png"), "9 everywhere")


def test_a_volume_in_a_pictures_place_is_an_error(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", brain())
    only(pictured(path), "error", "dimensions", str(path), "3 dimensions", "expected a 2D image")


def test_a_picture_in_a_volumes_place_is_an_error(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png", 20, 30, 3)
    findings = pictured(path, rules=Rules(("photo",)))
    only(findings, "error", "dimensions", str(path), "2 dimensions", "expected a 3D volume")


@pytest.mark.parametrize("target", ["tumour", 1, (0, 1)])
def test_a_class_in_a_segmentations_place_is_an_error(target: Target) -> None:
    only(
        list(target_findings("case 7", target, SEGMENTED)),
        "error",
        "target",
        "case 7",
        "expected a segmentation's file",
    )


def test_a_mask_of_another_size_than_its_picture_is_an_error(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 31), 255, np.uint8)).save(tmp_path / "mask.png")
    findings = pictured(picture(tmp_path / "a.png", 20, 30, 3), tmp_path / "mask.png")
    only(findings, "error", "grid", str(tmp_path / "mask.png"), "(20, 31) pixels", "(20, 30)")


def test_an_empty_segmentation_is_named_by_its_foreground(tmp_path: Path) -> None:
    rules = Rules(MODALITIES, labels=(0, 1, 2), foreground="hippocampus")
    findings = found(tmp_path, scans(), np.zeros(SHAPE, np.uint8), rules)
    only(findings, "warning", "empty hippocampus", "holds no hippocampus at all")


CLASSES = Rules(("photo",), dimensions=2, classes=("normal", "glioma", "meningioma"))


@pytest.mark.parametrize("target", ["normal", "meningioma", 0, 2, ("glioma",)])
def test_a_known_class_has_no_finding(target: Target) -> None:
    assert list(target_findings("c", target, CLASSES)) == []


@pytest.mark.parametrize(
    ("target", "several", "said"),
    [
        ("pituitary", False, "the class 'pituitary' is not known"),
        (3, False, "the class 3 is not known"),
        (-1, False, "the class -1 is not known"),
        ((0, 1), False, "the target is 0, 1; expected one class"),
        ((), False, "the target is no class; expected one class"),
        (("normal", 7), True, "the class 7 is not known"),
        (("glioma", 1), True, "states a class twice"),
        (Path("seg.png"), False, "the target is the file seg.png"),
    ],
)
def test_a_target_that_is_none_of_the_tasks_classes_is_an_error(target: Target, several: bool, said: str) -> None:
    only(list(target_findings("case 7", target, replace(CLASSES, several=several))), "error", "target", "case 7", said)
