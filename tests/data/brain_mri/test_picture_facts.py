"""The facts of image files: what is measured of good ones, and a sentence on each that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from fedmed.core.errors import InputError
from fedmed.data.audit.measured_files import measured_files
from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.brain_mri.picture_facts import picture_facts
from tests.data.brain_mri.written_heads import picture


def written(path: Path, image: PillowImage.Image, **how: object) -> Path:
    image.save(path, **how)  # type: ignore[arg-type]
    return path


def test_facts_of_a_picture(tmp_path: Path) -> None:
    path = written(tmp_path / "ä b.jpg", picture(0).resize((120, 80)).convert("RGB"))
    found = picture_facts(path)
    assert (found.width, found.height, found.mode, found.format) == (120, 80, "RGB", "JPEG")
    assert len(found.sha256) == 64
    assert found.perceptual is not None
    assert found.fingerprint is not None


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_colour_mode_is_read_and_seen_as_the_same_picture(tmp_path: Path, mode: str) -> None:
    grey = picture(3)
    deep = np.asarray(grey, dtype=np.uint16) * 200
    image = PillowImage.fromarray(deep) if mode == "I;16" else grey.convert(mode)
    found = picture_facts(written(tmp_path / "x.tiff", image))
    assert found.mode == mode
    one, other = ((each.perceptual or (0,))[0] for each in (found, picture_facts(written(tmp_path / "y.png", grey))))
    assert (one ^ other).bit_count() <= (24 if mode == "1" else 2)  # of black and white alone less is left


def test_files_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path) -> None:
    good = written(tmp_path / "good.jpg", picture(1))
    bad = {
        "empty.jpg": b"",
        "truncated.jpg": good.read_bytes()[:900],
        "text.jpg": b"not an image at all\n",
        "dicom.png": bytes(128) + b"DICM" + bytes(200),
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    written(tmp_path / "thin.png", picture(1).resize((1, 200)))
    frames = [picture(each) for each in (1, 2)]
    written(tmp_path / "animated.png", frames[0], save_all=True, append_images=frames[1:])
    words = {
        "empty.jpg": "0 bytes", "truncated.jpg": "truncated", "text.jpg": "of another format",
        "dicom.png": "is a DICOM file", "thin.png": "has 1 x 200 pixels; expected at least 32",
        "animated.png": "holds 2 pages", "missing.png": "cannot be used (No such file",
    }  # fmt: skip
    for name, expected in words.items():
        with pytest.raises(InputError) as caught:
            picture_facts(tmp_path / name)
        assert expected in str(caught.value)
        assert name in str(caught.value)
    files = ["good.jpg", *words]
    images = [BrainImage(place, tmp_path / file, file, "glioma") for place, file in enumerate(files)]
    measured = measured_files(images, lambda image: picture_facts(image.path))
    assert [*measured.facts] == ["good.jpg"]
    assert [*measured.unreadable] == [*words]


def test_a_picture_of_one_value_is_no_copy_of_another(tmp_path: Path) -> None:
    assert picture_facts(written(tmp_path / "black.png", PillowImage.new("L", (64, 64)))).perceptual is None
