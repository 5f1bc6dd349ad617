"""The server of a federation by what happens to it: every rule of docs/faults.md, without starting a process."""

import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from fedmed.core.messages import Answer, Question
from fedmed.core.names import BEST_FILE, LAST_FILE
from fedmed.core.timing import TIMING
from fedmed.core.weights import load_weights
from fedmed.data.audit.duplicates_exchange import OVERLAPS, REFUSED_DATA
from fedmed.server.federation_server import NOT_THERE, WITHHELD, DataRefused
from fedmed.server.quorum import NO_ROUND, RoundFailed
from fedmed.server.site_sample import drawn
from tests.server.federations_in_memory import (
    FIRST,
    HASHES,
    SITES,
    Event,
    Federation,
    Make,
    Play,
    all_well,
    answers,
    bits_of,
    dies,
    entry_of,
    fails,
    honest,
    is_back,
    is_kept_back,
    plan,
    spoilt,
)

Begin = Callable[..., Federation]
SILENCE, TIMEOUT = 30.0, 60


@pytest.fixture
def federation(tmp_path: Path) -> Begin:
    """Makes a federation of three sites, each in a place of its own; takes other values of its plan."""
    numbers = itertools.count()
    return lambda **changed: Federation(tmp_path / f"run-{next(numbers)}", plan(**changed))


def in_round(rounds: int, *events: Event) -> Play:
    """All is well, but in the training of one round nothing happens but this."""
    return lambda question: (
        list(events) if (question.kind, question.rounds) == ("train", rounds) else all_well(question)
    )


# a run without faults


def test_a_run_is_a_comparison_its_rounds_and_a_last_scoring(federation: Begin) -> None:
    run = federation().run()
    assert [(each.kind, each.rounds) for each in run.questions] == [
        ("images", 0),
        ("train", 0),
        ("train", 1),
        ("train", 2),
        ("score", 3),
    ]
    assert all(each.sites == SITES for each in run.questions)
    assert [each.training for each in run.questions] == [(), SITES, SITES, SITES, ()]
    assert [record["round"] for record in run.records] == [0, 1, 2, 3]
    assert run.records[-1]["final"] is True
    assert run.refused == [set()] * 3
    assert run.server.next(run.present, run.now) is None


def test_what_sites_report_of_each_epoch_is_in_the_record_and_of_those_that_count_alone(federation: Begin) -> None:
    def made(site: str, question: Question) -> Answer:
        answer = honest(site, question)
        epochs = [{"train_loss": 2.0, "val_dice": 0.25}, {"train_loss": 1.0, "val_dice": 0.5}]
        given = {"train_loss": 1.0, "train_accuracy": 0.75, "sent_epoch": 2, "epochs": epochs}
        update = {} if site == "site-3" else answer.update
        return replace(answer, metrics={**answer.metrics, **given}, update=update)

    run = federation(rounds=1, epochs=2, min_clients=2)
    run.run(lambda question: [answers(site, made=made) for site in question.sites])
    record = run.records[0]
    assert set(record["epochs"]) == set(record["sites"]) == {"site-1", "site-2"}
    assert record["epochs"]["site-1"] == [{"train_loss": 2.0, "val_dice": 0.25}, {"train_loss": 1.0, "val_dice": 0.5}]
    for site, report in record["sites"].items():
        steps = honest(site, run.questions[1]).steps
        assert report["train_accuracy_values"] == report["train_loss_values"] == steps
        assert report["sent_epoch"] == 2
    assert "epochs" not in run.records[1]


def test_a_run_of_one_site_compares_nothing(federation: Begin) -> None:
    run = federation(sites=SITES[:1], min_clients=None)
    run.present = SITES[:1]
    assert [each.kind for each in run.run().questions] == ["train", "train", "train", "score"]


def test_the_model_is_the_first_one_and_the_sum_of_the_rounds_means(federation: Begin) -> None:
    run = federation(rounds=1).run()
    question = run.questions[1]
    sent = {site: honest(site, question) for site in SITES}
    total = sum(each.steps for each in sent.values())
    for name in ("w", "b"):
        mean = sum(np.asarray(each.update[name], np.float64) * each.steps / total for each in sent.values())
        assert run.model[name] == pytest.approx(FIRST[name] + mean, rel=1e-6)
    cases = [each.cases for each in sent.values()]
    means = np.average([each.update["norm.running_mean"] for each in sent.values()], axis=0, weights=cases)
    assert run.model["norm.running_mean"] == pytest.approx(means, rel=1e-6)
    assert run.model["norm.num_batches_tracked"] == 2


def test_weights_that_are_asked_never_change_afterwards(federation: Begin) -> None:
    run, seen = federation(), list[bytes]()
    run.on = lambda moment, question: seen.append(bits_of(question.weights)) if moment == "asked" else None
    run.run()
    assert [bits_of(each.weights) for each in run.questions] == seen
    assert len(set(seen[1:])) == 4


def test_the_best_model_is_chosen_by_the_sites_scores_and_never_the_untrained_one(federation: Begin) -> None:
    scores = [0.99, 0.5, 0.7, 0.6]

    def scored(site: str, question: Question) -> Answer:
        answer = honest(site, question)
        return answer if question.kind == "images" else replace(answer, metrics={"val_dice": scores[question.rounds]})

    run = federation().run(lambda question: [answers(site, made=scored) for site in question.sites])
    assert [record["best"] for record in run.records] == [False, True, True, False]
    best = load_weights(run.files.models / BEST_FILE)
    assert bits_of(best) == bits_of(run.questions[3].weights)
    assert bits_of(load_weights(run.files.models / LAST_FILE)) == run.bits


