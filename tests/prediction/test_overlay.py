"""What the picture shows is the right way round, in the right place and at its true proportions."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from fedmed.data.brats import label_scheme
from fedmed.data.case_picture import canonical, seen
from fedmed.data.image_file import ImageFile, read_image
from fedmed.prediction.overlay import PLANES, box_around, largest_slice, overlay
from fedmed.prediction.patient_files import told_files
from fedmed.prediction.report import Prediction
from tests.prediction.patients import OBLIQUE

Patient = Callable[..., tuple[Path, np.ndarray]]


def prediction(folder: Path, labels: np.ndarray) -> Prediction:
    files = told_files([folder])
    return Prediction(
        files, "run $a_b$ \udcff", Path("w.pt"), "00", False, label_scheme(None), read_image(files.reference),
        np.zeros((3, *labels.shape), np.float32), labels.astype(np.uint8), (),
    )  # fmt: skip


@pytest.mark.parametrize("affine", [np.diag([-1.0, -1, 1, 1]), np.eye(4), np.diag([1.0, 1, -1, 1])])
def test_each_planes_letters_are_true(affine: np.ndarray) -> None:
    """A volume whose values grow to the right, the front and the top, however it is stored."""
    at = np.moveaxis(np.indices((8, 7, 6)), 0, -1) @ affine[:3, :3].T
    for direction, (high, low) in enumerate((("R", "L"), ("A", "P"), ("S", "I"))):
        volume, _ = canonical(ImageFile(at[..., direction], 3, affine))
        for plane in PLANES:
            slice_ = seen(volume, plane.axis, 2)
            for one, other, rise in (
                (plane.right, plane.left, slice_[0, -1] - slice_[0, 0]),
                (plane.top, plane.bottom, slice_[0, 0] - slice_[-1, 0]),
            ):
                if {one, other} == {high, low}:
                    assert (rise > 0) == (one == high)
                else:
                    assert rise == 0


def test_an_oblique_volume_keeps_its_spacing_by_axis() -> None:
    volume, spacing = canonical(ImageFile(np.zeros((4, 5, 6)), 3, OBLIQUE))
    edges = np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    assert volume.shape == (5, 4, 6)
    assert spacing == pytest.approx((edges[1], edges[0], edges[2]))


def test_the_slice_is_the_one_with_most_tumour_or_the_middle() -> None:
    labels = np.zeros((9, 9, 9), np.float32)
    assert largest_slice(labels, 1) == 4
    labels[7, 1:4, 6], labels[2, 1:3, 6] = 4, 1
    assert [largest_slice(labels, axis) for axis in range(3)] == [7, 1, 6]


def test_the_box_holds_all_and_a_margin_within_the_volume() -> None:
    mask = np.zeros((200, 50, 100), bool)
    mask[50:150, 0:50, 10] = True
    assert box_around(mask) == (slice(44, 156), slice(0, 53), slice(10, 11))


def test_tumour_is_painted_and_a_healthy_brain_is_not(patient: Patient) -> None:
    folder, tumour = patient(np.diag([-1.0, -1, 2, 1]), (40, 40, 20))
    coloured = []
    for labels in (4 * tumour, 0 * tumour):
        picture = imread(BytesIO(overlay(prediction(folder, labels))))[..., :3]
        body = picture[int(0.1 * len(picture)) : int(0.92 * len(picture))]
        coloured.append(((body.max(-1) - body.min(-1)) > 0.2).mean())
    assert coloured[0] > 0.01
    assert coloured[1] == 0


def test_a_volume_of_one_thick_slice_and_other_formats_are_drawn(patient: Patient) -> None:
    folder, tumour = patient(np.diag([1.0, 1, 12, 1]), (40, 40, 1))
    assert overlay(prediction(folder, tumour), "svg").startswith(b"<?xml")
