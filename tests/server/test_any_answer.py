"""Whatever some sites send, the global model stays sound, the record whole, and the run goes on with the others."""

import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fedmed.algorithms.base import Algorithm
from fedmed.core.messages import Answer, Question
from fedmed.core.site_scores import BESIDE_FIGURES, KeyScore
from fedmed.privacy.ledger import MOST_CHARACTERS, Entry
from fedmed.runs import console, history
from fedmed.server import words
from tests.server.federations_in_memory import (
    FIRST,
    Event,
    Federation,
    answers,
    entry_of,
    honest,
    number_of,
    plan,
)

HONEST = tuple(f"honest-{number:02d}" for number in range(16))
HOSTILE = tuple(f"other-{number:02d}" for number in range(14))
ROUNDS = 3
QUESTIONS = ROUNDS + 2
EXAMPLES = 150
LARGE = 1e4
"""No entry of the model grows beyond that in three rounds in which honest updates are of about 1."""

KEY = KeyScore("val_dice", "Dice", ("TC", "WT"))
FIGURES = {
    name: {"least": 0.0, "most": 1.0, "per_case": 3, "sums": []} for name in (KEY.name, *map(KEY.of, KEY.targets))
}
COUNTS = {"val_cases", "train_loss_values", *(f"{name}_values" for name in FIGURES)}
NAMES = [*FIGURES, *COUNTS, *BESIDE_FIGURES, "site", "round", "val_x", "epsilon", "megabytes_sent", "refused"]


def test_there_are_at_least_ten_thousand() -> None:
    assert EXAMPLES * QUESTIONS * len(HOSTILE) >= 10_000


# values


class Many(dict[str, float]):
    """A mapping that is not printed whole."""

    def __repr__(self) -> str:
        return f"{len(self)} figures"


numbers = st.one_of(
    st.sampled_from([0, 1, -1, -10, 10, 2**53, 2**53 + 1, 2**62, 2**63, 10**9, 10**12, 10**400, -(10**400)]),
    st.sampled_from([0.0, -0.0, 0.5, 1.5, 9e9, 1e12, 1e300, 1e308, -1e308, 5e-324, float("nan"), float("inf")]),
    st.integers(-5, 50),
    st.floats(),
)
atoms = st.one_of(
    numbers,
    st.sampled_from(
        [None, True, False, "", "text", b"bytes", "\x1b[2J", "\ud800", "x" * 5000, 1j, {1, 2}, (), object()]
    ),
    st.sampled_from([np.float32(1), np.float64("nan"), np.int64(3), np.bool_(True), np.datetime64("2020-01-01")]),
)
names = st.one_of(st.sampled_from(NAMES), st.sampled_from([1, None, b"val_dice", ("w",), "", "x" * 5000, "\x1b"]))
structures = st.one_of(
    atoms,
    st.lists(atoms, max_size=3),
    st.dictionaries(names, atoms, max_size=3),
    st.just([[1.0], [1.0, 2.0]]),
    st.just(Many({f"val_{number}": 1.0 for number in range(2000)})),
)

KINDS = ["e", "f", "d", "g", "F", "D", "b", "B", "h", "i", "l", "Q", "?", "O", "U3", "S3", "M8[s]"]
SHAPES = [(3, 4), (3, 4), (3, 4), (2,), (2,), (), (4, 3), (0,), (3, 4, 1), (1, 2)]
FILLS = [0, 1, -1, 0.25, float("nan"), float("inf"), -float("inf"), 3.4e38, -3.4e38, 1e300, 1e-320, 2.0**62, 1e6]


def array(kind: str, shape: tuple[int, ...], fill: float) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return np.full(shape, fill).astype(kind)
        except (ValueError, TypeError, OverflowError):
            return np.full(shape, fill, object)


arrays = st.builds(array, st.sampled_from(KINDS), st.sampled_from(SHAPES), st.sampled_from(FILLS))


# changes of an honest answer


class Change(NamedTuple):
    """Another value of a field of the answer, or of one name in it."""

    field: str
    name: Any
    value: Any


class All:
    """In the place of a name: the field itself."""