def test_scores_are_asked_for_every_few_rounds_where_the_plan_says_so(federation: Begin) -> None:
    run = federation(rounds=5, validate_every=2, sites_per_round=2).run()
    trained = [each for each in run.questions if each.kind == "train"]
    assert [each.sites == SITES for each in trained] == [True, False, True, False, True]  # the drawn ones else
    assert all(each.sites == each.training for each in trained[1::2])
    assert run.questions[-1].sites == SITES


# one fault in a round, with and without min_clients


def nan(site: str, question: Question) -> Answer:
    return spoilt(honest(site, question), w=np.full((3, 4), np.nan, np.float32))


def infinite(site: str, question: Question) -> Answer:
    return spoilt(honest(site, question), b=np.full(2, np.inf, np.float32))


def another_shape(site: str, question: Question) -> Answer:
    return spoilt(honest(site, question), w=np.zeros((4, 3), np.float32))


def another_name(site: str, question: Question) -> Answer:
    return spoilt(honest(site, question), extra=np.zeros(1, np.float32))


def a_name_that_is_none(site: str, question: Question) -> Answer:
    answer = honest(site, question)
    return replace(answer, update={**answer.update, 1: np.zeros(1), "x": np.zeros(1)})  # type: ignore[dict-item]


def too_few_names(site: str, question: Question) -> Answer:
    answer = honest(site, question)
    return replace(answer, update={"w": answer.update["w"]})


def texts(site: str, question: Question) -> Answer:
    return spoilt(honest(site, question), w=np.full((3, 4), "text"))


def ragged(site: str, question: Question) -> Answer:
    return spoilt(honest(site, question), w=[[1.0], [1.0, 2.0]])


def oversized(site: str, question: Question) -> Answer:
    answer = honest(site, question)
    return spoilt(answer, **{name: 1e6 * answer.update[name] for name in ("w", "b") if answer.update})


def beyond_its_type(site: str, question: Question) -> Answer:
    answer = honest(site, question)
    return spoilt(answer, w=np.full((3, 4), 1e300))


def below_zero(site: str, question: Question) -> Answer:
    return spoilt(honest(site, question), **{"norm.running_var": np.full(2, -5.0, np.float32)})


def of_no_steps(site: str, question: Question) -> Answer:
    return replace(honest(site, question), steps=0)


def of_endless_steps(site: str, question: Question) -> Answer:
    return replace(honest(site, question), steps=10**400)


def nothing(site: str, question: Question) -> Answer:
    return replace(honest(site, question), update={})


def withheld(site: str, question: Question) -> Answer:
    return Answer(metrics={"val_cases": 0}, withheld=True)


def of_no_known_form(site: str, question: Question) -> Answer:
    return replace(honest(site, question), metrics=[1, 2])  # type: ignore[arg-type]


def with_unexpected_extras(site: str, question: Question) -> Answer:
    return replace(honest(site, question), extras={"control": np.ones(3)})


UNUSABLE = {
    nan: "w holds 12",
    infinite: "b holds 2",
    another_shape: "shape",
    another_name: "unknown",
    a_name_that_is_none: "unknown",
    too_few_names: "missing",
    texts: "expected floats",
    ragged: "of another form",
    oversized: "times the median",
    beyond_its_type: "w holds 12",
    below_zero: "it is a variance",
    of_no_steps: "0 steps",
    of_endless_steps: "steps",
    nothing: "no parameters",
    withheld: WITHHELD,
    of_no_known_form: "of another form",
    with_unexpected_extras: "beside",
}


@pytest.mark.parametrize("min_clients", [2, None])
@pytest.mark.parametrize("made", UNUSABLE, ids=lambda made: made.__name__)
def test_an_answer_that_cannot_be_used_is_left_out_by_name(
    made: Make, min_clients: int | None, federation: Begin
) -> None:
    others = answers("site-1"), answers("site-3")
    run = federation(min_clients=min_clients).run(in_round(1, answers("site-2", made=made), *others))
    assert run.refused == [set(), {"site-2"}, set()]
    assert UNUSABLE[made] in run.completed[1]["refused"]["site-2"]
    assert (
        run.bits == federation(min_clients=2).run(in_round(1, fails("site-2"), *others)).bits
    )  # as if it were not there


@pytest.mark.parametrize("made", [made for made in UNUSABLE if made is not oversized], ids=lambda made: made.__name__)
def test_where_no_update_is_left_the_run_ends_and_names_all(made: Make, federation: Begin) -> None:
    run = federation()
    with pytest.raises(RuntimeError, match=r"site-1.*site-2.*site-3.*stays as it was"):
        run.run(in_round(1, *(answers(site, made=made) for site in SITES)))
    assert run.records[-1]["failed"] is True
    assert set(run.records[-1]["refused"]) == set(SITES)
    assert len(run.completed) == 1


# a site that does not answer


class Missing(NamedTuple):
    """What site-2 does in the second round; the others answer, one of them after 40 seconds."""

    events: tuple[Event, ...]
    why: str
    again: bool = True  # it takes part in the third round


