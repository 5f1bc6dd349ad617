"""Volumes and centres of boxes that can be worked out by hand."""

import numpy as np
import pytest

from fedmed.analysis.prediction.measures import measured
from fedmed.data.brats.brats_layout import label_scheme


@pytest.mark.parametrize(("name", "enhancing"), [("brats2018", 4), ("brats2023", 3)])
def test_boxes_of_known_volume_and_place(name: str, enhancing: int) -> None:
    """Voxels of 2 x 0.5 x 3 mm are 0.003 ml; the first axis runs to the left."""
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[0:2, 0:5, 0:5] = 2
    labels[4:6, 2:4, 2:4] = 1
    labels[5, 2:4, 2:4] = enhancing
    affine = np.diag([-2.0, 0.5, 3.0, 1])
    affine[:3, 3] = (9, -20, 7)
    found = measured(labels, affine, label_scheme(name))
    assert {region: each.voxels for region, each in found.items()} == {
        "TC": 8, "WT": 58, "ET": 4, "necrosis": 4, "oedema": 50, "enhancing": 4,
    }  # fmt: skip
    for each in found.values():
        assert each.ml == pytest.approx(0.003 * each.voxels)
    assert found["ET"].centre_mm == pytest.approx((9 - 2 * 5, -20 + 0.5 * 2.5, 7 + 3 * 2.5), abs=0.006)
    assert found["oedema"].centre_mm == pytest.approx((9 - 2 * 0.5, -20 + 0.5 * 2, 7 + 3 * 2))


def test_a_sheared_voxel_has_the_volume_of_its_determinant() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.5
    assert measured(np.full((10, 10, 10), 2, np.uint8), affine, label_scheme(None))["WT"].ml == pytest.approx(1)


def test_what_is_empty_has_no_centre() -> None:
    for each in measured(np.zeros((4, 4, 4), np.uint8), np.eye(4), label_scheme(None)).values():
        assert each == (0, 0, None)
