"""The figures that a site reports, as far as its task can have them, and what each counts among the sites'."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fedmed.core.site_scores import (
    BESIDE_FIGURES,
    CASES,
    EPOCHS,
    SUM,
    TRAINED,
    VALUES,
    FigureForm,
    Figures,
    figure_of,
    is_figure,
    is_number,
    sums_of,
    weight_of,
)
from fedmed.server.fair_weights import capped, is_whole

Forms = Mapping[str, FigureForm]
"""By name the forms of the figures of a task."""

MOST_NAMED = 3


class Report(NamedTuple):
    """A site's figures and counts by name, in words what of its answer was dropped, and each local epoch's figures."""

    figures: dict[str, float]
    dropped: str = ""
    epochs: tuple[Mapping[str, float], ...] = ()


def read_report(given: Mapping[str, Any], forms: Forms, made: Callable[[], Figures], epochs: int = 1) -> Report:
    """The part of a site's report that its task, :data:`BESIDE_FIGURES` and counts have names for; all else is dropped.

    A figure stands only where it and all beside it can be: it lies in its range, counts no more values than its cases
    have, and follows from sums that are possible. Nothing is read but names that are expected.

    Args:
        given: as the site sent it.
        made: gives the figures that are made from sums; called only where there are sums.
        epochs: of a round, the most that it can tell of.

    Raises:
        TypeError: it is no mapping.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"figures by name are expected and not {type(given).__name__}")
    known, faults = _cases(given)
    cases = known.get(CASES, 1)
    for name, form in BESIDE_FIGURES.items():
        known, faults = _joined(known, faults, _beside(name, form, given))
    for name, form in forms.items():
        known, faults = _joined(known, faults, _figure(name, form, given, cases, made))
    found, of_epochs = _epochs(given.get(EPOCHS, ()), forms, epochs)
    faults = faults + of_epochs + _strange(given, forms)
    return Report({name: known[name] for name in sorted(known)}, _told(faults), found)


Found = tuple[dict[str, float], list[str]]
"""Figures and counts by name, and what is wrong with others."""


def _joined(known: dict[str, float], faults: list[str], found: Found) -> Found:
    return {**known, **found[0]}, [*faults, *found[1]]


def _cases(given: Mapping[str, Any]) -> Found:
    """The number of cases, 0 where it is none."""
    if CASES not in given:
        return {}, []
    number = given[CASES]
    return ({CASES: number}, []) if is_whole(number, 0) else ({CASES: 0}, [f"{CASES} is {number!r:.30}"])


def _beside(name: str, form: FigureForm, given: Mapping[str, Any]) -> Found:
    """A figure that belongs to no task."""
    if name not in given:
        return {}, []
    value = given[name]
    return ({name: value}, []) if form.holds(value) else ({}, [_out_of_range(name, value, form)])


def _figure(name: str, form: FigureForm, given: Mapping[str, Any], cases: float, made: Callable[[], Figures]) -> Found:
    """A figure of the task, its count and its sums."""
    mine = {key: given[key] for key in _of_figure(name, form) if key in given}
    if not mine:
        return {}, []
    fault = _fault_of(name, form, mine, cases) or _fault_of_sums(name, form, mine, made)
    return ({}, [fault]) if fault else (_with_all_sums(name, form, mine), [])


def _epochs(given: Any, forms: Forms, most: int) -> tuple[tuple[dict[str, float], ...], list[str]]:
    """The figures of each epoch, none where one of them cannot be, and the reason."""
    known = {**{name: BESIDE_FIGURES[name] for name in TRAINED}, **forms}
    if not isinstance(given, list | tuple) or len(given) > most:
        return (), [f"{EPOCHS} is no list of at most {most} epochs"]
    for number, figures in enumerate(given, start=1):
        fault = _fault_of_epoch(figures, known)
        if fault:
            return (), [f"of epoch {number}, {fault}"]
    return tuple({name: figures[name] for name in sorted(figures)} for figures in given), []


def _fault_of_epoch(figures: Any, known: Forms) -> str | None:
    """The reason against the figures of an epoch; None where there is none."""
    if not isinstance(figures, Mapping):
        return "there are no figures by name"
    for name, value in figures.items():
        if name not in known:
            return f"{name!r:.40} is of no known name"
        if not known[name].holds(value):
            return _out_of_range(name, value, known[name])
    return None