MISSING = {
    "fails": Missing((fails("site-2", 5.0),), "out of memory"),
    "is late": Missing((answers("site-2", 300.0),), f"no answer within {TIMEOUT} s"),
    "hangs": Missing((), f"no answer within {TIMEOUT} s"),
    "dies during its work": Missing((dies("site-2", 3.0),), "no sign of life for", again=False),
    "is cut off for a moment": Missing((dies("site-2", 3.0), is_back("site-2", 25.0)), f"within {TIMEOUT} s"),
}
OTHERS = answers("site-1", 40.0), answers("site-3")


@pytest.mark.parametrize("name", MISSING)
def test_a_site_that_does_not_answer_is_left_out_where_fewer_are_enough(name: str, federation: Begin) -> None:
    case, run = MISSING[name], federation(min_clients=2, round_timeout=TIMEOUT, site_silence=SILENCE)
    run.run(in_round(1, *case.events, *OTHERS))
    assert run.refused == [set(), {"site-2"}, set() if case.again else {"site-2"}]
    assert case.why in run.completed[1]["refused"]["site-2"]
    assert ("site-2" in run.questions[3].sites) is case.again
    assert (run.records[-1]["unscored"].keys() == {"site-2"}) is not case.again


@pytest.mark.parametrize("name", MISSING)
def test_without_that_leave_the_run_ends_and_names_it(name: str, federation: Begin) -> None:
    case, run = MISSING[name], federation(round_timeout=TIMEOUT, site_silence=SILENCE)
    with pytest.raises(
        RoundFailed, match=rf"^{NO_ROUND} round 2 needs an answer of every site \(.*site-2: .*{case.why}"
    ):
        run.run(in_round(1, *case.events, *OTHERS))
    assert run.records[-1]["failed"] is True
    assert len(run.completed) == 1


def test_a_failure_ends_such_a_run_at_once_and_nobody_else_is_blamed(federation: Begin) -> None:
    run = federation(round_timeout=TIMEOUT)
    with pytest.raises(RoundFailed) as caught:
        run.run(in_round(1, fails("site-2", 2.0), answers("site-1", 40.0), answers("site-3", 50.0)))
    assert "(site-2: out of memory)" in str(caught.value)  # and nothing of those who had not answered yet
    assert run.records[-1]["seconds"] < TIMEOUT / 2


def test_a_site_that_is_dead_before_a_round_is_not_asked(federation: Begin) -> None:
    run = federation(min_clients=2, site_silence=SILENCE)
    run.run(in_round(1, answers("site-2"), dies("site-2", 2.0), answers("site-1", 50.0), answers("site-3")))
    assert [set(each.sites) for each in run.questions] == [set(SITES)] * 3 + [{"site-1", "site-3"}] * 2
    assert run.refused == [set(), set(), {"site-2"}]  # what it sent before it died counts
    with pytest.raises(
        RoundFailed, match=r"the next round needs an answer of every site \(site-2: no sign of life for"
    ):
        federation(site_silence=SILENCE).run(
            in_round(1, answers("site-2"), dies("site-2", 2.0), answers("site-1", 50.0), answers("site-3"))
        )


def test_a_site_that_is_heard_again_takes_part_again(federation: Begin) -> None:
    def play(question: Question) -> list[Event]:
        if question.rounds == 1:
            return [dies("site-2"), *OTHERS]
        return [is_back("site-2"), *(answers(site, 20.0) for site in question.sites)]

    run = federation(min_clients=2, site_silence=SILENCE, rounds=4)
    run.run(lambda question: play(question) if question.kind == "train" else all_well(question))
    assert run.refused == [set(), {"site-2"}, {"site-2"}, set()]


@pytest.mark.parametrize("min_clients", [2, None])
def test_a_site_that_has_no_part_in_the_job_is_missing_by_name(min_clients: int | None, federation: Begin) -> None:
    run = federation(min_clients=min_clients)
    run.present = ("site-1", "site-3")
    if min_clients is None:
        with pytest.raises(RoundFailed, match=rf"site-2: {NOT_THERE}"):
            run.run()
    else:
        assert run.run().refused == [{"site-2"}] * 3
        assert run.records[-1]["unscored"] == {"site-2": NOT_THERE}


def test_the_first_question_waits_for_the_sites_to_start_too(federation: Begin) -> None:
    run = federation(min_clients=2, round_timeout=TIMEOUT)
    slow = TIMING.site_start_s + TIMEOUT - 10
    run.run(lambda question: [answers(site, slow if question.kind == "images" else 1.0) for site in question.sites])
    assert run.refused == [set()] * 3
    late = federation(round_timeout=TIMEOUT)
    with pytest.raises(RoundFailed, match=f"site-1: no answer within {TIMEOUT} s"):
        late.run(lambda question: [answers(site, slow + 20) for site in question.sites])


def test_a_site_that_was_never_heard_has_the_time_of_a_start(federation: Begin) -> None:
    run = federation(min_clients=2, site_silence=SILENCE)
    run.dead = {"site-2"}
    began = run.now
    run.run(lambda question: [answers(site) for site in question.sites if site != "site-2"])
    assert run.now - began > TIMING.site_start_s
    assert run.refused == [{"site-2"}] * 3


