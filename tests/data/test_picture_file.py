"""2D images as people hand them in are seen as 8-bit grey or RGB; anything else is one sentence with a remedy."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmed.core.errors import InputError
from fedmed.data.picture_file import read_picture

GREY = np.random.default_rng(0).integers(0, 256, (30, 20), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (30, 20, 3), dtype=np.uint8)


def saved(path: Path, image: Image.Image, **how: object) -> Path:
    image.save(path, **how)  # type: ignore[arg-type]
    return path


def refusal(path: Path) -> str:
    """What reading says: one sentence that begins with the file's name."""
    with pytest.raises(InputError) as caught:
        read_picture(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert said.endswith(".")
    assert "\n" not in said
    return said


def test_grey_and_colour_are_read_as_they_are(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "ä b.PNG", Image.fromarray(GREY))), GREY)
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "c.png", Image.fromarray(COLOUR))), COLOUR)
    jpeg = read_picture(saved(tmp_path / "g.jpg", Image.fromarray(GREY), quality=95))
    assert (jpeg.shape, jpeg.dtype) == (GREY.shape, np.uint8)


def test_other_modes_become_grey_or_rgb(tmp_path: Path) -> None:
    cmyk = read_picture(saved(tmp_path / "c.jpg", Image.new("CMYK", (20, 30), (0, 255, 255, 0))))
    assert cmyk.shape == (30, 20, 3)
    assert (cmyk[15, 10] == (255, 0, 0)).all() or np.abs(cmyk[15, 10].astype(int) - (254, 0, 0)).max() < 4
    palette = Image.fromarray(COLOUR).quantize(256)
    read = read_picture(saved(tmp_path / "p.png", palette))
    np.testing.assert_array_equal(read, np.asarray(palette.convert("RGB")))
    clear = Image.fromarray(np.dstack([COLOUR, np.full((30, 20), 7, np.uint8)]))
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "a.png", clear)), COLOUR)
    bits = read_picture(saved(tmp_path / "b.png", Image.fromarray(GREY > 99)))
    np.testing.assert_array_equal(bits, np.where(GREY > 99, 255, 0))


def test_grey_in_16_bits_is_stretched_over_its_own_range(tmp_path: Path) -> None:
    ramp = np.linspace(500, 4500, 600).reshape(30, 20).astype(np.uint16)
    read = read_picture(saved(tmp_path / "a.png", Image.fromarray(ramp)))
    np.testing.assert_allclose(read, 255 * (ramp - 500.0) / 4000, atol=0.5)
    flat = read_picture(saved(tmp_path / "b.tif", Image.fromarray(np.full((30, 20), 7.0, np.float32))))
    assert not flat.any()
    holes = np.where(GREY > 9, np.nan, 1).astype(np.float32)
    assert "NaN" in refusal(saved(tmp_path / "c.tif", Image.fromarray(holes)))


def test_what_is_no_whole_image_is_refused_in_a_sentence(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.jpg", Image.fromarray(COLOUR))
    cut, empty, text = (tmp_path / name for name in ("cut.jpg", "empty.png", "text.jpg"))
    cut.write_bytes(whole.read_bytes()[:-300])
    empty.touch()
    text.write_text("no image, whatever the name says")
    assert "truncated" in refusal(cut)
    assert "0 bytes" in refusal(empty)
    assert "of another format" in refusal(text)
    assert "cannot be read" in refusal(tmp_path / "gone.jpg")
    assert "cannot be read" in refusal(tmp_path)
    (tmp_path / "a.nii.gz").write_bytes(b"no matter")
    assert "no 2D image" in refusal(tmp_path / "a.nii.gz")
    assert "1 x 30 pixels" in refusal(saved(tmp_path / "thin.png", Image.fromarray(GREY[:, :1])))
    several = [Image.fromarray(GREY), Image.fromarray(GREY + 1)]
    assert "2 pages" in refusal(saved(tmp_path / "m.png", several[0], save_all=True, append_images=several[1:]))
    assert "no DICOM" in refusal(saved(tmp_path / "d.dcm", Image.fromarray(GREY), format="png"))
