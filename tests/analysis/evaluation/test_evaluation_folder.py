"""An evaluation is finished and whole, or can be gone on with; what is there is not replaced unasked."""

import math
from pathlib import Path

import pandas as pd
import pytest

from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.core.errors import InputError
from fedmed.tasks.base import Row

IDENTITY = {"weights_sha256": "ab", "split": "validation"}
ABOUT = {**IDENTITY, "run": "r", "model": "best", "data": "d", "flips": False}
ABOUT |= {"cases": ["NA"], "patients": {"NA": "p"}, "truth_sha256": {"NA": "cd"}}
ROWS = [Row("a", "TC", "dice", 0.25), Row("a", "ET", "dice", math.nan)]
CASES = pd.DataFrame([{"run": "r", "site": "s", "case": "NA", "target": "TC", "quantity": "dice", "value": math.nan}])
TABLE = pd.DataFrame(
    [("pooled", "TC", "dice", 1, 1, 0.5, 0.5, math.nan, 0.4, 0.6)],
    columns=["site", "target", "metric", "cases", "patients", "value", "median", "std", "low", "high"],
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
    folder.finish(CASES, TABLE, {**ABOUT, "seconds": 3})
    assert folder.finished(IDENTITY)
    assert folder.document()["seconds"] == 3
    pd.testing.assert_frame_equal(folder.cases(), CASES, check_dtype=False)  # a case called NA is none that is missing
    pd.testing.assert_frame_equal(folder.table(), TABLE, check_dtype=False)
    assert sorted(path.name for path in folder.path.iterdir()) == ["cases.csv", "evaluation.json", "table.csv"]


@pytest.mark.parametrize("finished", [True, False])
def test_another_evaluation_is_not_replaced_unasked(folder: EvaluationFolder, finished: bool) -> None:
    folder.begin(IDENTITY).add(("site-1", "a"), ROWS)
    if finished:
        folder.finish(CASES, TABLE, ABOUT)
    with pytest.raises(InputError, match=r"differs in weights_sha256; give --force"):
        folder.finished({**IDENTITY, "weights_sha256": "cd"})


def test_what_was_made_stays_until_the_new_is_whole(folder: EvaluationFolder) -> None:
    folder.begin(IDENTITY)
    folder.finish(CASES, TABLE, ABOUT)
    other = {**IDENTITY, "weights_sha256": "cd"}
    folder.begin(other).add(("site-1", "a"), ROWS)  # as with --force, and stopped
    assert folder.document()["weights_sha256"] == "ab"
    assert list(folder.begin(other).rows) == [("site-1", "a")]
    folder.finish(CASES, TABLE, {**ABOUT, **other})
    assert folder.finished(other)


def test_what_was_begun_and_cannot_be_read_is_begun_anew_or_told_of(folder: EvaluationFolder) -> None:
    path = folder.path / "progress.jsonl"
    folder.begin(IDENTITY).add(("site-1", "a"), ROWS)
    first, second = path.read_bytes().splitlines(keepends=True)
    for foreign in (b"nonsense\n", b"[1]\n", b"\xff\xfe\n"):
        path.write_bytes(foreign + second)
        assert not folder.finished(IDENTITY)
        assert folder.begin(IDENTITY).rows == {}
    path.write_bytes(first + b"{\n" + second)
    with pytest.raises(InputError, match="is damaged"):
        folder.begin(IDENTITY)


@pytest.mark.parametrize("name", ["cases.csv", "table.csv"])
def test_a_table_of_other_columns_is_told_of(folder: EvaluationFolder, name: str) -> None:
    folder.begin(IDENTITY)
    folder.finish(CASES, TABLE, ABOUT)
    (folder.path / name).write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=rf"{name} cannot be read \(expected the columns"):
        (folder.cases if name == "cases.csv" else folder.table)()


@pytest.mark.parametrize(
    ("text", "words"), [("{", "cannot be read"), ("[1]", "not as an evaluation"), ("{}", "not as")]
)
def test_a_document_that_is_spoiled_is_told_of(folder: EvaluationFolder, text: str, words: str) -> None:
    folder.begin(IDENTITY)
    folder.finish(CASES, TABLE, ABOUT)
    (folder.path / "evaluation.json").write_text(text)
    with pytest.raises(InputError, match=words):
        folder.document()


def test_no_evaluation_is_told_of(folder: EvaluationFolder) -> None:
    with pytest.raises(InputError, match=r"evaluate\.py"):
        folder.document()


def test_a_folder_of_an_earlier_version_is_opened(folder: EvaluationFolder) -> None:
    folder.path.mkdir(parents=True)
    (folder.path / "cases.csv").write_text(
        "run,site,case,region,metric,value\nrun-001,site-1,NA,TC,dice,0.25\nrun-001,site-1,NA,ET,dice,\n"
    )
    (folder.path / "table.csv").write_text(
        "site,region,metric,cases,patients,mean,median,std,low,high\npooled,overall,dice,1,1,0.25,0.25,,,\n"
    )
    cases, table = folder.cases(), folder.table()
    assert cases[["case", "target", "quantity"]].to_numpy().tolist() == [["NA", "TC", "dice"], ["NA", "ET", "dice"]]
    assert cases["value"].tolist() == pytest.approx([0.25, math.nan], nan_ok=True)
    assert table.loc[0, ["site", "target", "metric", "value"]].tolist() == ["pooled", "overall", "dice", 0.25]
    assert math.isnan(table.loc[0, "low"])