def test_without_a_limit_a_round_waits_for_ever(federation: Begin) -> None:
    with pytest.raises(AssertionError, match="it hangs at train 1"):
        federation(min_clients=2).run(in_round(1, *OTHERS))


@pytest.mark.parametrize(("min_clients", "goes_on"), [(1, True), (2, False), (None, False)])
def test_two_faults_at_once(min_clients: int | None, goes_on: bool, federation: Begin) -> None:
    run = federation(min_clients=min_clients)
    events = answers("site-1", made=nan), fails("site-2"), answers("site-3", 0.5)
    if goes_on:
        assert run.run(in_round(1, *events)).refused == [set(), {"site-1", "site-2"}, set()]
    else:
        with pytest.raises(
            RoundFailed, match=r"(2 usable updates|every site).*site-1: w holds 12.*; site-2: out of memory"
        ):
            run.run(in_round(1, *events))
        assert set(run.records[-1]["refused"]) == {"site-1", "site-2"}


@pytest.mark.parametrize("min_clients", [2, None])
def test_an_update_that_a_filter_kept_back_ends_no_run(min_clients: int | None, federation: Begin) -> None:
    run = federation(min_clients=min_clients).run(in_round(1, is_kept_back("site-2"), *OTHERS))
    assert run.refused == [set(), {"site-2"}, set()]
    assert "filter" in run.completed[1]["refused"]["site-2"]


# the comparison of data, and scores


def test_a_training_image_that_is_anothers_validation_image_ends_the_run_before_a_round(federation: Begin) -> None:
    def same(site: str, question: Question) -> Answer:
        hashes = HASHES["site-1"]
        return Answer(
            images=hashes if site == "site-1" else {**hashes, "training": [], "validation": hashes["training"]}
        )

    run = federation()
    with pytest.raises(DataRefused, match=REFUSED_DATA):
        run.run(lambda question: [answers(site, made=same) for site in question.sites])
    assert json.loads((run.files.run / OVERLAPS).read_text())["findings"]
    assert run.records == []


@pytest.mark.parametrize(("min_clients", "goes_on"), [(2, True), (None, False)])
def test_a_site_is_missed_in_the_comparison_like_in_a_round(
    min_clients: int | None, goes_on: bool, federation: Begin
) -> None:
    def play(question: Question) -> list[Event]:
        return [fails("site-2"), *OTHERS] if question.kind == "images" else all_well(question)

    run = federation(min_clients=min_clients)
    if goes_on:
        assert run.run(play).refused == [set()] * 3
        assert json.loads((run.files.run / OVERLAPS).read_text())["compared"] == ["site-1", "site-3"]
    else:
        with pytest.raises(RoundFailed, match=r"the comparison of the sites' data.*site-2: out of memory"):
            run.run(play)


@pytest.mark.parametrize("min_clients", [2, None])
def test_the_last_scoring_ends_a_run_well_whoever_is_missing(min_clients: int | None, federation: Begin) -> None:
    def play(question: Question) -> list[Event]:
        return [fails("site-2"), answers("site-3")] if question.kind == "score" else all_well(question)

    run = federation(min_clients=min_clients, round_timeout=TIMEOUT).run(play)
    final = run.records[-1]
    assert final["final"] is True
    assert set(final["sites"]) == {"site-3"}
    assert final["unscored"].keys() == {"site-1", "site-2"}


def test_nobody_at_all_may_be_there_for_the_last_scoring(federation: Begin) -> None:
    run = federation()
    run.on = lambda moment, question: setattr(run, "present", ()) if question.rounds == 2 else None
    run.run()
    assert run.questions[-1].sites == ()
    assert run.records[-1]["sites"] == {}
    assert set(run.records[-1]["unscored"]) == set(SITES)


SHARED = {site: {"key": ["0" * 64], "training": [f"{n:064x}"], "validation_cases": ["a" * 64, "b" * 64]}
          for n, site in enumerate(SITES)}  # fmt: skip


def with_shared_cases(question: Question) -> list[Event]:
    def made(site: str, question: Question) -> Answer:
        return Answer(images=SHARED[site]) if question.kind == "images" else honest(site, question)

    return [answers(site, made=made) for site in question.sites]


@pytest.mark.parametrize("sites_per_round", [None, 2])
def test_shares_of_common_cases_cover_each_case_once(sites_per_round: int | None, federation: Begin) -> None:
    run = federation(split_validation=True, sites_per_round=sites_per_round).run(with_shared_cases)
    for question in run.questions[1:]:
        asked = question.sites
        assert sorted(question.shares.values()) == [(place, len(asked)) for place in range(len(asked))]
        assert sorted(question.shares) == sorted(asked)
        for cases in range(8):
            scored = [case for first, step in question.shares.values() for case in range(cases)[first::step]]
            assert sorted(scored) == list(range(cases))
    assert all(record["split"] for record in run.records)


@pytest.mark.parametrize(
    ("changed", "play"),
    [({"split_validation": False}, with_shared_cases), ({"split_validation": True}, all_well)],
    ids=["not wanted", "no common cases"],
)
def test_else_every_site_scores_its_own_cases(changed: dict[str, Any], play: Play, federation: Begin) -> None:
    run = federation(sites_per_round=2, **changed).run(play)
    assert all(each.sites == SITES and each.shares == {} for each in run.questions)
    assert all(set(record["sites"]) == set(SITES) for record in run.records)


