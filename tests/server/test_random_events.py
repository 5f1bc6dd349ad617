"""Whatever happens, in whatever order: model and records stay sound, and a run that ends early says who is missing."""

import contextlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fedmed.core.messages import Answer, Question
from fedmed.server.quorum import RoundFailed
from tests.server.federations_in_memory import (
    FIRST,
    SITES,
    Event,
    Federation,
    Killed,
    answers,
    dies,
    fails,
    honest,
    is_back,
    is_kept_back,
    plan,
)

TIMEOUT, SILENCE = 60, 30.0
ROUNDS = 3
QUESTIONS = [
    ("images", 0),
    *(("train", number) for number in range(ROUNDS)),
    *(("statistics", number) for number in range(1, ROUNDS + 1)),
    ("score", ROUNDS),
]

BAD_VALUES: list[Any] = [
    np.full((3, 4), np.nan, np.float32),
    np.full((3, 4), 3.4e38, np.float32),
    np.full((3, 4), 1e300),
    np.full((3, 4), 1e-320),
    np.zeros((3, 4), np.float16),
    np.zeros((3, 4), np.int64),
    np.zeros((3, 4), np.complex128),
    np.zeros((4, 3), np.float32),
    np.zeros((3, 4), object),
    [[1.0], [1.0, 2.0]],
    "text",
    None,
]
BAD_COUNTERS: list[Any] = [np.array(1, np.uint64), np.array(1, np.int8), np.array(1.5), np.array(True), 2**62, "2"]
BAD_WEIGHTS: list[Any] = [0, -1, True, None, "2", float("nan"), float("inf"), 1e308, 10**400, 1e-320]
BAD_METRICS: list[Any] = [
    {"val_dice": float("nan"), "val_cases": -1},
    {"val_dice": 1e308, "val_cases": 10**400},
    {1: 2.0},
    {"val_dice": np.ones(3)},
    [1, 2],
    None,
    "text",
]
BAD_ENTRIES: list[Any] = [None, 5, {}, {"site": "site-1"}, [1], {"site": 1, "round": 2}]

hostile = st.one_of(
    st.sampled_from(BAD_VALUES).map(lambda values: {"w": values}),
    st.sampled_from(BAD_COUNTERS).map(lambda values: {"norm.num_batches_tracked": values}),
    st.sampled_from(["x", 1, ("w",), None]).map(lambda name: {name: np.zeros(1, np.float32)}),
    st.floats(allow_nan=True, allow_infinity=True, width=32).map(lambda x: {"b": np.full(2, x, np.float32)}),
    st.floats(-10, 1, width=32).map(lambda x: {"norm.running_var": np.full(2, x, np.float32)}),
)
changes = st.one_of(
    hostile.map(lambda entries: ("update", entries)),
    st.sampled_from(BAD_WEIGHTS).map(lambda value: ("steps", value)),
    st.sampled_from(BAD_WEIGHTS).map(lambda value: ("cases", value)),
    st.sampled_from(BAD_METRICS).map(lambda value: ("metrics", value)),
    st.sampled_from(BAD_ENTRIES).map(lambda value: ("entry", value)),
    st.just(("extras", {"control": np.ones(3)})),
    st.just(("withheld", True)),
)


@dataclass(frozen=True)
class Deed:
    """What a site does with a question: its kind, when, and for a hostile answer what is changed in the honest one."""

    kind: str
    after_s: float
    change: tuple[str, Any] | None = None

    def answer(self, site: str, question: Question) -> Answer:
        made = honest(site, question)
        if self.change is None or question.kind == "images":
            return made
        name, value = self.change
        if name == "update":
            return replace(made, update={**made.update, **value})
        return replace(made, **{name: value})

    def events(self, site: str) -> list[Event]:
        answered = answers(site, self.after_s, self.answer)
        return {
            "answers": [answered],
            "answers twice": [answered, answers(site, self.after_s + 5)],
            "is late": [answers(site, self.after_s + 500)],
            "fails": [fails(site, self.after_s)],
            "is kept back": [is_kept_back(site, self.after_s)],
            "hangs": [],
            "dies": [dies(site, self.after_s)],
            "answers and dies": [answered, dies(site, self.after_s + 1)],
            "is back": [is_back(site, self.after_s), answers(site, self.after_s + 1, self.answer)],
        }[self.kind]


