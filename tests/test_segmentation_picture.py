"""What is painted where: radiologists' orientation, and the regions' colours."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from fedmed.segmentation_picture import PLANES, _middle, _seen, segmentation_picture

SIZE = (20, 24, 16)  # right, front, up


def volume(x: int, y: int, z: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[x, y, z] = True
    return mask


@pytest.mark.parametrize(
    ("plane", "row", "column"),
    [
        (PLANES[0], 24 - 1 - 20, 20 - 1 - 18),
        (PLANES[1], 16 - 1 - 13, 20 - 1 - 18),
        (PLANES[2], 16 - 1 - 13, 24 - 1 - 20),
    ],
)
def test_right_front_and_up_lie_where_the_letters_say(plane, row: int, column: int) -> None:  # type: ignore[no-untyped-def]
    """A voxel far to the right, front and top is at the left of axial and coronal slices, and at every top."""
    seen = _seen(volume(18, 20, 13), plane, (18, 20, 13)[plane.axis])
    assert np.argwhere(seen).tolist() == [[row, column]]
    assert row < seen.shape[0] / 2
    assert (plane.left, plane.top) in (("R", "A"), ("R", "S"), ("A", "S"))


def test_slices_go_through_the_largest_part_of_the_tumour() -> None:
    tumour = np.zeros(SIZE, bool)
    tumour[4:8, 10:14, 3:6] = True
    tumour[2:12, 12, 4] = True
    assert _middle(tumour)[1:] == (12, 4)
    assert _middle(np.zeros(SIZE, bool)) == (10, 12, 8)


def test_a_picture_shows_truth_and_prediction_in_colour() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=SIZE).astype(np.float32)
    regions = np.zeros((3, *SIZE), bool)
    regions[1, 5:15, 5:15, 4:12] = True
    regions[0, 7:12, 7:12, 6:10] = True
    picture = np.asarray(
        Image.open(BytesIO(segmentation_picture(image, regions, np.zeros_like(regions)))).convert("RGB")
    )
    colourful = np.ptp(picture.astype(int), axis=2) > 60
    half = picture.shape[0] // 2
    legend = picture.shape[0] // 10
    assert colourful[legend:half].sum() > 1000
    assert colourful[half:].sum() < 50
