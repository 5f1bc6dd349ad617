"""Whatever some sites send, the global model stays sound, the record whole, and the run goes on with the others."""

import json
import math
import struct
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fedmed.algorithms.base import Algorithm
from fedmed.core.messages import Answer, Question
from fedmed.core.site_scores import BESIDE_FIGURES, EPOCHS, TRAINED, KeyScore
from fedmed.privacy.ledger import MOST_CHARACTERS, Entry
from fedmed.runs import console, history
from fedmed.server import words
from tests.server.federations_in_memory import (
    ENTRIES,
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
COUNTS = {"val_cases", "train_loss_values", "train_accuracy_values", *(f"{name}_values" for name in FIGURES)}


def test_there_are_at_least_ten_thousand() -> None:
    assert EXAMPLES * QUESTIONS * len(HOSTILE) >= 10_000


# values: lists of makers, of which a generator picks

Make = Callable[[Random], Any]


def one_of(makers: Sequence[Any], rng: Random) -> Any:
    """One of some values or makers of values, which are called."""
    chosen = rng.choice(makers)
    return chosen(rng) if callable(chosen) and not isinstance(chosen, type) else chosen


def any_float(rng: Random) -> float:
    """A float of any bits."""
    found: float = struct.unpack("d", rng.randbytes(8))[0]
    return found


def any_text(rng: Random) -> str:
    return "".join(chr(rng.choice([rng.randrange(128), rng.randrange(0x11_0000)])) for _ in range(rng.randrange(12)))


NUMBERS = [
    *(0, 1, -1, -10, 10, 2**53, 2**53 + 1, 2**62, 2**63, 10**9, 10**12, 10**400, -(10**400)),
    *(0.0, -0.0, 0.5, 1.5, 9e9, 1e12, 1e300, 1e308, -1e308, 5e-324, float("nan"), float("inf"), -float("inf")),
    *(any_float, any_float, lambda rng: rng.uniform(-2, 2), lambda rng: rng.randrange(-5, 60)),
    *(lambda rng: rng.getrandbits(rng.randrange(1, 200)), lambda rng: -rng.getrandbits(64)),
]
ATOMS = [
    *NUMBERS,
    *(None, True, False, "", "text", "\x1b[2J", "\ud800", "x" * 5000, b"bytes", 1j, {1, 2}, (), object()),
    *(np.float32(1), np.float64("nan"), np.int64(3), np.bool_(True), np.datetime64("2020-01-01")),
    *(any_text, any_text, lambda rng: rng.randbytes(rng.randrange(20))),
]
NAMES = [*FIGURES, *sorted(COUNTS), *BESIDE_FIGURES, EPOCHS, "site", "round", "val_x", "epsilon", "megabytes_sent"]
ODD_NAMES = [1, None, b"val_dice", ("w",), "", "x" * 5000, "\x1b", any_text]


def a_name(rng: Random) -> Any:
    return one_of(rng.choice([NAMES, NAMES, ODD_NAMES]), rng)


def an_atom(rng: Random) -> Any:
    return one_of(ATOMS, rng)


def a_structure(rng: Random) -> Any:
    kinds = [
        an_atom,
        lambda rng: [an_atom(rng) for _ in range(rng.randrange(4))],
        lambda rng: {a_name(rng): an_atom(rng) for _ in range(rng.randrange(4))},
        lambda rng: [a_structure(rng), {a_name(rng): a_structure(rng)}],
        lambda rng: [[1.0], [1.0, 2.0]],
        lambda rng: {f"val_{number}": rng.random() for number in range(2000)},
    ]
    return rng.choices(kinds, [4, 2, 3, 1, 1, 0.1])[0](rng)


KINDS = ["e", "f", "d", "g", "F", "D", "b", "B", "h", "i", "l", "Q", "?", "O", "U3", "S3", "M8[s]"]
SHAPES = [(3, 4), (3, 4), (3, 4), (2,), (2,), (), (4, 3), (0,), (3, 4, 1), (1, 2)]
FILLS = [0, 1, -1, float("nan"), float("inf"), 3.4e38, -3.4e38, 1e300, 1e-320, 2.0**62, 1e6, any_float, any_float]


def an_array(rng: Random) -> Any:
    shape, kind = rng.choice(SHAPES), rng.choice(KINDS)
    filled = np.reshape([float(one_of(FILLS, rng)) for _ in range(math.prod(shape))], shape)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return filled.astype(kind)
        except (ValueError, TypeError, OverflowError):
            return filled.astype(object)


# changes of an honest answer


class Change(NamedTuple):
    """Another value of a field of the answer, or of one name in it."""

    field: str
    name: Any
    value: Any


class All:
    """In the place of a name: the field itself."""


NUMBER_OF_ENTRY = ["epsilon_round", "epsilon_total", "epsilon_next", "delta", "round"]
IN_ENTRY = [*entry_of("a", 0), "more", *NUMBER_OF_ENTRY]
FACTS = ["clip", "steps", "clip", "steps", "Bad", "", "x" * 70, 1, any_text]
OF_MODEL = [*FIRST, *FIRST, "x", 1, None, "x" * 5000, "\x1b", any_text]
FIELDS = ["update", "metrics", "entry", "extras", "images"]

NONSENSE: list[Callable[[Random], Change]] = [
    lambda rng: Change("update", one_of(OF_MODEL, rng), rng.choice([an_array, an_array, an_atom])(rng)),
    lambda rng: Change("scale", rng.choice([*FIRST]), one_of([0.0, -1.0, 1e-30, 1e6, 1e30, any_float], rng)),
    lambda rng: Change(rng.choice(["steps", "cases", "withheld"]), All, an_atom(rng)),
    lambda rng: Change("metrics", a_name(rng), an_atom(rng)),
    lambda rng: Change("entry", rng.choice(IN_ENTRY), a_structure(rng)),
    lambda rng: Change("entry", rng.choice(NUMBER_OF_ENTRY), one_of(NUMBERS, rng)),
    lambda rng: Change("entry", "facts", {one_of(FACTS, rng): a_structure(rng) for _ in range(2)}),
    lambda rng: Change("extras", one_of(OF_MODEL, rng), rng.choice([an_array, an_atom])(rng)),
    lambda rng: Change("images", rng.choice(["key", "training", "validation", "validation_cases"]), a_structure(rng)),
    lambda rng: Change(rng.choice(FIELDS), All, a_structure(rng)),
]


def some_epochs(rng: Random) -> list[dict[str, Any]]:
    """Mostly as they may be."""
    return [
        {rng.choice([*FIGURES, *TRAINED]): one_of([0.5, 0.5, 0.5, an_atom], rng) for _ in range(3)}
        for _ in range(rng.choice([1, 1, 2]))
    ]


def filled(shape: tuple[int, ...]) -> Make:
    """Makes an array of float32 of about one size, from far below to far above an honest one's."""
    return lambda rng: (
        np.float32(10.0 ** rng.uniform(-3, 38))
        * np.array([rng.uniform(-1, 1) for _ in range(math.prod(shape))], np.float32).reshape(shape)
    )


LIES: list[Callable[[Random], Change]] = [  # of the right form
    lambda rng: Change("update", "w", filled((3, 4))(rng)),
    lambda rng: Change("update", "norm.running_mean", filled((2,))(rng)),
    lambda rng: Change("update", "norm.running_var", np.abs(filled((2,))(rng))),
    lambda rng: Change("update", "norm.num_batches_tracked", np.array(rng.getrandbits(63) >> rng.randrange(63))),
    lambda rng: Change("update", "norm.num_batches_tracked", np.array(-rng.getrandbits(60))),
    lambda rng: Change(rng.choice(["steps", "cases"]), All, 1 + (rng.getrandbits(53) >> rng.randrange(53))),
    lambda rng: Change("metrics", rng.choice([*FIGURES]), rng.random()),
    lambda rng: Change("metrics", EPOCHS, some_epochs(rng)),
    lambda rng: Change("metrics", rng.choice(sorted(COUNTS)), rng.getrandbits(53) >> rng.randrange(53)),
    lambda rng: Change("entry", rng.choice(["epsilon_total", "epsilon_next"]), 10.0 ** rng.uniform(-1, 29)),
    lambda rng: Change("extras", "w", filled((3, 4))(rng)),
    lambda rng: Change("images", rng.choice(["key", "training", "validation_cases"]), [f"{rng.getrandbits(256):064x}"]),
]


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
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = {name: values * np.float32(change.value) for name, values in floats.items()}
    return replace(answer, update={**update, **scaled})


class Deed(NamedTuple):
    """What a hostile site sends to a question: answers one after another, or what it made for another question."""

    changes: list[list[Change]]
    after_s: float
    trains: bool
    stale: bool


def a_deed(rng: Random) -> Deed:
    """From what means nothing to what could be true."""
    changes = [
        [one_of(rng.choice([NONSENSE, LIES]), rng) for _ in range(rng.choice([1, 1, 2, 3]))]
        for _ in range(rng.choice([1, 1, 1, 2]))
    ]
    return Deed(changes, rng.choice([0.5, 2.0]), rng.random() < 0.7, rng.random() < 0.1)


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


def a_plan(rng: Random) -> dict[str, Any]:
    budget = rng.choice([{}, {"books": True}, {"books": True, "max_epsilon": 50.0, "delta": 1e-5}])
    return {
        **budget,
        **rng.choice(
            [{"algorithm": {"name": "fedavg"}}, {"algorithm": TOY, "entries": {**ENTRIES, "trainable": ["w"]}}]
        ),
        "split_validation": rng.random() < 0.5,
        "validate_every": rng.choice([1, 2]),
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
    for site in run.plan.sites:
        booked = [record["privacy"][site] for record in run.records if site in record["privacy"]]
        totals = [entry["epsilon_total"] or 0.0 for entry in booked]
        assert all(after >= before * (1 - 1e-6) for before, after in pairwise(totals))
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
    for site, epochs in record.get(EPOCHS, {}).items():
        assert site in record["sites"]
        assert len(epochs) == 1
        assert all(set(epoch) <= {*FIGURES, *TRAINED} for epoch in epochs)
        assert all(0 <= value <= 1 for epoch in epochs for name, value in epoch.items() if name != "train_loss")
    for site, entry in record["privacy"].items():
        assert Entry.from_plain(entry).site == site


@settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=EXAMPLES,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**64 - 1))
def test_any_answers_of_some_sites_leave_the_others_their_run(toy_algorithm: type[Algorithm], seed: int) -> None:
    """One number makes a whole run, as examples of hundreds of parts are mostly copies of one another."""
    rng = Random(seed)
    with tempfile.TemporaryDirectory() as place:
        run = Federation(Path(place), plan(**a_plan(rng)), present=(*HONEST, *HOSTILE))
        run.run(lambda question: hands_in(run, question, {site: a_deed(rng) for site in HOSTILE}))
        assert run.questions[0].kind == "images"
        models = [question for question in run.questions[1:] if question.kind != "unshared"]
        assert len(models) == QUESTIONS - 1
        assert len(run.completed) == ROUNDS
        for question in models:
            check_model({**FIRST, **question.weights})
        check_model(run.model)
        check_records(run)
        assert 0 <= run.server._best.score <= 1
