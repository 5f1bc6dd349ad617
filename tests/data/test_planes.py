"""Slices are the right way round, whatever way a volume is stored."""

import numpy as np
import pytest

from fedmed.data.brats.case_picture import canonical
from fedmed.data.image_file import ImageFile
from fedmed.data.planes import PLANES, largest_slice, seen


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


def test_the_slice_is_the_one_with_most_tumour_or_the_middle() -> None:
    labels = np.zeros((9, 9, 9), np.float32)
    assert largest_slice(labels, 1) == 4
    labels[7, 1:4, 6], labels[2, 1:3, 6] = 4, 1
    assert [largest_slice(labels, axis) for axis in range(3)] == [7, 1, 6]
