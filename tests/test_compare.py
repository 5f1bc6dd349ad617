"""The comparison as a user starts it, on run folders made here."""

import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedmed.core.cli import run_script
from result_stat import compare
from tests import scripts

MakeRun = Callable[..., Path]
Dice = dict[str, dict[str, float]]


def dice(lower: float = 0.0, cases: int = 12) -> Dice:
    """Cases of different difficulty, each in every region ``lower`` than it would be, and more so the later it is."""
    hard = np.random.default_rng(0).beta(5, 1.5, cases) * 0.9
    return {
        f"case-{n}": {
            r: float(hard[n] + shift - lower * (1 + 0.01 * n)) for r, shift in zip(REGIONS, SHIFT, strict=True)
        }
        for n in range(cases)
    }


REGIONS, SHIFT = ("TC", "WT", "ET"), (0.0, 0.05, -0.05)


def script(*arguments: object) -> subprocess.CompletedProcess[str]:
    place = scripts.ROOT / "result_stat"
    return scripts.run(place / "compare.py", *arguments, cwd=place)


def test_runs_are_compared_and_every_kind_of_file_is_written(scored_run: MakeRun, tmp_path: Path) -> None:
    runs = [scored_run(dice()), scored_run(dice(0.03), "--enable_dp")]
    outs = [tmp_path / name for name in ("out.md", "out.csv", "out.tex")]
    done = script(*runs, *(word for out in outs for word in ("--out", out)))
    assert done.returncode == 0, done.stderr
    assert done.stdout == outs[0].read_text()
    assert "run-002 (fedavg, 2 sites, svt) is worse than run-001 (fedavg, 2 sites) in Dice by 0.03" in done.stdout
    assert "heuristic: no meaningful epsilon" in done.stdout
    assert "- Data: set." in done.stdout
    numbers = pd.read_csv(outs[1])
    assert numbers["overall"].tolist() == pytest.approx(
        [np.mean([list(values.values()) for values in table.values()]) for table in (dice(), dice(0.03))]
    )
    assert (numbers["seconds"] == 2).all()
    tests = pd.read_csv(tmp_path / "out-tests.csv")
    assert tests["target"].tolist() == ["overall", "TC", "WT", "ET"]
    assert (tests["rank_biserial"] == -1).all()
    assert tests["p"].tolist() == pytest.approx([2 / 2**12] * 4)
    assert tests["p_holm"].tolist() == pytest.approx([8 / 2**12] * 4)
    assert outs[2].read_text().count(r"\begin{tabular}") == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere", "/elsewhere"], "/nowhere holds no experiment.json"),
        (["/nowhere"], "needs at least two runs"),
        (["/nowhere", "/nowhere"], "/nowhere is named twice"),
        ([], "the following arguments are required: RUN"),
        (["/nowhere", "/elsewhere", "--out", "table.pdf"], "ends in none of .md, .csv, .tex"),
        (["/nowhere", "/elsewhere", "--out", "/no/such/table.md"], "lies in no existing folder"),
        (["/nowhere", "/elsewhere", "--out", "/a.csv", "--out", "/a-tests.csv"], "/a-tests.csv twice"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script(compare.main, arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert words in told
    assert told.count("\n") == 1


def test_a_mistake_shows_no_traceback(scored_run: MakeRun) -> None:
    done = script(scored_run(dice()), scored_run(dice(cases=11)))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "error: run-001 was scored on case-11 and run-002 was not (12 and 11 cases); score both on the same cases with "
        "result_stat/evaluate.py.\n"
    )


def test_an_output_that_exists_is_kept_unless_forced(
    scored_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [str(scored_run(dice())), str(scored_run(dice(0.03)))]
    (tmp_path / "out-tests.csv").write_text("mine")
    command = [*runs, "--out", str(tmp_path / "out.csv")]
    assert run_script(compare.main, command) == 2
    assert "out-tests.csv exists and is kept" in capsys.readouterr().err
    assert (tmp_path / "out-tests.csv").read_text() == "mine"
    assert not (tmp_path / "out.csv").exists()
    assert run_script(compare.main, [*command, "--force"]) == 0
    assert (tmp_path / "out-tests.csv").read_text() != "mine"


def test_other_metrics_and_models(scored_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    far = {case: {region: 10 * (1 - value) for region, value in of.items()} for case, of in dice().items()}
    farther = {case: {region: 12 * (1 - value) for region, value in of.items()} for case, of in dice().items()}
    runs = [str(scored_run(table, metric="hd95", model="last")) for table in (far, farther)]
    assert run_script(compare.main, [*runs, "--model", "last", "--metric", "hd95"]) == 0
    told = capsys.readouterr().out
    assert "is worse than run-001 (fedavg, 2 sites) in HD95 by" in told
    assert " mm on average over 12 cases" in told
    assert run_script(compare.main, [*runs, "--model", "last", "--metric", "volume"]) == 2
    assert "--metric is volume; expected one of dice, challenge_dice" in capsys.readouterr().err
    assert run_script(compare.main, [*runs, "--model", "last"]) == 2
    assert "has no dice; make it anew with: python result_stat/evaluate.py" in capsys.readouterr().err


def test_personal_models_are_compared_with_those_of_sites_alone(
    scored_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    algorithms = (("--algorithm", "local"), ("--algorithm", "ditto"))
    runs = [
        str(scored_run(dice(lower), *named, model="own")) for lower, named in zip((0.03, 0.0), algorithms, strict=True)
    ]
    assert run_script(compare.main, [*runs, "--model", "own"]) == 0
    told = capsys.readouterr().out
    assert "run-002 (ditto, 2 sites)" in told
    assert "A best model was chosen by its scores on validation cases, which flatters it" in told
    assert run_script(compare.main, [runs[0], str(scored_run(dice())), "--model", "own"]) == 2
    assert "evaluate.py" in (said := capsys.readouterr().err)
    assert said.strip().endswith("--model own")


def test_a_region_without_any_value_is_left_out(scored_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    tables = [{case: {**of, "ET": math.nan} for case, of in dice(lower).items()} for lower in (0.0, 0.03)]
    assert run_script(compare.main, [str(scored_run(table)) for table in tables]) == 0
    told = capsys.readouterr().out
    assert "| run-002 - run-001 | WT |" in told
    assert "| run-002 - run-001 | ET |" not in told
    assert "after Holm over 3 tests" in told
