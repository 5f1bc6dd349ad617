"""A new scan's pixels come from pictures or from DICOM series, and what makes none is one sentence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmed.analysis.prediction.new_scan import SeriesByChannel, picture_patients
from fedmed.core.errors import InputError
from tests.data.lgg.written_scans import slice_pixels, write_scan
from tests.data.written_series import head_series, write_series

NAME = "TCGA_CS_1_1"
VOLUME = head_series()


def test_a_folder_is_a_patient_without_its_masks_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    folder = write_scan(tmp_path, NAME, slices=11)
    (patient,) = picture_patients([folder])
    assert patient.name == NAME
    assert [path.name for path in patient.files] == [f"{NAME}_{number}.tif" for number in range(1, 12)]
    scan = patient.read()
    np.testing.assert_array_equal(scan.pixels[:, 9].transpose(1, 2, 0), slice_pixels(10))
    assert (scan.affine, scan.notes) == (None, ())


def test_single_slices_of_a_folder_are_one_patient_and_that_is_said(tmp_path: Path) -> None:
    one, other = (write_scan(tmp_path, name) for name in (NAME, "TCGA_DU_2_1"))
    files = [one / f"{NAME}_2.tif", other / "TCGA_DU_2_1_1.tif", one / f"{NAME}_1.tif"]
    first, second = picture_patients(files)
    assert [path.name for path in first.files] == [f"{NAME}_1.tif", f"{NAME}_2.tif"]
    assert first.read().notes[0].endswith("the volume that was normalised has 2 slices.")
    assert second.read().notes[0].endswith("has 1 slice.")
    assert second.files == (files[1],)


def test_channels_that_are_flair_are_told(tmp_path: Path) -> None:
    pixels = slice_pixels(1)
    pixels[..., 2] = pixels[..., 1]
    Image.fromarray(pixels).save(tmp_path / "Ä b.png")
    (patient,) = picture_patients([tmp_path / "Ä b.png"])
    assert patient.read().notes[1] == "post-contrast is the same as FLAIR in every pixel."


def test_series_are_the_channels_and_flair_stands_in_for_a_missing_one(tmp_path: Path) -> None:
    flair = write_series(tmp_path / "FLAIR", VOLUME)
    post = write_series(tmp_path / "post", head_series(seed=1))
    scan = SeriesByChannel({"flair": flair, "t1ce": post}).read()
    assert scan.name == "FLAIR"
    assert scan.pixels.shape == (3, *VOLUME.shape)
    np.testing.assert_array_equal(scan.pixels[0], scan.pixels[1])
    assert not np.array_equal(scan.pixels[2], scan.pixels[1])
    assert (scan.pixels.min(), scan.pixels.max()) == (0, 255)
    most = np.percentile(VOLUME, 99.9)
    np.testing.assert_allclose(scan.pixels[1], 255 * (VOLUME / most).clip(0, 1), rtol=1e-5)
    assert scan.notes == ("There is no series for pre-contrast (--t1): FLAIR stands in its place.",)
    assert set(scan.inputs) == {"FLAIR", "post-contrast"}


def test_a_series_of_another_grid_is_led_to_that_of_flair_or_refused_where_it_shows_another_part(
    tmp_path: Path,
) -> None:
    flair = write_series(tmp_path / "f", VOLUME)
    half = write_series(tmp_path / "t", VOLUME[:3])
    scan = SeriesByChannel({"flair": flair, "t1": half}).read()
    np.testing.assert_allclose(scan.pixels[0, :3] > 0, VOLUME[:3] > 0)
    assert "of which it covers 60%" in scan.notes[0]
    above = write_series(tmp_path / "above", VOLUME, origin=(-10.0, -20.0, 90.0))
    with pytest.raises(InputError, match="covers 0% of FLAIR's voxels"):
        SeriesByChannel({"flair": flair, "t1": above}).read()


def _one_channel(folder: Path) -> None:
    Image.fromarray(slice_pixels(1)[..., 0]).save(folder / f"{NAME}_2.tif")


def _other_size(folder: Path) -> None:
    Image.fromarray(slice_pixels(1, (64, 64))).save(folder / f"{NAME}_2.tif")


def _damaged(folder: Path) -> None:
    content = (folder / f"{NAME}_2.tif").read_bytes()
    (folder / f"{NAME}_2.tif").write_bytes(content[: len(content) // 2])


def _masks_alone(folder: Path) -> None:
    for number in (1, 2, 3):
        (folder / f"{NAME}_{number}.tif").unlink()


def _of_another_task(folder: Path) -> None:
    for path in folder.iterdir():
        path.rename(path.with_suffix(".nii.gz"))


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _two_patients(folder: Path) -> None:
    Image.fromarray(slice_pixels(1)).save(folder / "TCGA_DU_7_1_1.tif")


def _black(folder: Path) -> None:
    for number in (1, 2, 3):
        pixels = slice_pixels(1)
        pixels[..., 2] = 0
        Image.fromarray(pixels).save(folder / f"{NAME}_{number}.tif")


def _small(folder: Path) -> None:
    for number in (1, 2, 3):
        Image.fromarray(slice_pixels(1)[:20]).save(folder / f"{NAME}_{number}.tif")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_one_channel, "of the mode L; expected three channels"),
        (_other_size, "64 x 64 pixels, but"),
        (_damaged, "_2.tif cannot be read"),
        (_masks_alone, "holds masks alone"),
        (_of_another_task, r"holds no slice \(there is .*nii\.gz"),
        (_empty, r"holds no slice \(there is no file\)"),
        (_two_patients, "of different patients by their names"),
        (_black, "post-contrast is one grey level"),
        (_small, "40 x 20 pixels; expected at least 32"),
    ],
)
def test_a_folder_that_is_no_scan_is_one_sentence(tmp_path: Path, change: Callable[[Path], None], said: str) -> None:
    folder = write_scan(tmp_path, NAME)
    change(folder)
    with pytest.raises(InputError, match=said):
        picture_patients([folder])[0].read()


def test_paths_that_are_no_slices_are_one_sentence(tmp_path: Path) -> None:
    folder, series = write_scan(tmp_path, NAME), write_series(tmp_path / "s", VOLUME)
    (tmp_path / "other").mkdir()
    twin = write_scan(tmp_path / "other", NAME)
    (folder / "a.jpg").write_bytes(b"a")
    for paths, said in (
        ([folder / "gone.tif"], "does not exist"),
        ([folder / "a.jpg"], "is no slice that can be read"),
        ([folder / f"{NAME}_1_mask.tif"], "is a mask by its name"),
        ([series], "holds DICOM; expected a series a channel"),
        ([series / "000"], "is DICOM; expected a series a channel"),
        ([folder, twin], f"Two of the patients are called {NAME}"),
    ):
        with pytest.raises(InputError, match=said):
            picture_patients(paths)