ANSWERING = ("answers", "answers twice", "answers and dies", "is back")
MORTAL = ("dies", "answers and dies", "is back")
"""Only where a limit of time or of silence ends the waiting."""

SLOW = ("is late", "hangs")
"""Only where a limit of time does."""

moments = st.floats(0.5, 50)
honest_deeds = st.builds(Deed, st.just("answers"), moments)
hostile_deeds = st.builds(Deed, st.just("answers"), moments, changes)


def deeds(round_timeout: int | None, site_silence: float) -> st.SearchStrategy[Deed]:
    kinds = ["answers twice", "fails", "is kept back", *(SLOW if round_timeout else ())]
    kinds += MORTAL if round_timeout or site_silence else ()
    return st.one_of(honest_deeds, honest_deeds, hostile_deeds, st.builds(Deed, st.sampled_from(kinds), moments))


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    some = draw(st.sampled_from([None, None, 2]))
    return {
        "rounds": ROUNDS,
        "min_clients": draw(st.sampled_from([None, 1, 2] if some else [None, 1, 2, 3])),
        "round_timeout": draw(st.sampled_from([None, TIMEOUT])),
        "site_silence": draw(st.sampled_from([0.0, SILENCE])),
        "sites_per_round": some,
        "validate_every": draw(st.sampled_from([1, 2])),
        "books": draw(st.booleans()),
        "measures_statistics": draw(st.booleans()),
        "max_update_ratio": draw(st.sampled_from([0.0, 100.0])),
        "seed": draw(st.integers(0, 5)),
    }


Script = Mapping[tuple[str, int, str], Deed]


@st.composite
def scripts(draw: st.DrawFn) -> tuple[dict[str, Any], Script]:
    """A plan, and each site's deed at each question."""
    told = draw(plans())
    any_deed = deeds(told["round_timeout"], told["site_silence"])
    script = {(kind, number, site): draw(any_deed) for kind, number in QUESTIONS for site in SITES}
    return told, script


def played(script: Script, question: Question) -> list[Event]:
    return [e for site in question.sites for e in script[question.kind, question.rounds, site].events(site)]


def check_model(model: Mapping[str, np.ndarray]) -> None:
    assert set(model) == set(FIRST)
    for name, values in FIRST.items():
        assert (model[name].shape, model[name].dtype) == (values.shape, values.dtype)
        assert np.isfinite(model[name]).all()
    assert (model["norm.running_var"] >= 0).all()


def check_records(run: Federation, *, ended_well: bool) -> None:
    """Whole, in JSON that every reader knows, one a round, the last of them of the end."""
    text = (run.place / "state" / "rounds.jsonl").read_text()
    assert text == "" or text.endswith("\n")
    for line in text.splitlines():
        json.loads(line, parse_constant=lambda constant: (_ for _ in ()).throw(ValueError(constant)))
    assert [record["round"] for record in run.completed] == list(range(len(run.completed)))
    others = [record for record in run.records if record not in run.completed]
    assert run.records[len(run.completed) :] == others
    assert len(others) <= 1
    assert [bool(record.get("final")) for record in others] == ([True] if ended_well else [False] * len(others))


def enough(run: Federation, script: Script, question: Question) -> bool:
    """True where as many honest sites as the plan needs answer in time; one that ever died may be lost by then."""
    deeds = {site: script[question.kind, question.rounds, site] for site in question.training}
    died = {
        site for each in run.questions for site in each.sites if script[each.kind, each.rounds, site].kind in MORTAL
    }
    good = [site for site, deed in deeds.items() if deed.kind in ANSWERING and deed.change is None and site not in died]
    return run.plan.min_clients is not None and len(good) >= run.plan.min_clients