# the sites of a round


def test_the_sites_of_a_round_follow_from_the_seed_and_the_round_alone(federation: Begin) -> None:
    first = [each.training for each in federation(sites_per_round=2, rounds=8).run().questions]
    assert [each.training for each in federation(sites_per_round=2, rounds=8).run(with_shared_cases).questions] == first
    assert [each.training for each in federation(sites_per_round=2, rounds=8, seed=1).run().questions] != first
    assert all(len(training) == 2 for training in first[1:-1])
    assert len(set(first[1:-1])) > 1


def test_every_site_trains_equally_often() -> None:
    sites, rounds, count = [f"site-{n}" for n in range(10)], 2000, 3
    chosen = Counter(site for number in range(rounds) for site in drawn(sites, sites, count, 7, number))
    expected = rounds * count / len(sites)
    statistic = sum((chosen[site] - expected) ** 2 / (expected * (1 - count / len(sites))) for site in sites)
    assert statistic < 27.9  # the chi-square's 99.9th percentile with 9 degrees of freedom
    pairs = Counter(tuple(drawn(sites, sites, 2, 7, number)) for number in range(rounds))
    assert len(pairs) == 45  # and every pair is drawn


def test_whoever_is_missing_is_replaced_and_changes_nothing_else() -> None:
    sites = [f"site-{n}" for n in range(8)]
    for number in range(200):
        whole, missing = drawn(sites, sites, 3, 5, number), sites[number % 8]
        left = drawn(sites, [site for site in sites if site != missing], 3, 5, number)
        assert len(left) == 3
        assert missing not in left
        assert set(whole) - {missing} <= set(left)


def test_a_missing_site_ends_no_round_that_has_others_to_take_its_place(federation: Begin) -> None:
    run = federation(sites_per_round=2, rounds=6)
    run.on = lambda moment, question: setattr(run, "present", SITES[1:])  # from the first round on
    run.run()
    assert [each.training for each in run.questions[1:-1]] == [SITES[1:]] * 6
    assert run.refused == [set()] * 6
    run = federation(sites_per_round=2, rounds=6)
    run.on = lambda moment, question: setattr(run, "present", SITES[2:])
    with pytest.raises(RoundFailed, match=rf"site-1: {NOT_THERE}; site-2: {NOT_THERE}"):
        run.run()


def test_only_those_that_train_send_updates_and_ledger_entries(federation: Begin) -> None:
    whole = federation(sites_per_round=2, books=True, rounds=6).run()
    for question, record in zip(whole.questions[1:-1], whole.completed, strict=True):
        assert set(record["privacy"]) == set(question.training)
        assert all(entry["round"] == question.rounds + 1 for entry in record["privacy"].values())
        assert {site for site, moved in record["bytes"].items() if moved["sent"]} == set(question.training)

    def eager(site: str, question: Question) -> Answer:
        return honest(site, replace(question, training=SITES) if question.kind == "train" else question)

    run = federation(sites_per_round=2, books=True, rounds=6)
    run.run(lambda question: [answers(site, made=eager) for site in question.sites])
    assert run.bits == whole.bits  # what a site sends unasked is not used
    assert [record["privacy"].keys() for record in run.completed] == [
        each["privacy"].keys() for each in whole.completed
    ]


# privacy


def test_a_run_stops_within_the_budget_of_every_site(federation: Begin) -> None:
    def spends(site: str, question: Question) -> Answer:
        answer = honest(site, question)
        each = 2.0 if site == "site-2" else 1.0
        return answer if not answer.update else replace(answer, entry=entry_of(site, question.rounds, each))

    run = federation(rounds=9, max_epsilon=7.0, books=True)
    run.run(lambda question: [answers(site, made=spends) for site in question.sites])
    assert len(run.completed) == 3  # 6 are spent at site-2, and a fourth round would lead to 8
    assert run.records[-1]["stopped"] == (
        "stopped after 3 of 9 rounds: one more would bring epsilon at site-2 to 8, above the budget of 7"
    )
    assert [each.kind for each in run.questions[-2:]] == ["train", "score"]


ENTRIES: dict[str, Any] = {
    "none": None,
    "of another site": entry_of("site-1", 1),
    "of another form": {"site": "site-2"},
    "no entry at all": 5,
    "of no finite epsilon": {**entry_of("site-2", 1), "epsilon_next": math.nan},
    "that cannot be written": {**entry_of("site-2", 1), "facts": {"x": np.ones(2)}},
    "that JSON does not know": {**entry_of("site-2", 1), "facts": {"x": math.inf}},
}


@pytest.mark.parametrize("name", ENTRIES)
def test_no_update_counts_without_an_entry_of_its_own_where_updates_are_booked(name: str, federation: Begin) -> None:
    def made(site: str, question: Question) -> Answer:
        return replace(honest(site, question), entry=ENTRIES[name])

    events = answers("site-2", made=made), *OTHERS
    run = federation(books=True).run(in_round(1, *events))
    assert run.refused == [set(), {"site-2"}, set()]
    assert "without an entry for the privacy ledger" in run.completed[1]["refused"]["site-2"]
    assert set(run.completed[1]["privacy"]) == {"site-1", "site-3"}
    assert federation().run(in_round(1, *events)).refused == [set()] * 3


