"""A server that is killed at any moment and started again on the same folder ends with the bits of one that was not."""

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fedmed.algorithms.base import Algorithm
from fedmed.core.errors import InputError
from fedmed.core.messages import Answer, Question
from fedmed.core.names import BEST_FILE
from fedmed.core.weights import digest, load_weights
from fedmed.server import federation_server
from fedmed.server.checkpoint import CHECKPOINT, SUBMITTER, Checkpoints
from fedmed.server.federation_server import FederationServer
from fedmed.server.round_record import EARLIER
from tests.server.federations_in_memory import (
    ENTRIES,
    FIRST,
    SITES,
    Event,
    Federation,
    Killed,
    all_well,
    answers,
    bits_of,
    fails,
    honest,
    plan,
)

Begin = Callable[..., Federation]
CHANGES: dict[str, dict[str, Any]] = {
    "all sites": {},
    "some sites": {"sites_per_round": 2, "validate_every": 2},
    "measured": {"measures_statistics": True, "validate_every": 2},
    "with a budget": {"max_epsilon": 2.5, "books": True},
    "by the scores": {"rounds": 6, "schedule": "plateau", "patience": 0, "learning_rate": 0.5},
    "until it is no better": {"rounds": 9, "early_stopping": 2},
}


@pytest.fixture
def federation(tmp_path: Path) -> Begin:
    """Makes a federation of three sites, each in a place of its own; takes other values of its plan."""
    numbers = itertools.count()
    return lambda **changed: Federation(tmp_path / f"run-{next(numbers)}", plan(**changed))


def result(run: Federation) -> tuple[Any, ...]:
    """The models and the records, but for the time and the mark of an earlier job's."""
    records = [{**record, "seconds": 0} for record in run.records]
    for record in records:
        record.pop(EARLIER, None)
    best = run.files.models / BEST_FILE
    return run.bits, bits_of(load_weights(best)) if best.exists() else None, json.dumps(records)


def resumed(run: Federation) -> Federation:
    """Run, and once more after each kill."""
    for _ in range(10):
        try:
            return run.run()
        except Killed:
            continue
    raise AssertionError("It is killed for ever.")


def kill_at(run: Federation, number: int) -> None:
    """Kill the server at the ``number``-th moment after a question or an answer."""
    moments = itertools.count()

    def on(moment: str, question: Question) -> None:
        if next(moments) == number:
            raise Killed

    run.on = on


@pytest.mark.parametrize("name", CHANGES)
def test_after_any_question_and_any_answer(name: str, federation: Begin) -> None:
    whole, moments = federation(**CHANGES[name]), list[str]()
    whole.on = lambda moment, question: moments.append(moment)
    expected = result(whole.run())
    assert len(moments) > 12
    for number in range(len(moments)):
        run = federation(**CHANGES[name])
        kill_at(run, number)
        assert result(resumed(run)) == expected, f"killed at moment {number}"
        assert run.jobs == 2


def test_killed_again_and_again(federation: Begin) -> None:
    run, killed = federation(), set[tuple[str, int]]()

    def on(moment: str, question: Question) -> None:
        if moment == "answered" and (question.kind, question.rounds) not in killed:
            killed.add((question.kind, question.rounds))
            raise Killed

    run.on = on
    assert result(resumed(run)) == result(federation().run())
    assert run.jobs == 9  # once at each question, and the data are compared anew by each job


def test_its_rate_follows_the_scores_of_all_jobs_of_the_run(federation: Begin) -> None:
    def falls(site: str, question: Question) -> Answer:
        """Each model is worse than the one before."""
        score = {"val_dice": 0.9 - question.rounds / 10, "val_cases": 3}
        return dataclasses.replace(honest(site, question), metrics=score)

    def play(question: Question) -> list[Event]:
        return [answers(site, made=falls if question.kind != "images" else honest) for site in question.sites]

    run = federation(**CHANGES["by the scores"])
    run.on = lambda moment, question: _kill_once(run, question)
    for _ in range(2):
        with contextlib.suppress(Killed):
            run.run(play)
    assert run.jobs == 2
    asked = {question.rounds: question.rate_factor for question in run.questions if question.kind == "train"}
    assert asked == {0: 1, 1: 1, 2: 1, 3: 0.5, 4: 0.25, 5: 0.125}
    assert [record["learning_rate"] for record in run.completed] == [0.5 * factor for factor in asked.values()]
    assert all("learning_rate" not in record for record in run.records if record.get("final"))


def _kill_once(run: Federation, question: Question) -> None:
    if run.jobs == 1 and question.rounds == 4:
        raise Killed


def test_without_a_schedule_nothing_is_said_of_the_rate(federation: Begin) -> None:
    run = federation().run()
    assert {question.rate_factor for question in run.questions} == {1.0}
    assert not any("learning_rate" in record for record in run.records)


