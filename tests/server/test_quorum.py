"""The quorum of a round: when the round counts, and what is said where it does not."""

import pytest

from fedmed.server.quorum import NO_ROUND, RoundFailed, RoundQuorum

SITES = ("a", "b", "c")


def quorum(needed: int | None, answers: str, absent: dict[str, str] | None = None) -> RoundQuorum:
    """A round of three sites but those that are absent, in which some answer."""
    made = RoundQuorum([site for site in SITES if site not in (absent or {})], absent, needed)
    for site in answers:
        made.answered(site)
    return made


def counts(made: RoundQuorum, usable: int, refused: dict[str, str] | None = None) -> bool:
    try:
        made.require("round 2", usable, refused or {})
    except RoundFailed:
        return False
    return True


@pytest.mark.parametrize(
    ("needed", "answers", "refused", "expected"),
    [
        (None, "abc", "", True),
        (None, "abc", "b", True),  # whether what is left suffices is then the aggregator's to say
        (None, "ab", "", False),
        (None, "", "", False),
        (3, "abc", "", True),
        (3, "abc", "c", False),
        (3, "ab", "", False),
        (2, "abc", "c", True),
        (2, "ab", "", True),
        (2, "ab", "b", False),
        (2, "a", "", False),
        (1, "a", "", True),
        (1, "abc", "ab", True),
        (1, "a", "a", False),
        (1, "", "", False),
    ],
)
def test_a_round_counts_with_enough_usable_answers(
    needed: int | None, answers: str, refused: str, expected: bool
) -> None:
    made = quorum(needed, answers)
    made.close(dict.fromkeys(SITES, "late"))
    assert counts(made, len(set(answers) - set(refused)), dict.fromkeys(refused, "NaN")) is expected


@pytest.mark.parametrize(("needed", "expected"), [(None, False), (3, False), (2, True), (1, True)])
def test_a_site_that_was_not_asked_is_missing_like_one_that_did_not_answer(needed: int | None, expected: bool) -> None:
    made = quorum(needed, "ab", absent={"c": "silent"})
    assert made.sites == ("a", "b")
    made.close({})
    assert counts(made, 2) is expected


def test_who_is_awaited_is_who_was_asked_and_has_not_answered() -> None:
    made = RoundQuorum(["c", "a", "b"])
    assert made.awaited == ["a", "b", "c"]
    made.answered("b")
    made.answered("b")
    made.answered("whoever")
    assert made.awaited == ["a", "c"]
    made.close({"a": "late", "b": "not read", "c": "lost"})
    assert made.absent == {"a": "late", "c": "lost"}


def test_a_site_that_failed_is_awaited_no_longer_and_is_absent_with_its_reason() -> None:
    made = RoundQuorum(SITES, needed=2)
    made.failed("b", "out of memory")
    assert made.awaited == ["a", "c"]
    assert made.absent == {"b": "out of memory"}
    made.close({"a": "late", "b": "not read", "c": "late"})
    assert made.absent == {"a": "late", "b": "out of memory", "c": "late"}


@pytest.mark.parametrize(("needed", "broken"), [(None, True), (1, False), (3, False)])
def test_a_round_is_broken_at_once_where_every_site_must_answer_and_one_cannot(
    needed: int | None, broken: bool
) -> None:
    made = RoundQuorum(SITES, needed=needed)
    assert not made.is_broken
    made.answered("a")
    assert not made.is_broken
    made.failed("b", "out of memory")
    assert made.is_broken is broken


def test_the_message_names_everyone_who_is_missing_and_why() -> None:
    made = quorum(2, "ab", absent={"c": "no sign of life for 40 s"})
    made.close({})
    with pytest.raises(RoundFailed) as caught:
        made.require("round 7", 1, {"b": "it holds NaN"})
    assert str(caught.value) == (
        f"{NO_ROUND} round 7 needs 2 usable updates and has 1 (b: it holds NaN; c: no sign of life for 40 s)."
    )
    made = quorum(None, "ab")
    made.close({"c": "no answer within 5 s"})
    with pytest.raises(RoundFailed, match=r"round 7 needs an answer of every site \(c: no answer within 5 s\)\.$"):
        made.require("round 7", 2, {})


def test_where_nobody_is_known_to_be_missing_there_is_nothing_to_add() -> None:
    with pytest.raises(RoundFailed, match=r"needs 1 usable update and has 0\.$"):
        RoundQuorum([], needed=1).require("the next round", 0, {})


def test_the_absent_of_one_round_are_not_those_of_another() -> None:
    absent = {"c": "silent"}
    made = RoundQuorum(["a"], absent)
    made.close({"a": "late"})
    assert absent == {"c": "silent"}