def test_a_site_whose_budget_is_spent_is_left_out_by_name_where_fewer_are_enough(federation: Begin) -> None:
    """Also one that says so without truth: a huge epsilon ends its own part in the run and nobody else's."""

    def spends(site: str, question: Question) -> Answer:
        answer = honest(site, question)
        if not answer.update or site != "site-2":
            return answer
        return replace(answer, entry={**entry_of(site, question.rounds), "epsilon_next": 1e29})

    run = federation(rounds=4, min_clients=2, max_epsilon=7.0, books=True)
    run.run(lambda question: [answers(site, made=spends) for site in question.sites])
    assert run.refused == [set(), {"site-2"}, {"site-2"}, {"site-2"}]
    assert "bring epsilon at site-2 to 1e+29, above the budget of 7" in run.completed[1]["refused"]["site-2"]
    assert [each.training for each in run.questions[1:-1]] == [SITES, *[("site-1", "site-3")] * 3]
    assert all(each.sites == SITES for each in run.questions)  # it still scores
    assert "stopped" not in run.records[-1]


def test_a_run_stops_where_fewer_sites_than_a_round_needs_have_a_budget_left(federation: Begin) -> None:
    def spends(site: str, question: Question) -> Answer:
        each = 1.0 if site == "site-1" else 2.0
        answer = honest(site, question)
        return answer if not answer.update else replace(answer, entry=entry_of(site, question.rounds, each))

    run = federation(rounds=9, min_clients=2, max_epsilon=7.0, books=True)
    run.run(lambda question: [answers(site, made=spends) for site in question.sites])
    assert len(run.completed) == 3
    assert "at site-2 to 8, above the budget of 7" in run.records[-1]["stopped"]


@pytest.mark.parametrize("lost", [entry_of("site-2", 1, 0.3), {**entry_of("site-2", 1), "epsilon_total": None}])
def test_a_total_that_falls_leaves_its_site_out_by_name(lost: dict[str, Any], federation: Begin) -> None:
    def made(site: str, question: Question) -> Answer:
        return replace(honest(site, question), entry=lost)

    run = federation(books=True, min_clients=2).run(in_round(1, answers("site-2", made=made), *OTHERS))
    assert run.refused == [set(), {"site-2"}, set()]
    assert "had spent 1 before; restore it" in run.completed[1]["refused"]["site-2"]
    assert set(run.completed[1]["privacy"]) == {"site-1", "site-3"}


def test_a_total_falls_below_what_an_earlier_job_booked_too(federation: Begin) -> None:
    run = federation(books=True, min_clients=2, rounds=2).run()
    run.plan = plan(books=True, min_clients=2, rounds=3)

    def made(site: str, question: Question) -> Answer:
        return replace(honest(site, question), entry=entry_of("site-2", 2, 0.1))

    run.run(in_round(2, answers("site-2", made=made), *OTHERS))
    assert "had spent 2 before" in run.completed[2]["refused"]["site-2"]


# a site that lies about itself


def scoring(**metrics: dict[str, Any]) -> Make:
    """Honest answers, with other metrics of the sites that are named, whose dashes are underscores."""

    def made(site: str, question: Question) -> Answer:
        answer, given = honest(site, question), metrics.get(site.replace("-", "_"))
        return answer if given is None or question.kind == "images" else replace(answer, metrics=given)

    return made


def all_made(made: Make) -> Play:
    return lambda question: [answers(site, made=made) for site in question.sites]


USUAL = {"val_dice": 0.5, "val_cases": 4, "val_dice_values": 12}


@pytest.mark.parametrize(
    "lie", [{"val_dice": 9e9}, {"val_dice": 9e9, "val_cases": 10**12, "val_dice_values": 3 * 10**12}], ids=str
)
def test_a_score_out_of_its_range_chooses_no_model(lie: dict[str, Any], federation: Begin) -> None:
    run = federation(rounds=1).run(all_made(scoring(site_1=USUAL, site_2={**USUAL, **lie}, site_3=USUAL)))
    final = run.records[-1]
    assert "val_dice" not in final["sites"]["site-2"]
    assert "val_dice is 9000000000.0 and may be from 0 to 1" in run.records[0]["notes"]["site-2"]
    assert run.server._best.score == 0.5


def test_a_sites_vote_for_the_best_model_is_bounded_by_its_share(federation: Begin) -> None:
    lie = {"val_dice": 1.0, "val_cases": 10**12, "val_dice_values": 3 * 10**12}
    run = federation(rounds=1).run(all_made(scoring(site_1=USUAL, site_2=lie, site_3=USUAL)))
    assert run.server._best.score == pytest.approx((0.5 * 2 + 10) / 12)
    assert run.records[-1]["sites"]["site-2"] == {"val_cases": 40, "val_dice": 1.0, "val_dice_values": 120}


def test_who_is_refused_or_absent_has_no_vote(federation: Begin) -> None:
    def made(site: str, question: Question) -> Answer:
        score = {**USUAL, "val_dice": 1.0 if site == "site-2" else 0.5}
        answer = replace(honest(site, question), metrics=score)
        return spoilt(answer, w=np.full((3, 4), np.nan)) if answer.update and site == "site-2" else answer

    run = federation(rounds=2).run(
        lambda question: all_well(question) if question.kind == "images" else all_made(made)(question)
    )
    trained = run.completed[1]
    assert set(trained["sites"]) == {"site-1", "site-3"}
    assert set(trained["refused"]) == {"site-2"}
    assert trained["best"] is True
    assert run.server._best.score == pytest.approx(2 / 3)  # of the last model, which nobody was refused for


