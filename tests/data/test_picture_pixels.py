"""Pixels of pictures: grey and colour from 0 to 1, whatever the mode and the depth of the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmed.core.errors import InputError
from fedmed.data.picture_pixels import Channels, picture_pixels

RAMP = np.tile(np.arange(0, 240, 12, dtype=np.uint8), (16, 1))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_grey_ramp_is_the_same_in_every_mode(tmp_path: Path, mode: str, channels: Channels) -> None:
    path = tmp_path / "ramp.tif"
    Image.fromarray(RAMP).convert(mode).save(path)
    found = picture_pixels(path, channels)
    assert found.shape == (channels, 16, 20)
    assert found.dtype == np.float32
    assert np.allclose(found, RAMP / 255, atol=0.01)


def test_colours_stay_in_their_channels(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (17, 16), (255, 0, 51)).save(path)
    assert np.allclose(picture_pixels(path, 3)[:, 0, 0], (1, 0, 0.2))
    assert np.allclose(picture_pixels(path, 1), 0.299 + 0.114 * 0.2, atol=0.01)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deeper_pictures_reach_from_their_darkest_to_their_brightest_pixel(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "deep.tif"
    Image.fromarray(RAMP.astype(dtype) * 100 + 1000).save(path)
    found = picture_pixels(path, 1)
    assert np.allclose(found[0], RAMP / RAMP.max(), atol=0.5 / 255)


def test_a_black_deep_picture_is_black(tmp_path: Path) -> None:
    path = tmp_path / "black.png"
    Image.fromarray(np.zeros((16, 16), dtype=np.uint16)).save(path)
    assert not picture_pixels(path, 3).any()


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    text, missing = tmp_path / "text.jpg", tmp_path / "missing.jpg"
    text.write_text("no picture")
    for path in (text, missing):
        with pytest.raises(InputError, match=rf"{path.name} (cannot be read|does not exist|is not there)"):
            picture_pixels(path, 1)
