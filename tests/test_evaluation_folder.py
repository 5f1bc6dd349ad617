"""An evaluation is finished and whole, or can be gone on with; what is there is not replaced unasked."""

import math
from pathlib import Path

import pandas as pd
import pytest

from fedmed.errors import InputError
from fedmed.evaluation_folder import EvaluationFolder
from fedmed.tasks.base import Row

IDENTITY = {"weights_sha256": "ab", "split": "validation"}
ROWS = [Row("a", "TC", "dice", 0.25), Row("a", "ET", "dice", math.nan)]
CASES = pd.DataFrame([{"run": "r", "site": "s", "case": "NA", "region": "TC", "metric": "dice", "value": math.nan}])
TABLE = pd.DataFrame(
    [("pooled", "TC", "dice", 1, 0.5, 0.5, math.nan, 0.4, 0.6)],
    columns=["site", "region", "metric", "cases", "mean", "median", "std", "low", "high"],
)


@pytest.fixture
def folder(tmp_path: Path) -> EvaluationFolder:
    return EvaluationFolder(tmp_path / "run" / "evaluation" / "best-validation")


def test_what_was_interrupted_is_gone_on_with(folder: EvaluationFolder) -> None:
    folder.begin(IDENTITY).add(("site-1", "a"), ROWS)
    assert not folder.finished(IDENTITY)
    again = folder.begin(IDENTITY)
    assert list(again.rows) == [("site-1", "a")]
    assert again.rows["site-1", "a"][0] == ROWS[0]
    assert math.isnan(again.rows["site-1", "a"][1].value)


def test_a_line_that_was_not_finished_is_made_anew(folder: EvaluationFolder) -> None:
    folder.begin(IDENTITY).add(("site-1", "a"), ROWS)
    path = folder.path / "progress.jsonl"
    path.write_text(path.read_text() + '["site-1", "b", [["TC", "di')
    again = folder.begin(IDENTITY)
    assert list(again.rows) == [("site-1", "a")]
    again.add(("site-1", "b"), ROWS)
    assert list(folder.begin(IDENTITY).rows) == [("site-1", "a"), ("site-1", "b")]


def test_what_is_finished_says_so_and_is_read_back(folder: EvaluationFolder) -> None:
    folder.begin(IDENTITY).add(("site-1", "NA"), ROWS)
    folder.finish(CASES, TABLE, {**IDENTITY, "seconds": 3})
    assert folder.finished(IDENTITY)
    assert folder.document()["seconds"] == 3
    pd.testing.assert_frame_equal(folder.cases(), CASES, check_dtype=False)  # a case called NA is none that is missing
    pd.testing.assert_frame_equal(folder.table(), TABLE, check_dtype=False)
    assert sorted(path.name for path in folder.path.iterdir()) == ["cases.csv", "evaluation.json", "table.csv"]


@pytest.mark.parametrize("finished", [True, False])
def test_another_evaluation_is_not_replaced_unasked(folder: EvaluationFolder, finished: bool) -> None:
    folder.begin(IDENTITY).add(("site-1", "a"), ROWS)
    if finished:
        folder.finish(CASES, TABLE, IDENTITY)
    with pytest.raises(InputError, match=r"differs in weights_sha256; give --force"):
        folder.finished({**IDENTITY, "weights_sha256": "cd"})
    folder.clear()
    assert not folder.finished({**IDENTITY, "weights_sha256": "cd"})


def test_a_document_that_is_spoiled_is_told_of(folder: EvaluationFolder) -> None:
    folder.begin(IDENTITY)
    folder.finish(CASES, TABLE, IDENTITY)
    (folder.path / "evaluation.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        folder.document()


def test_no_evaluation_is_told_of(folder: EvaluationFolder) -> None:
    with pytest.raises(InputError, match=r"evaluate\.py"):
        folder.document()