entries = st.sampled_from([*FIRST, "x", 1, None])
ENTRY_NAMES = [*entry_of("a", 0), "more"]
facts = st.dictionaries(st.sampled_from(["clip", "steps", "Bad", "", "x" * 70, 1]), structures, max_size=2)
nonsense = st.one_of(
    st.builds(Change, st.just("update"), entries, st.one_of(arrays, arrays, atoms)),
    st.builds(Change, st.just("scale"), entries, st.sampled_from([0.0, -1.0, 1e-30, 1e3, 1e6, 1e9, 1e30])),
    st.builds(Change, st.sampled_from(["steps", "cases", "withheld"]), st.just(All), atoms),
    st.builds(Change, st.just("metrics"), names, atoms),
    st.builds(Change, st.just("entry"), st.sampled_from(ENTRY_NAMES), st.one_of(atoms, facts)),
    st.builds(Change, st.just("entry"), st.just("facts"), facts),
    st.builds(Change, st.just("extras"), entries, st.one_of(arrays, atoms)),
    st.builds(
        Change, st.just("images"), st.sampled_from(["key", "training", "validation", "validation_cases"]), structures
    ),
    st.builds(
        Change,
        st.sampled_from(["update", "metrics", "entry", "extras", "images"]),
        st.just(All),
        structures,
    ),
)

many = st.sampled_from([1, 10**3, 10**9, 2**53])
large = st.sampled_from([1e3, 1e6, 1e9, 1e30, 3e38])
lies = st.one_of(  # what is of the right form
    st.builds(Change, st.just("update"), st.just("w"), large.map(lambda fill: np.full((3, 4), fill, np.float32))),
    st.builds(
        Change,
        st.just("update"),
        st.sampled_from(["norm.running_mean", "norm.running_var"]),
        large.map(lambda fill: np.full(2, fill, np.float32)),
    ),
    st.builds(
        Change,
        st.just("update"),
        st.just("norm.num_batches_tracked"),
        st.sampled_from([0, -(2**40), 2**40, 2**62, 2**63 - 1]).map(np.array),
    ),
    st.builds(Change, st.sampled_from(["steps", "cases"]), st.just(All), many),
    st.builds(Change, st.just("metrics"), st.just("val_dice"), st.sampled_from([0.0, 1.0])),
    st.builds(Change, st.just("metrics"), st.sampled_from(sorted(COUNTS)), many),
    st.builds(
        Change,
        st.just("entry"),
        st.sampled_from(["epsilon_total", "epsilon_next"]),
        st.sampled_from([0.0, 0.5, 40.0, 60.0, 1e9, 1e29]),
    ),
)
changes = st.one_of(nonsense, lies)
"""From values that mean nothing to those that could be true."""


def changed(answer: Answer, change: Change) -> Answer:
    if change.field == "scale":
        return _scaled(answer, change)
    if change.name is All:
        return replace(answer, **{change.field: change.value})
    before = getattr(answer, change.field)
    whole = dict(before) if isinstance(before, Mapping) else {}
    return replace(answer, **{change.field: {**whole, change.name: change.value}})


def _scaled(answer: Answer, change: Change) -> Answer:
    """With larger or smaller values of the first parameter and of another entry, where they are still arrays."""
    update = answer.update if isinstance(answer.update, Mapping) else {}
    chosen = {name: update[name] for name in ("w", change.name) if isinstance(update.get(name), np.ndarray)}
    floats = {name: values for name, values in chosen.items() if values.dtype == np.float32}
    with np.errstate(over="ignore"):
        scaled = {name: values * np.float32(change.value) for name, values in floats.items()}
    return replace(answer, update={**update, **scaled})


class Deed(NamedTuple):
    """What a hostile site sends to a question: answers one after another, or what it made for another question."""

    changes: list[list[Change]]
    after_s: float
    trains: bool
    stale: bool


deeds = st.builds(
    Deed,
    st.lists(st.lists(changes, min_size=1, max_size=3), min_size=1, max_size=2),
    st.sampled_from([0.5, 2.0]),
    st.sampled_from([True, True, False]),
    st.sampled_from([False, False, False, True]),
)


# the federation

TOY = {"name": "toy_algorithm", "toy_private": "b"}


def usual(site: str, question: Question, algorithm: str) -> Answer:
    """An honest answer, with what the toy algorithm sends."""
    if question.kind == "images":
        same = {"key": ["0" * 64], "training": [f"{number_of(site):064x}"], "validation_cases": ["a" * 64, "b" * 64]}
        return Answer(images=same)
    answer = honest(site, question)
    if not answer.update or algorithm == "fedavg":
        return answer
    rest = {name: values for name, values in answer.update.items() if name != "b"}
    return replace(answer, update=rest, extras={"w": answer.update["w"] / 10})


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    algorithm = draw(st.sampled_from([{"name": "fedavg"}, TOY]))
    budget = draw(st.sampled_from([{}, {"books": True}, {"books": True, "max_epsilon": 50.0, "delta": 1e-5}]))
    return {
        **budget,
        "algorithm": algorithm,
        "split_validation": draw(st.booleans()),
        "validate_every": draw(st.sampled_from([1, 2])),
        "sites": (*HONEST, *HOSTILE),
        "rounds": ROUNDS,
        "min_clients": len(HONEST),
        "figures": FIGURES,
    }


