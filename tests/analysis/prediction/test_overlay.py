"""What the picture shows is the right way round, in the right place and at its true proportions."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from fedmed.analysis.prediction.overlay import box_around, overlay
from fedmed.analysis.prediction.patient_files import files_by_name
from fedmed.analysis.prediction.prediction_report import Prediction
from fedmed.data.brats.brats_layout import label_scheme
from fedmed.data.image_file import ImageFile, read_image
from fedmed.data.volumes import canonical
from tests.analysis.prediction.patients import OBLIQUE

Patient = Callable[..., tuple[Path, np.ndarray]]


def prediction(folder: Path, labels: np.ndarray) -> Prediction:
    files = files_by_name([folder])
    return Prediction(
        files, "run $a_b$ \udcff", Path("w.pt"), "00", False, label_scheme(None), read_image(files.reference),
        np.zeros((3, *labels.shape), np.float32), labels.astype(np.uint8), (),
    )  # fmt: skip


def test_an_oblique_volume_keeps_its_spacing_by_axis() -> None:
    volume, spacing = canonical(ImageFile(np.zeros((4, 5, 6)), 3, OBLIQUE))
    edges = np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    assert volume.shape == (5, 4, 6)
    assert spacing == pytest.approx((edges[1], edges[0], edges[2]))


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
