"""A DICOM series is a volume whose voxels lie where its slices say; what makes no volume is one sentence."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from fedmed.core.errors import InputError
from fedmed.data.dicom_series import on_grid_of, read_series, spacing_of
from tests.data.written_series import head_series, write_series

VOLUME = head_series()


def edit(path: Path, **elements: object) -> None:
    made = pydicom.dcmread(path)
    for name, value in elements.items():
        setattr(made, name, value)
    made.save_as(path)


def test_slices_are_ordered_by_their_place_and_voxels_lie_in_mm_to_the_right_front_and_top(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", VOLUME, RescaleSlope=2, RescaleIntercept=-5)
    (folder / "notes.txt").write_text("no slice")
    series = read_series(folder)
    np.testing.assert_array_equal(series.values, 2 * VOLUME.astype(np.float32) - 5)
    assert [path.name for path in series.files] == ["000", "002", "004", "001", "003"]
    np.testing.assert_allclose(series.affine @ [3, 4, 2, 1], [10 - 3 * 0.8, 20 - 4 * 0.5, 30 + 2 * 4, 1])
    assert spacing_of(series.affine) == pytest.approx((0.8, 0.5, 4.0))


def test_the_place_does_not_depend_on_the_direction_in_which_slices_are_numbered(tmp_path: Path) -> None:
    up = read_series(write_series(tmp_path / "up", VOLUME))
    down = read_series(write_series(tmp_path / "down", VOLUME[::-1], gap=-4.0, origin=(-10.0, -20.0, 46.0)))
    np.testing.assert_array_equal(up.values, down.values)
    np.testing.assert_allclose(up.affine, down.affine)


def test_oblique_slices_have_the_scanners_directions(tmp_path: Path) -> None:
    """Coronal: columns to the left, rows downwards, so that slices in their order go to the front."""
    folder = write_series(tmp_path / "s", VOLUME[:1], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    for place in (1, 2):
        other = write_series(tmp_path / str(place), VOLUME[place : place + 1], origin=(-10.0, -20.0 + 4 * place, 30.0))
        edit(other / "000", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
        (other / "000").rename(folder / f"{place}")
    series = read_series(folder)
    np.testing.assert_array_equal(series.values, VOLUME[:3])
    np.testing.assert_allclose(series.affine @ [0, 2, 1, 1], [10, 20 - 4, 30 - 2 * 0.5, 1])


def test_low_values_that_are_bright_are_turned_round_and_one_file_is_a_volume_of_one_slice(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", VOLUME, PhotometricInterpretation="MONOCHROME1")
    series = read_series(folder / "000")
    np.testing.assert_array_equal(series.values, -VOLUME[:1].astype(np.float32))
    assert spacing_of(series.affine) == pytest.approx((0.8, 0.5, 3.0))


def test_a_series_on_the_same_grid_is_taken_as_it_is(tmp_path: Path) -> None:
    flair, other = (read_series(write_series(tmp_path / name, VOLUME)) for name in ("flair", "other"))
    values, covered = on_grid_of(other, flair)
    assert values is other.values
    assert covered == 1


def test_a_series_on_another_grid_is_interpolated_where_it_lies(tmp_path: Path) -> None:
    """A ramp in mm stays one: half as many columns and rows, and slices of another distance that end earlier."""
    flair = read_series(write_series(tmp_path / "flair", VOLUME))

    def ramp(slices: int, columns_mm: float, rows_mm: float, gap: float, shape: tuple[int, int]) -> np.ndarray:
        at = np.mgrid[:slices, : shape[0], : shape[1]] * np.array([gap, rows_mm, columns_mm])[:, None, None, None]
        return np.asarray(500 + 10 * at[0] + 20 * at[1] + 30 * at[2]).round().astype(np.uint16)

    spaced = {"PixelSpacing": [1.0, 1.6], "SliceThickness": 6}
    coarse = write_series(tmp_path / "coarse", ramp(3, 1.6, 1.0, 6, (24, 20)), gap=6.0, **spaced)
    values, covered = on_grid_of(read_series(coarse), flair)
    expected = ramp(5, 0.8, 0.5, 4, VOLUME.shape[1:])
    np.testing.assert_allclose(values[:4, :47, :39], expected[:4, :47, :39], atol=3)
    assert covered == pytest.approx(4 / 5, abs=0.01)
    assert (values[4] == values.min()).all()


def test_what_is_no_volume_is_one_sentence(tmp_path: Path) -> None:
    flair = write_series(tmp_path / "flair", VOLUME)
    for number, (change, said) in enumerate(
        (
            ({"SeriesInstanceUID": "1.2.4", "SeriesNumber": 7}, r"holds 2 series \(.*7\)"),
            ({"PatientID": "Q"}, "several patients"),
            ({"ImagePositionPatient": None}, "lacks ImagePositionPatient"),
            ({"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}, "differ in ImageOrientationPatient"),
            ({"PixelSpacing": [0.9, 0.9]}, "differ in PixelSpacing"),
            ({"ImagePositionPatient": [-10, -20, 30]}, "several slices of one place"),
            ({"ImagePositionPatient": [-10, -20, 60]}, "mm apart; expected equal distances"),
            ({"NumberOfFrames": 2}, "2 frames"),
        )
    ):
        folder = write_series(tmp_path / str(number), VOLUME)
        edit(folder / "003", **change)
        with pytest.raises(InputError, match=said):
            read_series(folder)
    smaller = write_series(tmp_path / "small", VOLUME[:1, :40])
    (smaller / "000").rename(flair / "small")
    with pytest.raises(InputError, match="expected slices of one size"):
        read_series(flair)
    (flair / "small").unlink()
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.png").write_bytes(b"no DICOM")
    with pytest.raises(InputError, match="holds no DICOM"):
        read_series(tmp_path / "none")
    thin = write_series(tmp_path / "thin", VOLUME[:1], SliceThickness=None)
    with pytest.raises(InputError, match="no SliceThickness"):
        read_series(thin)
    nowhere = write_series(tmp_path / "nowhere", VOLUME, PixelSpacing=[0, 0])
    with pytest.raises(InputError, match="places its pixels nowhere"):
        read_series(nowhere)


def test_series_of_different_patients_or_without_a_common_frame_are_refused(tmp_path: Path) -> None:
    flair = read_series(write_series(tmp_path / "flair", VOLUME))
    other = read_series(write_series(tmp_path / "other", VOLUME, PatientID="SECRET"))
    with pytest.raises(InputError, match="different patients") as caught:
        on_grid_of(other, flair)
    assert "SECRET" not in str(caught.value)
    for frame in ("1.2.8", ""):
        name = f"moved {frame}"
        moved = write_series(tmp_path / name, VOLUME, origin=(0.0, 0.0, 0.0), FrameOfReferenceUID=frame)
        with pytest.raises(InputError, match="no common frame of reference"):
            on_grid_of(read_series(moved), flair)
