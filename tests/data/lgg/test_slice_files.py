"""Slices by their numbers, and masks that are read back as they were."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmed.data.lgg.slice_files import in_order, is_slice, mask_content, mask_path


def test_numbers_in_names_are_ordered_by_their_value() -> None:
    names = ["p_1.tif", "p_2.tif", "p_10.tif", "q.tif", "q1a.tif", "q1b.tif"]
    assert [path.name for path in in_order([Path(name) for name in reversed(names)])] == names


def test_masks_are_told_by_their_names() -> None:
    assert [is_slice(Path(name)) for name in ("a.tif", "a.PNG", "a_mask.tif", "a.jpg", "mask.tiff")] == [
        *(True, True, False, False, True)
    ]
    assert mask_path(Path("in/a.b.TIF"), Path("out")) == Path("out/a.b_mask.TIF")


@pytest.mark.parametrize(("ending", "format"), [(".tif", "TIFF"), (".TIFF", "TIFF"), (".png", "PNG")])
def test_a_masks_file_holds_0_and_255_in_grey(ending: str, format: str) -> None:
    mask = np.random.default_rng(0).random((20, 30)) > 0.5
    picture = Image.open(io.BytesIO(mask_content(mask, Path(f"a_mask{ending}"))))
    assert (picture.format, picture.mode) == (format, "L")
    np.testing.assert_array_equal(np.asarray(picture), 255 * mask)
