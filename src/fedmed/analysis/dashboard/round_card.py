"""The state of a run's rounds and sites, as a card and a row a site. Pure functions over a run's records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fedmed.core.site_scores import CASES, TRAINED, KeyScore, is_figure
from fedmed.runs.console import mean_round_s, time_left
from fedmed.runs.history import Record
from fedmed.server.round_record import completes_a_round

Steps = Mapping[str, tuple[int, int]]
"""By site the steps of the round that goes on, so far and in all."""

Kind = Literal["complete", "without a site", "does not count", "goes on", "to come"]

MOST_NAMED = 4
"""Sites that a sentence names."""

LATE = 2.0
"""A site is late when the round has lasted so many times the mean of those before."""


@dataclass(frozen=True)
class RoundCard:
    """The rounds of a run.

    Attributes:
        waiting: a sentence on the round that goes on; empty where nobody knows, or none does.
    """

    title: str
    rounds: tuple[Kind, ...]
    elapsed_s: float
    mean_s: float | None
    left_s: float | None
    answered: str
    waiting: str


@dataclass(frozen=True)
class SiteRow:
    """A site of a run; what is not known is None, or a dash in words."""

    site: str
    cases: str
    last_seen: str
    score: float | None
    loss: float | None
    state: str
    why: str


def round_card(
    records: Sequence[Record], planned: int, sites: Sequence[str], *, goes_on: bool, steps: Steps | None, age_s: float
) -> RoundCard:
    """The card of a run.

    Args:
        records: of the server, of the run so far.
        planned: rounds.
        sites: those that train in a round, or all where they are drawn anew.
        goes_on: whether the run is running.
        steps: of the round that goes on; None where they are not known.
        age_s: seconds since the last record, or since the beginning.
    """
    done = sum(map(completes_a_round, records))
    trains = goes_on and done < planned
    answered, waiting = _waiting(steps, sites) if trains and steps is not None else ("-", "")
    return RoundCard(
        _title(done, planned, goes_on),
        (*_kinds(records), *_ahead(done, planned, trains)),
        sum(record["seconds"] for record in records) + (age_s if goes_on else 0.0),
        mean_round_s(records) if records else None,
        _left_s(records, planned, age_s) if trains else None,
        answered,
        waiting,
    )


def _left_s(records: Sequence[Record], planned: int, age_s: float) -> float | None:
    return max(0.0, time_left(records, planned) - age_s) if records else None


def _title(done: int, planned: int, goes_on: bool) -> str:
    if not goes_on:
        return f"{done} of {planned} rounds"
    return f"round {done + 1} of {planned}" if done < planned else "the final model is scored"


def _ahead(done: int, planned: int, trains: bool) -> list[Kind]:
    going: list[Kind] = ["goes on"] if trains else []
    coming: list[Kind] = ["to come"] * max(0, planned - done - trains)
    return [*going, *coming]


def _kinds(records: Sequence[Record]) -> list[Kind]:
    return [_kind(record) for record in records if not record.get("final")]


def _kind(record: Record) -> Kind:
    if not completes_a_round(record):
        return "does not count"
    return "without a site" if record.get("refused") else "complete"


def _waiting(steps: Steps, sites: Sequence[str]) -> tuple[str, str]:
    """The number of sites that have finished the round, and a sentence on those that have not."""
    finished = sorted(site for site, (now, of) in steps.items() if now == of)
    waited = sorted(set(sites) - set(finished))
    more = f" and {len(waited) - MOST_NAMED} more" if len(waited) > MOST_NAMED else ""
    awaited = f"waiting for {', '.join(waited[:MOST_NAMED])}{more}" if waited else "the server combines"
    answered = f"{len(finished)} of {len(sites)}"
    return answered, f"{answered} answered, {awaited}"


def site_rows(
    records: Sequence[Record],
    sites: Sequence[str],
    key: KeyScore,
    cases: Mapping[str, Mapping[str, int]],
    card: RoundCard,
    steps: Steps | None,
    age_s: float,
) -> list[SiteRow]:
    """A row a site.

    Args:
        cases: numbers of cases by site and split, as far as they are known.
    """
    late = card.mean_s is not None and age_s > LATE * card.mean_s
    trains = "goes on" in card.rounds
    rows = []
    for site in sites:
        state, why = _in_records(records, site)
        own = (steps or {}).get(site)
        if trains and steps is not None and not why:
            state = _at_work(own, late)
        seen = _last_round(records, site)
        if trains and own:
            seen = f"now: step {own[0]} of {own[1]}"
        rows.append(
            SiteRow(
                site, _cases(records, site, cases), seen, _latest(records, site, key.name),
                _latest(records, site, TRAINED[0]), state, why,
            )
        )  # fmt: skip
    return rows


def _at_work(own: tuple[int, int] | None, late: bool) -> str:
    """The state of a site in the round that goes on."""
    if own and own[0] == own[1]:
        return "answered"
    if late:
        return "late"
    return "at work" if own else "not heard of in this round"


def _in_records(records: Sequence[Record], site: str) -> tuple[str, str]:
    """The state of a site by the records: answered, or left out since which round, and why."""
    since, why = None, ""
    for record in reversed(records):
        reasons: Mapping[str, Any] = {**record.get("refused", {}), **record.get("unscored", {})}
        if site not in reasons:
            break
        since, why = record["round"] + 1, why or str(reasons[site])
    if since is not None:
        return f"left out since round {since}", why
    if not records:
        return "not heard of yet", ""
    return ("answered" if site in records[-1]["sites"] else "did not train in the last round"), ""


def _last_round(records: Sequence[Record], site: str) -> str:
    for record in reversed(records):
        if site in record["sites"]:
            return "the last score" if record.get("final") else f"round {record['round'] + 1}"
    return "-"


def _latest(records: Sequence[Record], site: str, name: str) -> float | None:
    found = (record["sites"].get(site, {}).get(name) for record in reversed(records))
    return next((value for value in found if value is not None), None)


def _cases(records: Sequence[Record], site: str, cases: Mapping[str, Mapping[str, int]]) -> str:
    """Numbers of cases by split, else of those that the site has scored."""
    if site in cases:
        return ", ".join(f"{number} {split}" for split, number in cases[site].items())
    reports = (record["sites"].get(site, {}) for record in reversed(records))
    scored = next((report[CASES] for report in reports if any(map(is_figure, report))), None)
    return "-" if scored is None else f"{scored:.0f} scored"