def _strange(given: Mapping[str, Any], forms: Forms) -> list[str]:
    """The first name that no figure has."""
    of_task = (key for name, form in forms.items() for key in _of_figure(name, form))
    expected = {CASES, EPOCHS, *(name + VALUES for name in TRAINED), *BESIDE_FIGURES, *of_task}
    return [f"{name!r:.40} is of no known name" for name in given if name not in expected][:1]


def _of_figure(name: str, form: FigureForm) -> list[str]:
    """The names under which a figure, its count and its sums are reported."""
    return [name, name + VALUES, *_sums(name, form)]


def _sums(name: str, form: FigureForm) -> list[str]:
    return [name + SUM + part for part in form.sums]


def _fault_of(name: str, form: FigureForm, mine: Mapping[str, Any], cases: float) -> str | None:
    """The reason against a figure with its count and sums, each by itself; None where there is none."""
    if name in mine and not form.holds(mine[name]):
        return _out_of_range(name, mine[name], form)
    count = mine.get(name + VALUES, cases)
    if not is_whole(count, 0) or count > form.per_case * cases:
        return f"{name} counts {count!r:.30} values of {cases:.0f} cases"
    sums = ((key, mine[key]) for key in _sums(name, form) if key in mine)
    wrong = (f"{key} is {value!r:.30} of {count} cases" for key, value in sums if not is_number(value, 0, count))
    return next(wrong, None)


def _fault_of_sums(name: str, form: FigureForm, mine: Mapping[str, float], made: Callable[[], Figures]) -> str | None:
    """The reason against sums that make a figure out of its range; those that make none are no fault."""
    if not any(key in mine for key in _sums(name, form)):
        return None
    value = figure_of(made()[name], sums_of([_with_all_sums(name, form, mine)], name))
    return None if math.isnan(value) or form.holds(value) else _out_of_range(name, value, form)


def _with_all_sums(name: str, form: FigureForm, mine: Mapping[str, float]) -> dict[str, float]:
    """Sums of a figure, 0 for each that is left out, where there are any."""
    sums = _sums(name, form)
    return {**(dict.fromkeys(sums, 0.0) if any(key in mine for key in sums) else {}), **mine}


def _out_of_range(name: str, value: Any, form: FigureForm) -> str:
    return f"{name} is {value!r:.30} and may be from {form.least:g} to {form.most:g}"


def _told(faults: list[str]) -> str:
    more = f" and {len(faults) - MOST_NAMED} more" if len(faults) > MOST_NAMED else ""
    return f"figures that it cannot have are dropped ({'; '.join(faults[:MOST_NAMED])}{more})" if faults else ""


class CaseCounts:
    """The number of cases that each site scores of each share, which does not change while a job runs."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Any], float] = {}

    def checked(self, site: str, share: Any, report: Report) -> Report:
        """The report, without figures where it states another number of cases than before."""
        cases = report.figures.get(CASES, 0)
        before = self._known.setdefault((site, share), cases) if cases else cases
        if cases == before:
            return report
        left = {name: n for name, n in report.figures.items() if name in BESIDE_FIGURES and not is_figure(name)}
        return Report({**left, CASES: 0}, f"it states {cases} cases and stated {before}; its scores are dropped")


def evened(reports: Mapping[str, Mapping[str, float]], forms: Forms, ratio: float) -> dict[str, dict[str, float]]:
    """The reports with counts, and the sums behind them, of at most ``ratio`` times the median of the other sites'.

    Args:
        reports: by site, as :func:`read_report` has left them.
        ratio: 0 is no limit.
    """
    found = {site: dict(report) for site, report in reports.items()}
    cases = {site: report.get(CASES, 0) for site, report in reports.items()}
    for site, number in _beyond(cases, ratio).items():
        found[site][CASES] = int(number)
    for name, form in forms.items():
        sums = _sums(name, form)
        counts = {site: weight_of(report, name) for site, report in reports.items() if report.keys() & {name, *sums}}
        for site, number in _beyond(counts, ratio).items():
            found[site] |= _counting(reports[site], name, sums, number, number / counts[site])
    return found


def _counting(
    report: Mapping[str, float], name: str, sums: Sequence[str], count: float, share: float
) -> dict[str, float]:
    """A figure's count and sums in a report, where it counts as so many values, a share of those that it states."""
    counted = {name + VALUES: int(count)} if name + VALUES in report else {}
    return {**counted, **{key: report[key] * share for key in sums if key in report}}


def _beyond(counts: Mapping[str, float], ratio: float) -> dict[str, float]:
    """Capped counts by site, of those whose count is above it."""
    stated = {site: count for site, count in counts.items() if count > 0}
    return {site: count for site, count in capped(stated, ratio).items() if count < stated[site]}