def hands_in(run: Federation, question: Question, deeds: Mapping[str, Deed]) -> list[Event]:
    algorithm = str(run.plan.algorithm["name"])
    events = [answers(site, 1.0, lambda s, q: usual(s, q, algorithm)) for site in HONEST if site in question.sites]
    for site, deed in deeds.items():
        asked = replace(question, training=(*question.training, site)) if deed.trains else question
        asked = replace(asked, rounds=question.rounds + 1) if deed.stale else asked
        for place, each in enumerate(deed.changes):
            events.append(answers(site, deed.after_s + place, _made(asked, each, algorithm)))
    return events


def _made(question: Question, each: list[Change], algorithm: str) -> Callable[[str, Question], Answer]:
    def made(site: str, asked: Question) -> Answer:
        answer = usual(site, question, algorithm)
        for change in each:
            answer = changed(answer, change)
        return answer

    return made


def check_model(model: Mapping[str, np.ndarray]) -> None:
    assert set(model) == set(FIRST)
    for name, values in FIRST.items():
        assert (model[name].shape, model[name].dtype) == (values.shape, values.dtype)
        assert np.isfinite(model[name]).all()
        assert (np.abs(model[name].astype(np.float64)) < LARGE).all()
    assert (model["norm.running_var"] >= 0).all()


def check_records(run: Federation) -> None:
    text = (run.place / "state" / "rounds.jsonl").read_text()
    assert text.endswith("\n")
    lines = text.splitlines()
    assert len(lines) == ROUNDS + 1
    for line in lines:
        record = json.loads(line, parse_constant=lambda constant: (_ for _ in ()).throw(ValueError(constant)))
        assert len(line) < 1000 * len(run.plan.sites) + len(HOSTILE) * (MOST_CHARACTERS + 2 * words.MOST_CHARACTERS)
        check_record(record)
    shown = [console.round_line(record, ROUNDS, KEY, 0.0) for record in run.records]
    shown.append(console.result_table(run.records, KEY))
    assert all(line.isprintable() for part in shown for line in part.split("\n"))
    rows = history.rows(run.records)
    assert {row["site"] for row in rows} <= set(run.plan.sites)
    assert {row["round"] for row in rows} <= set(range(ROUNDS + 2))


def check_record(record: Mapping[str, Any]) -> None:
    left_out = {**record.get("refused", {}), **record.get("unscored", {})}
    for words_of in (left_out, record.get("notes", {})):
        assert all(len(said) <= words.MOST_CHARACTERS and said.isprintable() for said in words_of.values())
    assert not set(record["sites"]) & set(left_out)
    for site in HONEST:
        assert site not in left_out
        assert site not in record.get("notes", {})
    for report in record["sites"].values():
        assert set(report) <= {*FIGURES, *COUNTS, *BESIDE_FIGURES}
        assert all(0 <= report[name] <= 1 for name in FIGURES if name in report)
        assert all(report[name] == int(report[name]) >= 0 for name in COUNTS if name in report)
        assert report["val_cases"] <= 30
    for site, entry in record["privacy"].items():
        assert Entry.from_plain(entry).site == site


@settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=EXAMPLES,
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)
@given(st.data(), plans())
def test_any_answers_of_some_sites_leave_the_others_their_run(
    toy_algorithm: type[Algorithm], data: st.DataObject, told: dict[str, Any]
) -> None:
    script = st.lists(deeds, min_size=len(HOSTILE), max_size=len(HOSTILE))
    with tempfile.TemporaryDirectory() as place:
        run = Federation(Path(place), plan(**told), present=(*HONEST, *HOSTILE))
        sent: list[Question] = []

        def play(question: Question) -> list[Event]:
            sent.append(question)
            return hands_in(run, question, dict(zip(HOSTILE, data.draw(script), strict=True)))

        run.run(play)
        assert len(sent) == QUESTIONS
        assert len(run.completed) == ROUNDS
        for question in run.questions[1:]:
            check_model(question.weights)
        check_model(run.model)
        check_records(run)
        assert 0 <= run.server._best.score <= 1
