"""Files as people have them: what is sound is read as it is stored, anything else is one sentence with a remedy."""

import gzip
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImage
from PIL import Image

import fedmed.core.errors
from fedmed.core.errors import InputError
from fedmed.data.image_file import is_dicom, read_image

VOLUME = np.random.default_rng(0).integers(1, 900, (9, 8, 7)).astype(np.int16)
AFFINE = np.array([[-1.5, 0, 0, 90], [0, 2, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]], float)
PICTURE = np.random.default_rng(1).integers(0, 256, (30, 20), dtype=np.uint8)


def save(path: Path, values: Any = VOLUME, kind: Any = nib.Nifti1Image) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(kind(values, AFFINE), path)
    return path


def refusal(path: Path, remedy: str = "again") -> str:
    """What reading says: one sentence that begins with the file's name and tells what to do."""
    with pytest.raises(InputError) as caught:
        read_image(path)
    said = str(caught.value)
    assert said.startswith(str(path))
    assert remedy in said
    assert said.endswith(".")
    assert "\n" not in said
    return said


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "my scans/Müller, Zoë 1.nii.gz", "a.NII.GZ"])
def test_a_volume_is_read_as_it_is_stored(tmp_path: Path, name: str, kind: Any) -> None:
    image = read_image(save(tmp_path / name, kind=kind))
    assert np.array_equal(image.voxels, VOLUME)
    assert image.voxels.dtype == np.int16
    assert image.dimensions == 3
    assert image.affine is not None
    assert np.allclose(image.affine, AFFINE)
    assert image.spacing == pytest.approx((1.5, 2, 3))


def test_big_endian_volumes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    for header in (nib.Nifti1Header(endianness=">"), nib.Nifti2Header(endianness=">")):
        kind = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
        nib.save(kind(VOLUME, AFFINE, header), path)
        assert np.array_equal(read_image(path).voxels, VOLUME)


@pytest.mark.parametrize(("name", "other"), [("a.nii.gz", "b.nii"), ("a.nii", "b.nii.gz"), ("a.nii", "b")])
def test_a_volume_under_a_name_that_training_would_not_read_is_refused(tmp_path: Path, name: str, other: str) -> None:
    path = save(tmp_path / name).rename(tmp_path / other)
    with pytest.raises(Exception, match=r"gzip|file type|No such file"):
        nib.load(path)
    assert f"ends in {'.nii.gz' if name == 'a.nii.gz' else '.nii'}:" in refusal(path, "rename it")


def test_a_stored_scale_is_applied(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOLUME, AFFINE)
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.nii.gz")
    raw = nib.load(tmp_path / "a.nii.gz").get_fdata()
    assert np.allclose(read_image(tmp_path / "a.nii.gz").voxels, raw)


def test_a_fourth_dimension_is_reported(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.nii.gz", np.zeros((4, 3, 2, 5), np.int16)))
    assert image.dimensions == 4
    assert image.voxels.shape == (4, 3, 2, 5)


def test_voxels_that_are_not_finite_are_kept_for_the_audit(tmp_path: Path) -> None:
    values = VOLUME.astype(np.float32)
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    assert np.count_nonzero(~np.isfinite(read_image(save(tmp_path / "a.nii.gz", values)).voxels)) == 3


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_volume_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = save(tmp_path / name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "cannot be read" in refusal(path, "copy it again")


def test_a_compressed_volume_without_its_last_byte_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz")
    path.write_bytes(path.read_bytes()[:-1])
    refusal(path, "copy it again")


@pytest.mark.parametrize("behind", [b"\n", bytes(512), b"junk of a bad copy"])
def test_what_stands_behind_the_compressed_voxels_does_no_harm(tmp_path: Path, behind: bytes) -> None:
    path = save(tmp_path / "a.nii.gz")
    path.write_bytes(path.read_bytes() + behind)
    assert np.array_equal(np.asarray(nib.load(path).dataobj), VOLUME)
    assert np.array_equal(read_image(path).voxels, VOLUME)


def test_a_volume_in_several_compressed_streams_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii")
    whole = path.read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(whole[:700]) + gzip.compress(whole[700:]))
    assert np.array_equal(read_image(tmp_path / "b.nii.gz").voxels, VOLUME)


def test_a_compressed_file_is_refused_when_voxels_are_missing(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(whole[:-2]) + b"junk")
    assert "cannot be read to its end" in refusal(tmp_path / "b.nii.gz", "copy it again")


def test_what_was_compressed_twice_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz")
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert "compressed twice" in refusal(path, "unpack it once")


def test_one_flipped_bit_of_the_compressed_stream_is_noticed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz")
    whole = path.read_bytes()
    for place in range(30, len(whole), len(whole) // 25):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refusal(path, "copy it again")


def test_a_wrong_checksum_alone_is_noticed(tmp_path: Path) -> None:
    """The voxels unpack without complaint: only the checksum behind them tells."""
    path = save(tmp_path / "a.nii.gz")
    whole = bytearray(path.read_bytes())
    whole[-8] ^= 1
    path.write_bytes(whole)
    assert "incorrect data check" in refusal(path, "copy it again")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.png", "a.tif", "no ending"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "empty" in refusal(tmp_path / name, "copy it again")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.png", "a.jpg", "a.tif", "ä ö.nii.gz", "a"])