def test_a_site_that_scores_another_number_of_cases_than_before_has_no_vote(federation: Begin) -> None:
    def made(site: str, question: Question) -> Answer:
        cases = 40 if (site, question.rounds) == ("site-2", 1) else 4
        score = {"val_dice": 0.5, "val_cases": cases}
        return honest(site, question) if question.kind == "images" else replace(honest(site, question), metrics=score)

    run = federation(rounds=2).run(all_made(made))
    assert run.completed[1]["sites"]["site-2"] == {"val_cases": 0}
    assert "it states 40 cases and stated 4" in run.completed[1]["notes"]["site-2"]
    assert run.records[-1]["sites"]["site-2"]["val_dice"] == 0.5


def test_figures_called_site_or_round_or_in_thousands_reach_no_record(federation: Begin) -> None:
    many = {f"val_{number}": 1.0 for number in range(20_000)}
    given = {**USUAL, **many, "site": 1.0, "round": 2.0, b"val_dice": 0.1}
    run = federation().run(all_made(scoring(site_2=given)))
    assert all(set(record["sites"]["site-2"]) == set(USUAL) for record in run.records)
    assert max(map(len, (run.place / "state" / "rounds.jsonl").read_text().splitlines())) < 2000
    assert [list(record.get("notes", {})) for record in run.records] == [["site-2"], [], [], []]  # noted once


def test_steps_beyond_the_others_count_as_a_bounded_multiple_and_are_noted_once(federation: Begin) -> None:
    def made(site: str, question: Question) -> Answer:
        answer = honest(site, question)
        return replace(answer, steps=10**9) if answer.update and site == "site-2" else answer

    run = federation().run(all_made(made))
    assert run.refused == [set()] * 3
    assert "its 1000000000 steps count as" in run.completed[0]["notes"]["site-2"]
    assert "notes" not in run.completed[1]


@pytest.mark.parametrize("images", [None, "text", [1], {"key": ["x"]}, {"key": 5}, {1: []}], ids=str)
@pytest.mark.parametrize("min_clients", [2, None])
def test_hashes_of_another_form_leave_their_site_out_of_the_comparison(
    images: Any, min_clients: int | None, federation: Begin
) -> None:
    def made(site: str, question: Question) -> Answer:
        answer = honest(site, question)
        return replace(answer, images=images) if (site, question.kind) == ("site-2", "images") else answer

    run = federation(min_clients=min_clients)
    if min_clients is None:
        with pytest.raises(RoundFailed, match=r"comparison of the sites' data.*site-2: it is of another form"):
            run.run(all_made(made))
    else:
        run.run(all_made(made))
        assert json.loads((run.files.run / OVERLAPS).read_text())["compared"] == ["site-1", "site-3"]


@pytest.mark.parametrize("min_clients", [2, None])
def test_a_site_of_another_key_than_most_ends_no_run_that_can_do_without_it(
    min_clients: int | None, federation: Begin
) -> None:
    def made(site: str, question: Question) -> Answer:
        if question.kind != "images":
            return honest(site, question)
        return Answer(images={**HASHES[site], "key": [("1" if site == "site-2" else "0") * 64]})

    run = federation(min_clients=min_clients)
    if min_clients is None:
        with pytest.raises(DataRefused, match="differs between"):
            run.run(all_made(made))
    else:
        run.run(all_made(made))
        found = json.loads((run.files.run / OVERLAPS).read_text())
        assert (found["compared"], found["without_key"]) == (["site-1", "site-3"], ["site-2"])
        assert any("site-2 has another DUPLICATES_KEY than most sites" in line for line in run.reports)


def test_signs_of_life_of_strangers_are_not_kept(federation: Begin) -> None:
    run = federation(site_silence=SILENCE)
    server = run.begin()
    for number in range(1000):
        server.heard(f"stranger-{number}", run.now)
    assert server._heartbeats._heard == {}


def test_words_of_a_site_are_one_short_line_wherever_they_go(federation: Begin) -> None:
    run = federation(min_clients=2)
    run.run(in_round(1, fails("site-2", why="\x1b[2J" + "bad\n" * 10**5), *OTHERS))
    why = run.completed[1]["refused"]["site-2"]
    assert why.startswith("?[2Jbad bad")
    assert len(why) <= 1000


# order, and what nobody asked for


def test_the_result_does_not_depend_on_the_order_of_answers(federation: Begin) -> None:
    found = set()
    for order in itertools.permutations(SITES):
        delays = dict(zip(order, (1.0, 2.0, 3.0), strict=True))

        def play(question: Question, delays: Mapping[str, float] = delays) -> list[Event]:
            made = {"site-3": nan} if question.kind == "train" and question.rounds == 1 else {}
            return [answers(site, delays[site], made.get(site, honest)) for site in question.sites]

        run = federation(min_clients=2).run(play)
        found.add((run.bits, json.dumps([{**record, "seconds": 0} for record in run.records])))
    assert len(found) == 1


