"""The facts of scans, and files that cannot be used: a sentence for each patient and kind, several at once."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedmed.core.errors import InputError, Problems
from fedmed.data.lgg.lgg_layout import find_lgg
from fedmed.data.lgg.scan_facts import ScanFacts, measured_scans
from tests.data.lgg.written_scans import SIZE, slice_mask, slice_pixels, write_scan

HEAD = (SIZE[0] - 12) * (SIZE[1] - 16)
"""Pixels of a slice's head."""


def measured(root: Path) -> dict[str, ScanFacts]:
    return measured_scans(find_lgg(root).patients)


def problems(root: Path) -> tuple[str, ...]:
    with pytest.raises(Problems) as caught:
        measured(root)
    return caught.value.sentences


def test_tumour_is_counted_in_slices_pixels_and_as_a_share_of_the_head(tmp_path: Path) -> None:
    write_scan(tmp_path, "TCGA_CS_1_1", slices=4)
    (found,) = measured(tmp_path).values()
    assert (found.slices, found.tumour_slices, found.tumour_pixels) == (4, 3, 300)
    assert found.tumour_percent == pytest.approx(100 * 300 / (4 * HEAD))
    assert (found.size, found.copied) == ((SIZE[1], SIZE[0]), ())


def test_channels_that_equal_flair_in_the_whole_scan_are_copies(tmp_path: Path) -> None:
    for name, channels in (("TCGA_CS_1_1", [2]), ("TCGA_CS_2_1", [0, 2])):
        folder = write_scan(tmp_path, name)
        for number in (1, 2, 3):
            pixels = slice_pixels(number)
            pixels[..., channels] = pixels[..., [1]]
            Image.fromarray(pixels).save(folder / f"{name}_{number}.tif")
    half = write_scan(tmp_path, "TCGA_CS_3_1")
    pixels = slice_pixels(1)
    pixels[..., 0] = pixels[..., 1]
    Image.fromarray(pixels).save(half / "TCGA_CS_3_1_1.tif")
    copied = {name: facts.copied for name, facts in measured(tmp_path).items()}
    assert copied == {
        "TCGA_CS_1_1": ("post-contrast",), "TCGA_CS_2_1": ("pre-contrast", "post-contrast"), "TCGA_CS_3_1": (),
    }  # fmt: skip


def test_every_mistake_in_the_files_is_a_sentence_and_all_patients_are_told_at_once(tmp_path: Path) -> None:
    def scan(patient: int) -> tuple[Path, str]:
        name = f"TCGA_CS_{patient}_1"
        return write_scan(tmp_path, name, seed=patient), name

    folder, name = scan(1)
    Image.fromarray(slice_pixels(0)[..., 0]).save(folder / f"{name}_2.tif")
    folder, name = scan(2)
    Image.fromarray(slice_mask(size=(20, 20))).save(folder / f"{name}_2_mask.tif")
    folder, name = scan(3)
    Image.fromarray(slice_pixels(0, (64, 64))).save(folder / f"{name}_3.tif")
    folder, name = scan(4)
    for number in (2, 3):
        Image.fromarray(np.minimum(slice_mask(), number - 1)).save(folder / f"{name}_{number}_mask.tif")
    folder, name = scan(5)
    Image.fromarray(np.stack([slice_mask()] * 3, axis=-1)).save(folder / f"{name}_2_mask.tif")
    folder, name = scan(6)
    (folder / f"{name}_1.tif").write_bytes(b"II*\0 and no more")
    folder, name = scan(7)
    for number in (1, 2, 3):
        pixels = slice_pixels(number)
        pixels[..., 1] = 0
        Image.fromarray(pixels).save(folder / f"{name}_{number}.tif")
    told = problems(tmp_path)
    assert len(told) == 7
    for sentence, words in zip(
        told,
        (
            "1 image of TCGA_CS_1_1, such as {1}/TCGA_CS_1_1_2.tif, with one channel (mode L); expected three",
            "1 file of TCGA_CS_2_1, such as {2}/TCGA_CS_2_1_2_mask.tif, of another size (20 x 20 pixels)",
            "1 file of TCGA_CS_3_1, such as {3}/TCGA_CS_3_1_3.tif, of another size (64 x 64 pixels)",
            "2 masks of TCGA_CS_4_1 with other values than 0 and 255, such as {4}/TCGA_CS_4_1_2_mask.tif (1)",
            "{5}/TCGA_CS_5_1_2_mask.tif is a mask of the mode RGB; expected grey",
            "{6}/TCGA_CS_6_1_1.tif cannot be read as an image",
            "The FLAIR channel of {7} is 0 everywhere",
        ),
        strict=True,
    ):
        assert words.format("", *(tmp_path / f"TCGA_CS_{patient}_1" for patient in range(1, 8))) in sentence


def test_a_set_whose_masks_are_all_empty_is_refused_and_a_patient_with_such_is_not(tmp_path: Path) -> None:
    write_scan(tmp_path, "TCGA_CS_1_1", tumour=False)
    with pytest.raises(InputError, match="All masks of the 1 patient are empty"):
        measured(tmp_path)
    write_scan(tmp_path, "TCGA_CS_2_1")
    assert [each.tumour_pixels > 0 for each in measured(tmp_path).values()] == [False, True]


def test_slices_too_small_to_see_anything_are_refused(tmp_path: Path) -> None:
    folder = write_scan(tmp_path, "TCGA_CS_1_1", slices=1)
    Image.fromarray(slice_pixels(1, (31, 40))).save(folder / "TCGA_CS_1_1_1.tif")
    Image.fromarray(slice_mask(size=(31, 40))).save(folder / "TCGA_CS_1_1_1_mask.tif")
    (told,) = problems(tmp_path)
    assert "40 x 31 pixels; expected at least 32" in told