@pytest.mark.parametrize("content", [b"This is a text.\n", b"This is a text, and a longer one. " * 30, bytes(2000)])
def test_what_is_no_image_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refusal(tmp_path / name, "export or copy it again")


def test_a_refused_picture_is_not_called_by_an_address_in_memory(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"This is a text.")
    assert "object at 0x" not in refusal(tmp_path / "a.png")


def test_a_compressed_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"This is a text."))
    assert "NIfTI" in refusal(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("name", ["IM0001", "a.dcm", "a.nii.gz", "a.nii", "a.png"])
def test_dicom_is_known_under_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(128) + b"DICM" + bytes(200))
    assert is_dicom(path)
    said = refusal(path, "convert the series")
    assert "DICOM" in said
    assert "dcm2niix" in said


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(128), bytes(129) + b"DICM"])
def test_other_files_are_no_dicom(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert not is_dicom(tmp_path / "a")


def test_a_volume_is_no_dicom(tmp_path: Path) -> None:
    assert not is_dicom(save(tmp_path / "a.nii"))


@pytest.mark.parametrize("name", ["a.nii.gz", "a.png"])
def test_a_folder_in_the_files_place_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert "directory" in refusal(tmp_path / name, "correct the list").lower()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "gone.nii.gz", "correct the list")


