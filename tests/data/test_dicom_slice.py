"""DICOM files of one frame are seen as a viewer shows them; the expected greys are those of the standard's formulas."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, MRImageStorage

from fedmed.core.errors import InputError
from fedmed.data.dicom_slice import dicom_slice
from fedmed.data.picture_file import read_picture

STORED = np.arange(32 * 24, dtype=np.uint16).reshape(32, 24)


def slice_of(values: np.ndarray = STORED, **elements: Any) -> FileDataset:
    """A slice in 12 of 16 bits, with the elements that are named."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MRImageStorage
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SamplesPerPixel = values.shape[2] if values.ndim == 3 else 1
    made.Rows, made.Columns = values.shape[:2]
    made.BitsAllocated = 8 * values.dtype.itemsize
    made.BitsStored = min(12, made.BitsAllocated)
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(values.dtype.kind == "i")
    made.PhotometricInterpretation = "MONOCHROME2"
    for name, value in elements.items():
        setattr(made, name, value)
    made.PixelData = values.tobytes()
    return made


def seen(made: FileDataset) -> np.ndarray:
    content = BytesIO()
    made.save_as(content)
    return dicom_slice(Path("a.dcm"), content.getvalue())


def refusal(made: FileDataset) -> str:
    with pytest.raises(InputError) as caught:
        seen(made)
    said = str(caught.value)
    assert said.startswith("a.dcm ")
    assert said.endswith(".")
    assert "\n" not in said
    return said


def test_without_a_window_the_values_fill_the_range() -> None:
    np.testing.assert_allclose(seen(slice_of(STORED + 100)), 255.0 * STORED / STORED.max(), atol=0.5)
    assert not seen(slice_of(np.full((20, 20), 5, np.uint16))).any()


def test_the_window_is_of_rescaled_values_and_its_range_is_black_to_white() -> None:
    """Of PS3.3 C.11.2.1.2.1, with values of 2 s - 100, a centre of 300 and a width of 201."""
    window = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 300, "WindowWidth": 201}
    expected = (((2.0 * STORED - 100) - 299.5) / 200 + 0.5).clip(0, 1)
    np.testing.assert_allclose(seen(slice_of(**window)), 255 * expected, atol=0.51)
    signed = slice_of(STORED.astype(np.int16) - 300, WindowCenter=0, WindowWidth=201)
    expected = ((STORED - 300.0 + 0.5) / 200 + 0.5).clip(0, 1)
    np.testing.assert_allclose(seen(signed), 255 * expected, atol=0.51)


def test_the_first_of_several_windows_counts_and_one_that_covers_more_than_the_values_is_kept() -> None:
    wide = seen(slice_of(WindowCenter=[2048, 10], WindowWidth=[4096, 20]))
    np.testing.assert_allclose(wide, 255.0 * STORED / 4095, atol=0.51)


def test_a_table_in_place_of_a_window_is_looked_up() -> None:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [1024, 0, 8], [255 - number // 4 for number in range(1024)]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    np.testing.assert_array_equal(seen(slice_of(VOILUTSequence=Sequence([item]))), 255 - STORED // 4)


def test_low_values_of_monochrome1_are_bright() -> None:
    inverted = seen(slice_of(PhotometricInterpretation="MONOCHROME1", WindowCenter=384, WindowWidth=700))
    plain = seen(slice_of(WindowCenter=384, WindowWidth=700))
    np.testing.assert_array_equal(inverted, 255 - plain)
    assert inverted[0, 0] == 255


def test_colour_is_rgb() -> None:
    values = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)
    rgb = slice_of(values, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    np.testing.assert_array_equal(seen(rgb), values)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("CT_small.dcm", (128, 128)),
        ("MR_small_RLE.dcm", (64, 64)),
        ("MR_small_bigendian.dcm", (64, 64)),
        ("JPEG2000.dcm", (1024, 256)),
        ("SC_rgb_jpeg_dcmtk.dcm", (100, 100, 3)),
        ("examples_palette.dcm", (350, 800, 3)),
    ],
)
def test_files_of_the_field_are_read(name: str, shape: tuple[int, ...]) -> None:
    found = read_picture(Path(str(get_testdata_file(name, download=False))))
    assert (found.shape, found.dtype) == (shape, np.uint8)
    assert found.max() > found.min()


def test_a_file_without_its_first_word_is_known_by_its_ending(tmp_path: Path) -> None:
    whole = pydicom.dcmread(str(get_testdata_file("MR_small_implicit.dcm", download=False)))
    content = BytesIO()
    whole.save_as(content)
    bare = tmp_path / "old.IMA"
    bare.write_bytes(content.getvalue()[132:])
    assert read_picture(bare).shape == (64, 64)


def test_what_is_no_single_image_is_refused_in_a_sentence() -> None:
    assert "holds 3 frames" in refusal(slice_of(np.tile(STORED, (1, 1)), NumberOfFrames=3))
    assert "photometric interpretation HSV" in refusal(slice_of(PhotometricInterpretation="HSV"))
    assert "Window Width" in refusal(slice_of(WindowCenter=10, WindowWidth=0))
    assert "has 0 pixels" in refusal(slice_of(Rows=0))
    huge = slice_of()
    huge.Rows = huge.Columns = 65535
    assert "4294836225 pixels" in refusal(huge)
    cut = slice_of()
    cut.PixelData = STORED.tobytes()[:-200]
    assert "less than expected" in refusal(cut)
    without = slice_of()
    del without.PixelData
    assert "without pixels" in refusal(without)
    packed = Path(str(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False)))
    with pytest.raises(InputError, match=f"compressed as {JPEGLSLossless.name}.*export it uncompressed"):
        read_picture(packed)
