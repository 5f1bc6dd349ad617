"""What a person reads: true counts, dashes where nothing was measured, and never more lines than fit."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fedmed.data.audit.audit_table import MOST_FINDINGS, findings_text, site_line, site_table
from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.finding import Finding
from fedmed.data.audit.site_audit import SiteAudit, audit_site
from fedmed.data.datalist import Case

RULES = Rules(("t1", "flair"), labels=(0, 1, 2, 4), scheme="brats2018")
ERROR, WARNING = Finding("error", "finite", "An error."), Finding("warning", "masks", "A warning.")


def case(folder: Path, patient: str, seed: int, zeros: int = 0) -> Case:
    """A case of voxels of 2 ml, of which the tumour is 3 and 1."""
    folder = folder / f"case-{seed}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    volumes = [rng.integers(100, 900, (10, 5, 4)).astype(np.int16) for _ in range(2)]
    volumes[0].flat[:zeros] = 0
    label = np.zeros((10, 5, 4), np.uint8)
    label[9, 4, :3], label[9, 3, 0] = 1, 4
    for name, voxels in zip(("t1", "flair", "seg"), (*volumes, label), strict=True):
        nib.save(nib.Nifti1Image(voxels, np.diag([-10.0, -10, 20, 1])), folder / f"{name}.nii.gz")
    return Case((folder / "t1.nii.gz", folder / "flair.nii.gz"), folder / "seg.nii.gz", {"patient": patient})


def audit(splits: Mapping[str, Sequence[Case]], rules: Rules = RULES) -> SiteAudit:
    return audit_site("site-1", splits, rules, lambda case: str(case.extra["patient"]))


def row(audit: SiteAudit, start: str) -> str:
    """The only line that starts so, with single gaps."""
    (line,) = [line for line in site_table(audit).splitlines() if line.strip().startswith(start)]
    return " | ".join(cell.strip() for cell in line.split("  ") if cell.strip())


@pytest.fixture
def sound(tmp_path: Path) -> SiteAudit:
    one, other, third = case(tmp_path, "p1", 1, 20), case(tmp_path, "p1", 2, 40), case(tmp_path, "p2", 3, 40)
    return audit({"training": [one, other], "validation": [third]})


def test_the_heading_counts_cases_patients_and_findings(sound: SiteAudit) -> None:
    assert (
        site_line(sound)
        == "site-1: 2 training + 1 validation cases of 2 patients, labels brats2018: 0 errors, 0 warnings"
    )
    worse = site_line(sound.with_findings([ERROR, WARNING, WARNING]))
    assert worse.endswith("1 error, 2 warnings")


def test_one_case_of_no_split_is_counted_in_the_singular(tmp_path: Path) -> None:
    alone = audit({"": [case(tmp_path, "p1", 1)]}, Rules(("t1", "flair")))
    assert site_line(alone.with_findings([WARNING])) == "site-1: 1 case of 1 patient: 0 errors, 1 warning"


def test_a_row_tells_what_was_measured(sound: SiteAudit) -> None:
    found = row(sound, "t1")
    assert found.startswith("t1 | 10x5x4 | 10 x 10 x 20 | LPS | 10 to 20 % |")
    assert "| 0 % |" in row(sound, "flair")
    medians = [int(np.median(nib.load(audited.case.images[1]).get_fdata())) for audited in sound.cases]
    low, high = row(sound, "flair").split(" | ")[5].split(" to ")
    assert int(low) == pytest.approx(min(medians), abs=8)
    assert int(high) == pytest.approx(max(medians), abs=8)


def test_another_grid_is_counted(sound: SiteAudit) -> None:
    small = np.random.default_rng(9).integers(100, 900, (5, 5, 5)).astype(np.int16)
    for path in (*sound.cases[0].case.images, sound.cases[0].case.target):
        nib.save(nib.Nifti1Image(small, np.eye(4)), path)
    found = row(audit({"training": [audited.case for audited in sound.cases]}), "t1")
    assert found.startswith("t1 | 10x5x4 (+1 other) | 10 x 10 x 20 (+1 other) | LPS (+1 other) |")


def test_the_label_is_told_in_ml(sound: SiteAudit) -> None:
    assert row(sound, "label:") == "label: 1 in 3 of 3, median 6 ml; 2 in 0 of 3; 4 in 3 of 3, median 2 ml"


def test_a_case_in_both_splits_is_measured_once(tmp_path: Path) -> None:
    both = case(tmp_path, "p1", 1)
    assert "in 1 of 1" in row(audit({"training": [both], "validation": [both]}), "label:")


def test_cases_that_cannot_be_read_have_dashes(sound: SiteAudit) -> None:
    for audited in sound.cases:
        audited.case.images[0].write_bytes(b"")
    broken = audit({"training": [audited.case for audited in sound.cases]})
    assert row(broken, "t1") == "t1 | - | - | - | - | - | -"
    assert row(broken, "flair") == "flair | - | - | - | - | - | -"
    assert site_line(broken).endswith("3 errors, 0 warnings")


def test_one_case_that_cannot_be_read_leaves_the_others(sound: SiteAudit) -> None:
    sound.cases[0].case.target.unlink()
    partly = audit({"training": [audited.case for audited in sound.cases]})
    assert "in 2 of 2" in row(partly, "label:")
    assert row(partly, "t1").startswith("t1 | 10x5x4 |")


def test_a_modality_that_is_empty_everywhere_has_dashes(tmp_path: Path) -> None:
    assert row(audit({"training": [case(tmp_path, "p1", 1, zeros=200)]}), "t1") == "t1 | - | - | - | - | - | -"


def test_pictures_have_neither_spacing_nor_axes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1, 256, (20, 30), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray((values > 200).astype(np.uint8)).save(tmp_path / "mask.png")
    pictures = Case((tmp_path / "a.png",), tmp_path / "mask.png", {"patient": "p"})
    found = audit({"": [pictures]}, Rules(("photo",), dimensions=2, labels=(0, 1)))
    assert row(found, "photo").startswith("photo | 20x30 | 0 % |")
    assert row(found, "label:") == f"label: 1 in 1 of 1, median {np.count_nonzero(values > 200)} pixels"


@pytest.mark.parametrize("count", [0, 1, MOST_FINDINGS])
def test_few_findings_are_all_written(count: int) -> None:
    lines = findings_text([replace(ERROR, sentence=f"Error {number}.") for number in range(count)])
    assert lines == [f"  error: Error {number}." for number in range(count)]


def test_of_many_findings_the_first_are_written_and_the_others_counted() -> None:
    *lines, left = findings_text([ERROR] * (MOST_FINDINGS + 2) + [WARNING] * 3)
    assert lines == ["  error: An error."] * MOST_FINDINGS
    assert all(part in left for part in ("2 more errors", "3 warnings", "--json"))


def test_what_is_left_out_is_counted_in_the_singular_too() -> None:
    assert "1 more error," in findings_text([ERROR] * (MOST_FINDINGS + 1))[-1]


def test_the_table_ends_with_the_findings(sound: SiteAudit) -> None:
    lines = site_table(sound.with_findings([WARNING] * 50)).splitlines()
    assert lines[0] == site_line(sound.with_findings([WARNING] * 50))
    assert len([line for line in lines if "A warning." in line]) == MOST_FINDINGS
    assert "42 warnings" in lines[-1]