def test_colours_in_a_volume_are_refused(tmp_path: Path) -> None:
    colours = np.zeros((4, 3, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert "one plain number a voxel" in refusal(save(tmp_path / "a.nii.gz", colours), "export it again")


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    refusal(save(tmp_path / "a.nii.gz", VOLUME.astype(np.complex64)), "export it again")


def test_an_affine_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    content[280:284] = struct.pack("<f", float("nan"))  # the first number of the sform
    path.write_bytes(content)
    refusal(path)


# Headers that do not say where the voxels lie


def header(path: Path, **fields: Any) -> Path:
    """A volume (1.5 x 2 x 3 mm) whose header has other values, which nibabel would mend as it writes."""
    whole = save(path).read_bytes()
    changed = nib.Nifti1Header(whole[:348], check=False)
    for name, value in fields.items():
        changed[name] = value
    path.write_bytes(changed.binaryblock + whole[348:])
    return path


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"pixdim": [1, 0, 2, 3, 0, 0, 0, 0]}, "where its voxels lie (spacing 0 x 2 x 3 mm"),
        ({"pixdim": [1, 1.5, np.nan, 3, 0, 0, 0, 0]}, "where its voxels lie"),
        ({"pixdim": [1, 1.5, np.inf, 3, 0, 0, 0, 0]}, "where its voxels lie"),
        ({"sform_code": 0, "qform_code": 0}, "(spacing 1.5 x 2 x 3 mm, sform code 0, qform code 0"),
        ({"srow_x": [0, 0, 0, 0]}, "where its voxels lie"),
        ({"srow_x": [0, 2.0001, 0, 0], "srow_y": [0, 2, 0.001, 0]}, "where its voxels lie"),
        ({"srow_x": [np.inf, 0, 0, 0]}, "where its voxels lie"),
        ({"pixdim": [1, 3, 3, 3, 0, 0, 0, 0]}, "a spacing of 3 x 3 x 3 mm, but its affine one of 1.5 x 2 x 3 mm"),
        ({"xyzt_units": 1}, "states its lengths in metres; expected mm"),
        ({"xyzt_units": 3 | 8}, "states its lengths in micrometres; expected mm"),
    ],
)  # fmt: skip
def test_a_header_that_does_not_say_where_the_voxels_lie_is_refused(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    assert said in refusal(header(tmp_path / "a.nii", **fields), " header ")


@pytest.mark.parametrize("units", [0, 2, 2 | 8, 8])
def test_lengths_in_mm_or_in_no_stated_unit_are_accepted(tmp_path: Path, units: int) -> None:
    assert read_image(header(tmp_path / "a.nii", xyzt_units=units)).spacing == pytest.approx((1.5, 2, 3))


def test_the_qform_alone_says_where_the_voxels_lie(tmp_path: Path) -> None:
    image = nib.Nifti1Image(VOLUME, None)
    image.set_qform(AFFINE, 1)
    nib.save(image, tmp_path / "a.nii")
    found = read_image(tmp_path / "a.nii").affine
    assert found is not None
    assert np.allclose(found, AFFINE)


@pytest.mark.parametrize("spacing", [1.5, 1.5004])
def test_the_affine_is_the_one_that_training_will_see(tmp_path: Path, spacing: float) -> None:
    """Where a spacing was rounded, MONAI takes the qform."""
    image = nib.Nifti1Image(VOLUME, AFFINE)
    image.set_qform(AFFINE, 1)
    image.header["pixdim"][1] = spacing
    path = tmp_path / "a.nii"
    path.write_bytes(image.header.binaryblock + bytes(4) + VOLUME.tobytes("F"))
    seen = LoadImage(reader="NibabelReader")(path).affine.numpy()
    found = read_image(path)
    assert found.affine is not None
    assert np.allclose(found.affine, seen, rtol=0, atol=1e-6)
    assert np.allclose(np.linalg.norm(found.affine[:3, :3], axis=0), found.spacing)


def test_an_oblique_volume_is_read(tmp_path: Path) -> None:
    turned = AFFINE.copy()
    cosine, sine = np.cos(0.4), np.sin(0.4)
    turned[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ AFFINE[:3, :3]
    nib.save(nib.Nifti1Image(VOLUME, turned), tmp_path / "a.nii.gz")
    assert read_image(tmp_path / "a.nii.gz").spacing == pytest.approx((1.5, 2, 3))


@pytest.mark.parametrize("shape", [(0, 8, 7), (9, 0, 7)])
def test_a_volume_without_voxels_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = header(tmp_path / "a.nii", dim=[3, *shape, 1, 1, 1, 1])
    assert "has no voxels" in refusal(path, "export it again")


def test_a_header_that_promises_more_than_there_is_asks_for_no_memory(tmp_path: Path) -> None:
    path = header(tmp_path / "a.nii", dim=[3, 32767, 32767, 32767, 1, 1, 1, 1])
    assert "cannot be read to its end" in refusal(path, "copy it again")


def test_only_the_sentence_is_told(tmp_path: Path) -> None:
    """The library's own lines on what is odd in a header stay away."""
    path = header(tmp_path / "a.nii", pixdim=[7, 0, -2, 3, 0, 0, 0, 0])
    code = "import sys; from pathlib import Path; from fedmed.data.image_file import read_image\n"
    code += "try: read_image(Path(sys.argv[1]))\nexcept ValueError as error: print(error, file=sys.stderr)"
    environment = {**os.environ, "PYTHONPATH": str(Path(fedmed.core.errors.__file__).parents[2])}
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.startswith(str(path))
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", [nib.MGHImage, nib.Spm99AnalyzeImage])
def test_another_kind_of_volume_is_refused(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / ("a.mgz" if kind is nib.MGHImage else "a.hdr")
    nib.save(kind(VOLUME, np.diag([-1.0, 1, 1, 1])), path)
    refusal(path)


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".PNG", ".TIF"])
@pytest.mark.parametrize("values", [PICTURE, np.stack([PICTURE, PICTURE // 2, PICTURE // 3], -1)], ids=["L", "RGB"])
def test_a_picture_is_read_as_it_is_stored(tmp_path: Path, ending: str, values: np.ndarray) -> None:
    path = tmp_path / f"Röntgen 1{ending}"
    Image.fromarray(values).save(path)
    image = read_image(path)
    assert np.array_equal(image.voxels, values)
    assert (image.dimensions, image.affine, image.spacing) == (2, None, ())


def test_sixteen_bits_a_pixel_are_read(tmp_path: Path) -> None:
    values = PICTURE.astype(np.uint16) * 257
    for name in ("a.png", "a.tif"):
        Image.fromarray(values).save(tmp_path / name)
        assert np.array_equal(read_image(tmp_path / name).voxels, values)


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg"])
def test_a_jpeg_is_read(tmp_path: Path, name: str) -> None:
    Image.fromarray(PICTURE).save(tmp_path / name)
    assert read_image(tmp_path / name).voxels.shape == PICTURE.shape


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_picture_is_refused(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    Image.fromarray(PICTURE).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refusal(path, "copy it again")


def test_a_picture_larger_than_pillow_opens_without_a_warning_is_refused(tmp_path: Path) -> None:
    """Only its header is written: 95 million pixels, of which none is there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path = tmp_path / "a.png"
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10_000, 9_500, 1, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))
    assert "95000000 pixels" in refusal(path)