WRITES = ("add", "save")


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("write", [*WRITES, "save_weights"])
@pytest.mark.parametrize("number", range(3))
def test_while_a_round_is_written(
    write: str, number: int, before: bool, federation: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = result(federation().run())
    place: Any = Checkpoints if write in WRITES else federation_server
    usual, calls = getattr(place, write), itertools.count()

    def cut(*args: Any, **kwargs: Any) -> Any:
        here = next(calls) == number
        if here and before:
            raise Killed
        found = usual(*args, **kwargs)
        if here:
            raise Killed
        return found

    with monkeypatch.context() as patched:
        patched.setattr(place, write, cut)
        run = federation()
        with pytest.raises(Killed):
            run.run()
    assert result(run.run()) == expected


def test_with_an_algorithm_that_has_a_state(federation: Begin, toy_algorithm: type[Algorithm]) -> None:
    toy = {"name": "toy_algorithm", "toy_private": "b"}
    changed = {"algorithm": toy, "entries": {**ENTRIES, "trainable": ["w"]}, "max_update_ratio": 0.0}

    def with_extras(site: str, question: Question) -> Answer:
        answer = honest(site, question)
        if question.kind == "images":
            return dataclasses.replace(answer, unshared=digest({"b": FIRST["b"]}))  # which the sites have
        update = {name: values for name, values in answer.update.items() if name != "b"}
        extras = {"w": np.full((3, 4), 0.1 * SITES.index(site), np.float32)} if update else {}
        return dataclasses.replace(answer, update=update, extras=extras)

    def play(question: Question) -> list[Event]:
        return [answers(site, made=with_extras) for site in question.sites]

    whole = federation(**changed).run(play)
    for number in range(2, 17, 3):
        run = federation(**changed)
        kill_at(run, number)
        with pytest.raises(Killed):
            run.run(play)
        assert result(run.run(play)) == result(whole)
    assert not np.array_equal(whole.model["w"], federation().run().model["w"])
    assert np.array_equal(whole.model["b"], FIRST["b"])  # which never leaves a site


def test_the_earlier_rounds_are_marked_and_the_budget_goes_on(federation: Begin) -> None:
    run = federation(rounds=5, max_epsilon=3.0, books=True)
    kill_at(run, 12)
    with pytest.raises(Killed):
        run.run()
    assert len(run.completed) == 2
    run.run()
    assert [EARLIER in record for record in run.records] == [True, True, False, False]
    assert "stopped after 3 of 5 rounds" in run.records[-1]["stopped"]  # as each entry says by itself


def test_a_budget_that_an_earlier_job_spent_is_spent(federation: Begin) -> None:
    run = federation(rounds=5, max_epsilon=1.5, books=True)
    kill_at(run, 8)  # when the last scoring is asked for
    with pytest.raises(Killed):
        run.run()
    assert [record["privacy"]["site-1"]["epsilon_total"] for record in run.completed] == [1.0]
    run.run()
    assert [each.kind for each in run.questions[-2:]] == ["images", "score"]


def test_a_failed_round_is_no_part_of_what_goes_on(federation: Begin) -> None:
    run = federation()
    with pytest.raises(RuntimeError, match="site-2: out of memory"):
        run.run(lambda question: [fails("site-2")] if question.rounds == 2 else all_well(question))
    assert run.records[-1]["failed"] is True
    assert result(run.run()) == result(federation().run())


def test_one_job_at_a_time(federation: Begin) -> None:
    run = federation()
    server = run.begin()
    with pytest.raises(RuntimeError, match="Another job of this run is at work"):
        run.begin()
    assert server.next(SITES, run.now) is not None


def begun_by(run: Federation, submitter: str | None) -> FederationServer:
    run.jobs += 1
    first = {name: torch.from_numpy(values.copy()) for name, values in FIRST.items()}
    return FederationServer(run.plan, run.files, lambda: first, run.now, run.reports.append, submitter)


def test_only_who_began_a_run_goes_on_with_it(federation: Begin) -> None:
    run = federation()
    begun_by(run, "lead@a.org").leave()
    for _ in range(2):  # a refusal leaves nothing held
        with pytest.raises(InputError, match=r"begun by lead@a\.org and the job is of other@b\.org"):
            begun_by(run, "other@b.org")
    begun_by(run, "lead@a.org").leave()
    begun_by(run, None).leave()  # on the machine of the user who has the folder


def test_a_run_that_nobody_known_began_is_the_first_users_who_goes_on_with_it(federation: Begin) -> None:
    run = federation()
    begun_by(run, None).leave()
    begun_by(run, "lead@a.org").leave()
    with pytest.raises(InputError, match="begun by lead"):
        begun_by(run, "other@b.org")


def test_an_owner_that_cannot_be_read_lets_nobody_in(federation: Begin) -> None:
    run = federation()
    begun_by(run, "lead@a.org").leave()
    (run.place / "state" / SUBMITTER).write_text("[]")
    with pytest.raises(InputError, match="cannot be read"):
        begun_by(run, "lead@a.org")


def test_a_damaged_checkpoint_is_refused_and_left_as_it_is(federation: Begin) -> None:
    run = federation()
    kill_at(run, 9)
    with pytest.raises(Killed):
        run.run()
    path = run.place / "state" / CHECKPOINT
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        run.begin()
    assert path.read_text() == "{"


def test_a_finished_run_that_is_taken_up_again_is_scored_again(federation: Begin) -> None:
    run = federation().run()
    expected = result(run)
    assert result(run.run()) == expected
    assert [each.kind for each in run.questions[-2:]] == ["images", "score"]


def test_the_job_leaves_its_records_themselves(federation: Begin) -> None:
    run = federation()
    run.run()
    left = run.files.run / "rounds.jsonl"
    assert not left.is_symlink()
    assert left.read_bytes() == (run.place / "state" / "rounds.jsonl").read_bytes()
