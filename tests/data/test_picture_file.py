"""Files of 2D pictures as people hand them in are decoded by what they hold; others are one sentence with a remedy."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from fedmed.core.errors import InputError
from fedmed.data.picture_file import read_picture
from fedmed.data.picture_pixels import picture_pixels

GREY = np.random.default_rng(0).integers(0, 256, (30, 20), dtype=np.uint8)


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


def test_a_picture_is_decoded_in_its_own_mode(tmp_path: Path) -> None:
    np.testing.assert_array_equal(np.asarray(read_picture(saved(tmp_path / "ä b.PNG", Image.fromarray(GREY)))), GREY)
    assert read_picture(saved(tmp_path / "c.jpg", Image.new("CMYK", (20, 30)))).mode == "CMYK"
    deep = Image.fromarray(GREY.astype(np.uint16) * 200)
    assert read_picture(saved(tmp_path / "d.png", deep)).mode == "I;16"


@pytest.mark.parametrize(
    ("name", "mode", "size"),
    [
        ("CT_small.dcm", "L", (128, 128)),
        ("MR_small_RLE.dcm", "L", (64, 64)),
        ("MR_small_bigendian.dcm", "L", (64, 64)),
        ("JPEG2000.dcm", "L", (256, 1024)),
        ("SC_rgb_jpeg_dcmtk.dcm", "RGB", (100, 100)),
        ("examples_palette.dcm", "RGB", (800, 350)),
    ],
)
def test_dicom_files_of_the_field_are_read(name: str, mode: str, size: tuple[int, int]) -> None:
    path = Path(str(get_testdata_file(name, download=False)))
    found = read_picture(path)
    assert (found.mode, found.size) == (mode, size)
    assert picture_pixels(path, 3).shape == (3, *size[::-1])
    assert np.ptp(np.asarray(found)) > 100


def test_dicom_is_known_by_its_first_word_or_by_its_ending(tmp_path: Path) -> None:
    whole = pydicom.dcmread(str(get_testdata_file("MR_small_implicit.dcm", download=False)))
    content = BytesIO()
    whole.save_as(content)
    (tmp_path / "IM0001").write_bytes(content.getvalue())
    (tmp_path / "old.IMA").write_bytes(content.getvalue()[132:])
    assert read_picture(tmp_path / "IM0001") == read_picture(tmp_path / "old.IMA")


def test_what_is_no_whole_picture_is_refused_in_a_sentence(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.jpg", Image.fromarray(GREY))
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
    several = [Image.fromarray(GREY), Image.fromarray(GREY + 1)]
    assert "2 pages" in refusal(saved(tmp_path / "m.png", several[0], save_all=True, append_images=several[1:]))
    assert "no DICOM" in refusal(saved(tmp_path / "d.dcm", Image.fromarray(GREY), format="png"))
