"""Reading evaluated runs, and what keeps them from being compared."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmed.analysis.comparison.compared_run import metric_of, read_runs
from fedmed.core.errors import InputError
from fedmed.privacy.ledger import Entry, Ledger

MakeRun = Callable[..., Path]
DICE = {"case-1": {"TC": 0.5, "WT": 0.6}, "case-2": {"TC": 0.7, "WT": 0.8}}


def test_a_run_is_read_with_its_evaluation_its_cost_and_what_it_spent(scored_run: MakeRun) -> None:
    first, second = read_runs(
        [scored_run(DICE), scored_run(DICE, "--enable_dp", site={"case-1": "site-1"})], None, "validation"
    )
    assert (first.label, first.model, first.status) == ("run-001", "best", "finished")
    assert first.cases["value"].tolist() == [0.5, 0.6, 0.7, 0.8]
    assert first.cost == (1, 2.0, None)
    assert (first.spent.guarantee, second.spent.guarantee) == ("none", "heuristic")
    assert second.cases["site"].tolist() == ["site-1", "site-1", "shared", "shared"]
    assert second.patients == {"case-1": "case-1", "case-2": "case-2"}


FORMAL = ("--privacy", "gaussian", "--dp_noise_multiplier", "1")


def test_where_no_best_model_was_chosen_the_last_is_the_usual_one(scored_run: MakeRun, tmp_path: Path) -> None:
    mechanism = {"name": "gaussian", "unit": "site's update", "guarantee": "formal"}
    ledger = Ledger("run-001", mechanism, [Entry("site-1", 1, 4.0, 4.0, 5.0, 1e-5)]).document()
    paths = [scored_run(DICE, *FORMAL, model="last", ledger=ledger), scored_run(DICE)]
    assert [run.model for run in read_runs(paths, None, "validation")] == ["last", "best"]
    with pytest.raises(InputError, match=r"run-001 has no evaluation of its best model on validation cases"):
        read_runs(paths, "best", "validation")


def test_a_missing_evaluation_is_named_with_the_command_that_makes_it(scored_run: MakeRun) -> None:
    paths = [scored_run(DICE), scored_run(DICE, model="last")]
    with pytest.raises(InputError) as refused:
        read_runs(paths, None, "validation")
    assert str(refused.value).endswith(f"make it with: python result_stat/evaluate.py {paths[1]} --model best")
    with pytest.raises(InputError, match=r"evaluate.py \S+/run-001 --model last --split test$"):
        read_runs(paths, "last", "test")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"flips": True}, "run-002 was scored with another use of mirrored copies"),
        ({"label_scheme": "brats23"}, r"another label scheme than run-001 \(brats23, not None\)"),
        ({"truth_sha256": {"case-1": "truth of case-1", "case-2": "edited"}}, "The truth of case-2 is another one"),
        ({"patients": {"case-1": "p", "case-2": "case-2"}}, "The patient of case-1 is another one for run-002"),
    ],
)
def test_runs_that_were_scored_otherwise_are_refused(scored_run: MakeRun, other: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_runs([scored_run(DICE), scored_run(DICE, **other)], None, "validation")


@pytest.mark.parametrize("more_first", [True, False])
def test_other_cases_are_refused_by_the_first_that_differs(scored_run: MakeRun, more_first: bool) -> None:
    more = {**DICE, "case-3": {"TC": 0.1, "WT": 0.2}, "case-4": {"TC": 0.1, "WT": 0.2}}
    paths = [scored_run(more), scored_run(DICE)] if more_first else [scored_run(DICE), scored_run(more)]
    with pytest.raises(InputError, match=r"was scored on case-3 and run-00\d was not \(4 and 2 cases\)"):
        read_runs(paths, None, "validation")


def test_one_run_is_no_comparison(scored_run: MakeRun) -> None:
    run = scored_run(DICE)
    with pytest.raises(InputError, match="at least two runs, and 1 is named"):
        read_runs([run], None, "validation")
    link = run.parent / "link"
    link.symlink_to(run)
    with pytest.raises(InputError, match="link is named twice"):
        read_runs([run, link], None, "validation")


def test_runs_of_one_name_keep_apart(scored_run: MakeRun, tmp_path: Path) -> None:
    run = scored_run(DICE)
    paths = [tmp_path / side / "runs" / "run-001" for side in ("left", "right")]
    for path in paths:
        shutil.copytree(run, path)
    assert [each.label for each in read_runs(paths, None, "validation")] == ["left/runs/run-001", "right/runs/run-001"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("evaluation.json", "{}"),
        ("evaluation.json", "[]"),
        ("evaluation.json", "{"),
        ("cases.csv", "run,site,case,region,metric,value\nrun-001,shared,case-9,TC,dice,0.5\n"),
        ("cases.csv", "case,value\ncase-1,0.5\n"),
        ("cases.csv", "run,site,case,region,metric,value\nrun-001,shared,case-1,TC,dice,much\n"),
        ("cases.csv", ""),
    ],
)
def test_an_evaluation_that_was_damaged_is_refused(scored_run: MakeRun, name: str, content: str) -> None:
    paths = [scored_run(DICE), scored_run(DICE)]
    (paths[0] / "evaluation" / "best-validation" / name).write_text(content)
    with pytest.raises(InputError, match=r"anew with"):
        read_runs(paths, None, "validation")


def test_a_metric_must_be_known_say_what_is_better_and_have_values(scored_run: MakeRun) -> None:
    runs = read_runs([scored_run(DICE), scored_run(DICE)], None, "validation")
    assert metric_of(runs, "dice").title == "Dice"
    with pytest.raises(InputError, match="--metric is volume_error; expected one of dice, challenge_dice, hd95"):
        metric_of(runs, "volume_error")
    with pytest.raises(InputError, match=r"run-001 has no hd95; make it anew with: .*run-001 --model best --force"):
        metric_of(runs, "hd95")
