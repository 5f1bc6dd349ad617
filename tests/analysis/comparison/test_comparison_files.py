"""The files of a comparison: those that cannot be written are refused before any work."""

from pathlib import Path

import pytest

from fedmed.analysis.comparison.comparison_files import path_of_tests, refuse_unwritable
from fedmed.core.errors import InputError


def test_the_tests_of_a_csv_file_lie_beside_it(tmp_path: Path) -> None:
    assert path_of_tests(tmp_path / "a.b.csv") == tmp_path / "a.b-tests.csv"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["table.pdf"], r"ends in none of \.md, \.csv, \.tex"),
        (["no/such/table.md"], "lies in no existing folder"),
        (["a.csv", "a-tests.csv"], r"a-tests\.csv twice"),
        (["a.md", "a.md"], r"a\.md twice"),
        (["there.md"], "exists and is kept"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(names: list[str], words: str, tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("mine")
    with pytest.raises(InputError, match=words):
        refuse_unwritable([tmp_path / name for name in names], force=False)


def test_a_file_that_is_there_may_be_replaced_by_force(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("mine")
    refuse_unwritable([tmp_path / "there.md", tmp_path / "new.csv"], force=True)