def test_second_answers_and_those_of_strangers_change_nothing(federation: Begin) -> None:
    again = [answers("site-1", 1.5, oversized), is_kept_back("site-1", 1.6), fails("site-1", 1.7)]
    strangers = [answers("site-9", 1.8, nan), is_kept_back("site-9", 1.9), fails("site-9", 1.9)]

    def play(question: Question) -> list[Event]:
        return [answers("site-1"), *again, *strangers, answers("site-2", 3.0), answers("site-3", 3.0)]

    run, plain = federation().run(play), federation().run()
    assert run.bits == plain.bits
    assert run.refused == plain.refused


@pytest.mark.parametrize("late", [honest, nan, oversized], ids=lambda made: made.__name__)
def test_between_two_questions_nobodys_answer_is_taken(late: Make, federation: Begin) -> None:
    plain = federation(min_clients=2, round_timeout=TIMEOUT).run(in_round(1, *OTHERS))
    run = federation(min_clients=2, round_timeout=TIMEOUT)
    server = run.begin()
    while (question := server.next(SITES, run.now)) is not None:
        run.ask(question, in_round(1, *OTHERS))
        server.close(run.now)
        server.take("site-2", late("site-2", question), run.now)
        server.refuse("site-2", "kept back", run.now)
        server.fail("site-2", "out of memory")
    assert run.bits == plain.bits
    assert run.refused == plain.refused
    assert [record["privacy"] for record in run.records] == [record["privacy"] for record in plain.records]


# the running statistics of the averaged model

MEASURED = {"norm.running_mean": np.float32([1, -2]), "norm.running_var": np.float32([3, 0.5])}


def measuring(question: Question, **spoilt_by_site: Mapping[str, Any]) -> list[Event]:
    """All is well, and each site measures MEASURED, whatever the model's own statistics are."""

    def made(site: str, asked: Question) -> Answer:
        found = {**MEASURED, **spoilt_by_site.get(site.replace("-", "_"), {})}
        return Answer({name: values - asked.weights[name] for name, values in found.items()}, cases=10)

    if question.kind != "statistics":
        return all_well(question)
    return [answers(site, made=made) for site in question.sites]


def test_each_model_that_is_scored_is_measured_before(federation: Begin) -> None:
    run = federation(measures_statistics=True, validate_every=2).run(measuring)
    kinds = [(each.kind, each.rounds) for each in run.questions]
    assert kinds[1:] == [("train", 0), ("train", 1), ("statistics", 2), ("train", 2), ("statistics", 3), ("score", 3)]
    for before, after in itertools.pairwise(run.questions):
        if before.kind == "statistics":
            for name, values in after.weights.items():
                np.testing.assert_allclose(values, MEASURED.get(name, before.weights[name]), rtol=1e-6)


def test_the_last_model_on_the_disk_has_them(federation: Begin) -> None:
    run = federation(measures_statistics=True).run(measuring)
    found = load_weights(run.files.models / LAST_FILE)
    for name, values in MEASURED.items():
        np.testing.assert_allclose(found[name].numpy(), values, rtol=1e-6)


def test_bytes_and_seconds_of_the_measurement_are_those_of_the_round_that_follows(federation: Begin) -> None:
    plain, measured = federation().run(), federation(measures_statistics=True).run(measuring)
    weights, statistics = sum(values.nbytes for values in FIRST.values()), sum(v.nbytes for v in MEASURED.values())
    for number in (1, 2, 3):
        one, two = plain.records[number], measured.records[number]
        assert two["bytes"]["site-1"]["received"] == one["bytes"]["site-1"]["received"] + weights
        assert two["bytes"]["site-1"]["sent"] == one["bytes"]["site-1"]["sent"] + statistics
        assert two["seconds"] > one["seconds"]


@pytest.mark.parametrize(
    "spoilt_by",
    [{"norm.running_var": np.float32([3, -1])}, {"norm.running_mean": np.float32([np.nan, 0])}, {"w": FIRST["w"]}],
    ids=["negative", "not finite", "other entry"],
)
def test_statistics_that_cannot_be_used_are_left_out_by_name(federation: Begin, spoilt_by: Mapping[str, Any]) -> None:
    run = federation(measures_statistics=True).run(lambda question: measuring(question, site_2=spoilt_by))
    assert any("The running statistics of site-2 are not used" in line for line in run.reports)
    np.testing.assert_allclose(run.questions[-1].weights["norm.running_var"], MEASURED["norm.running_var"], rtol=1e-6)


def test_one_site_cannot_blow_the_statistics_up(federation: Begin) -> None:
    huge = {"norm.running_mean": np.float32([1e9, 1e9])}
    run = federation(measures_statistics=True).run(lambda question: measuring(question, site_2=huge))
    np.testing.assert_allclose(run.questions[-1].weights["norm.running_mean"], MEASURED["norm.running_mean"], rtol=1e-6)
    assert any(line.startswith("The running statistics of site-2 are not used: its norm") for line in run.reports)


def test_the_model_keeps_its_own_where_nobody_measures(federation: Begin) -> None:
    run = federation(measures_statistics=True).run(
        lambda question: [fails(site) for site in SITES] if question.kind == "statistics" else all_well(question)
    )
    usual = federation().run()
    for name, values in usual.questions[-1].weights.items():
        np.testing.assert_array_equal(run.questions[-1].weights[name], values)
