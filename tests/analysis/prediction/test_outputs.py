"""What cannot be written is refused before anything is computed, and nothing that must stay is replaced."""

import re
from pathlib import Path

import pytest

from fedmed.analysis.prediction.outputs import check_outputs
from fedmed.core.errors import InputError

ENDINGS = {"output": (".nii.gz", ".nii"), "report": (".json",)}


def test_new_names_in_a_folder_that_is_there_pass(tmp_path: Path) -> None:
    check_outputs({"output": tmp_path / "a.nii", "report": tmp_path / "a.json"}, ENDINGS, [], force=False)


def test_a_file_that_is_there_is_replaced_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="exists already; give --force"):
        check_outputs({"output": path}, ENDINGS, [], force=False)
    check_outputs({"output": path}, ENDINGS, [], force=True)


def test_what_is_read_is_never_replaced_by_whatever_name(tmp_path: Path) -> None:
    other, scan, link = (tmp_path / name for name in ("t2.nii.gz", "t1.nii.gz", "link.nii.gz"))
    other.write_bytes(b"")
    scan.write_bytes(b"")
    link.symlink_to(scan)
    with pytest.raises(InputError, match="one of the files that are read"):
        check_outputs({"output": link}, ENDINGS, [other, scan], force=True)


@pytest.mark.parametrize("name", ["a.png", "a", ".gz", "a.nii.gz.json"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"expected a name that ends in \.nii\.gz or \.nii\."):
        check_outputs({"output": tmp_path / name}, ENDINGS, [], force=True)


def test_a_missing_folder_a_folder_and_one_name_twice_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.nii").mkdir()
    both = {"output": tmp_path / "c.nii", "report": tmp_path / "c.nii"}
    for outputs, said in (
        ({"output": tmp_path / "none" / "a.nii"}, "folder that does not exist"),
        ({"output": tmp_path / "b.nii"}, "is a folder"),
        (both, "--output and --report are both"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            check_outputs(outputs, {**ENDINGS, "report": (".json", ".nii")}, [], force=True)