@settings(deadline=None, derandomize=True, max_examples=60)
@given(scripts())
def test_a_run_ends_well_or_says_who_is_missing(drawn: tuple[dict[str, Any], Script]) -> None:
    told, script = drawn
    with tempfile.TemporaryDirectory() as place:
        run = Federation(Path(place), plan(**told))
        failed: RuntimeError | None = None
        try:
            run.run(lambda question: played(script, question))
        except RuntimeError as error:
            failed = error
        check_model(run.model)
        check_records(run, ended_well=failed is None)
        for question in run.questions:
            check_model(question.weights) if question.weights else None
        trained = [question for question in run.questions if question.kind == "train"]
        if failed is None:
            event("ended well")
            assert len(run.completed) == ROUNDS
            assert len(run.records[-1]["sites"]) + len(run.records[-1]["unscored"]) >= len(SITES)
            return
        event("ended by too few" if isinstance(failed, RoundFailed) else "ended by no usable update")
        if isinstance(failed, RoundFailed):
            missing = _missing(run, script)
            assert all(site in str(failed) for site in run.failed)
            assert not missing or any(site in str(failed) for site in missing)
        if run.records and run.records[-1].get("failed"):
            assert not enough(run, script, trained[-1])


def _missing(run: Federation, script: Script) -> set[str]:
    """The sites that were asked last and handed nothing in; one that failed ends the waiting for the others, too."""
    asked = run.questions[-1]
    kept = {site for site in asked.sites if script[asked.kind, asked.rounds, site].kind == "is kept back"}
    return set(asked.sites) - run.handed_in - kept


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    st.data(),
    st.fixed_dictionaries(
        {(number, site): st.one_of(honest_deeds, hostile_deeds) for number in (0, 1) for site in SITES}
    ),
)
def test_the_result_does_not_depend_on_the_order_of_answers(data: st.DataObject, chosen: dict[Any, Deed]) -> None:
    found = set()
    for _ in range(2):
        delays = {key: data.draw(moments) for key in chosen}
        with tempfile.TemporaryDirectory() as place:
            run = Federation(Path(place), plan(rounds=2, min_clients=1))

            def play(question: Question, delays: Mapping[Any, float] = delays) -> list[Event]:
                if question.kind != "train":
                    return [answers(site) for site in question.sites]
                told = {site: (question.rounds, site) for site in question.sites}
                return [answers(site, delays[key], chosen[key].answer) for site, key in told.items()]

            with contextlib.suppress(RuntimeError):  # where no update is usable
                run.run(play)
            records = [{**record, "seconds": 0} for record in run.records]
            found.add((run.bits, json.dumps(records, sort_keys=True)))
    assert len(found) == 1


@settings(deadline=None, derandomize=True, max_examples=25)
@given(scripts(), st.sets(st.integers(0, 25), min_size=1, max_size=3))
def test_kills_at_any_moments_change_no_bit(drawn: tuple[dict[str, Any], Script], kills: set[int]) -> None:
    told, script = drawn
    honest_script = {key: deed if deed.kind in ("answers", "answers twice") else Deed("answers", deed.after_s)
                     for key, deed in script.items()}  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        whole, cut = (Federation(Path(place) / name, plan(**told)) for name in ("whole", "cut"))
        count = iter(range(10_000))

        def on(moment: str, question: Question) -> None:
            if next(count) in kills:
                raise Killed

        cut.on = on
        outcomes = []
        for run in (whole, cut):
            outcomes.append(_outcome(run, honest_script))
        assert outcomes[0] == outcomes[1]
        assert whole.bits == cut.bits
        assert whole.refused == cut.refused
        check_records(cut, ended_well=outcomes[1] == "")


def _outcome(run: Federation, script: Script) -> str:
    """How a run ends, however often it is killed: empty where it ends well."""
    while True:
        try:
            run.run(lambda question: [e for s in question.sites for e in _deed(script, question, s).events(s)])
            return ""
        except Killed:
            continue
        except RuntimeError as error:
            return str(error)


def _deed(script: Script, question: Question, site: str) -> Deed:
    return script[question.kind, 0 if question.kind == "images" else question.rounds, site]
