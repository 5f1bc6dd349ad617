"""A run that ends where its scores no longer rise: by hand, and of a whole run in memory."""

from dataclasses import replace
from pathlib import Path

import pytest

from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.messages import Answer, Question
from fedmed.server.early_stopping import EarlyStopping
from tests.server.federations_in_memory import Federation, answers, honest, plan

SCORES = [0.5, 0.6, 0.60005, 0.55, 0.5, 0.9, 0.9, 0.9, 0.9]
"""Of the models after 0, 1, 2, ... rounds."""


def scored(site: str, question: Question) -> Answer:
    return replace(honest(site, question), metrics={"val_dice": SCORES[question.rounds], "val_cases": 3})


def test_it_counts_scores_since_the_best_one_and_a_hardly_better_one_is_none() -> None:
    early, told = EarlyStopping(3), []
    for rounds, score in enumerate(SCORES[:5]):
        early.take(rounds, score)
        told.append(early.reason)
    assert told == [*[""] * 4, "no score is above 0.6000, that after round 1, since 3 scores"]
    early.take(5, SCORES[5])
    assert early.reason == told[-1]  # however good the last model is
    never = EarlyStopping(None)
    for rounds in range(100):
        never.take(rounds, 0.5)
    assert never.reason == ""


def test_a_run_ends_early_and_its_last_model_is_scored(tmp_path: Path) -> None:
    run = Federation(tmp_path / "run", plan(rounds=8, early_stopping=3))
    run.run(lambda question: [answers(site, made=scored) for site in question.sites])
    assert len(run.completed) == 5  # the score of the fourth model comes with the fifth round's answers
    assert run.records[-1]["stopped"] == (
        "stopped after 5 of 8 rounds: no score is above 0.6000, that after round 1, since 3 scores"
    )
    assert [each.kind for each in run.questions[-2:]] == ["train", "score"]
    longer = Federation(tmp_path / "longer", plan(rounds=8, early_stopping=4))
    longer.run(lambda question: [answers(site, made=scored) for site in question.sites])
    assert len(longer.completed) == 8
    assert "stopped" not in longer.records[-1]


def test_it_is_refused_where_it_has_no_scores_or_no_number() -> None:
    assert read_experiment(["--early_stopping", "4"]).training.early_stopping == 4
    with pytest.raises(InputError, match="early_stopping"):
        read_experiment(["--early_stopping", "0"])
    private = ["--privacy", "gaussian", "--dp_noise_multiplier", "1"]
    with pytest.raises(InputError, match="--early_stopping follows the scores"):
        read_experiment(["--early_stopping", "4", *private])
