"""Making a transform that loads files says nothing on the screen, whatever libraries are there for other files."""

import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmed.data.prepared.file_loader import file_loader


@pytest.mark.parametrize("reader", ["NibabelReader", "PILReader"])
def test_no_reader_warns_of_what_it_lacks(
    reader: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings(record=True, action="always") as caught, caplog.at_level(logging.WARNING):
        file_loader(("image", "label"), reader)
    assert [str(each.message) for each in caught] == []
    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")


def test_the_named_reader_loads(tmp_path: Path) -> None:
    pixels = np.arange(600, dtype=np.uint8).reshape(30, 20)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    loaded = file_loader("image", "PILReader", reverse_indexing=False)({"image": str(tmp_path / "a.png")})
    np.testing.assert_array_equal(loaded["image"], pixels)
