"""Splits of chest films over sites, always by patient: as published, evenly, by finding, view, age or size.

A patient's films are never taken apart. Where a patient has films of several kinds these rules say what the patient
counts as: of the rarest finding that any film shows, of the view that most films have (of the first film's, where as
many have either), and of the mean age.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

import numpy as np

from fedmed.core.errors import InputError, counted
from fedmed.core.options import expect, option
from fedmed.data.chest_xray.chest_xray_layout import TEST_PART, TRAINING_PARTS, VALIDATION_PART
from fedmed.data.chest_xray.film import Film
from fedmed.data.chest_xray.film_tables import VIEWS, named
from fedmed.data.chest_xray.finding_counts import positives
from fedmed.data.chest_xray.findings import NO_FINDING
from fedmed.data.splits.partition import Fact, FactsOf, Split, by_patient
from fedmed.data.splits.partition_ways import iid
from fedmed.data.splits.split_cases import draw_split
from fedmed.data.splits.split_choices import DRAWN, completed, plan_of

OFFICIAL = "official"
"""The value of --by and of --test for the published lists."""

FINDING, VIEW, AGE = "finding", "view", "age"
"""The facts of a patient by which it is dealt out."""

USES: Mapping[str, frozenset[str]] = {
    "iid": DRAWN | {"sites"},
    "official": DRAWN | {"sites"},
    "finding": DRAWN | {"sites", "alpha"},
    "view": DRAWN | {"sites"},
    "age": DRAWN | {"sites"},
    "quantity": DRAWN | {"sites", "power"},
}
"""The options that each way makes use of."""

WAYS = {"official": "iid", "finding": "dirichlet", "view": "group", "age": "order"}
"""The general way behind each way of the command line, where it has another name."""

STRATA = {"view": VIEW, "age": AGE}
"""The fact that a way goes by, where it is not the finding."""

DEFAULTS: Mapping[str, Any] = {
    "sites": 3,
    "alpha": 0.5,
    "power": 1.0,
    "validation": "per_site",
    "validation_share": 0.15,
    "seed": 0,
}

TEST_SHARE = 0.2

NEEDED = "the published lists, of which the set has none with films that are there"


@dataclass(frozen=True)
class ChestXraySplitOptions:
    """The choices of a split. None is the default where the way uses the option; ``completed`` fills it in."""

    by: Literal["iid", "official", "finding", "view", "age", "quantity"] = option("iid", "what the sites differ in")
    sites: int | None = option(None, "number of sites (default: 3; view: one for PA and one for AP)")
    alpha: float | None = option(None, "finding: the smaller, the more the sites' findings differ (default: 0.5)")
    power: float | None = option(None, "quantity: site i gets a share proportional to i^-X (default: 1)")
    validation: Literal["shared", "per_site"] | None = option(
        None, "one validation list for all sites, or a share of each site's own patients (default: per_site)"
    )
    validation_share: float | None = option(None, "share of patients for validation, after the test (default: 0.15)")
    test: str | float | None = option(
        None, "share of patients that no site trains on, or official: those of test_list.txt (default: official where "
        "the published lists are there, else 0.2)",
    )  # fmt: skip
    seed: int | None = option(None, "another seed gives another split (default: 0)")

    def completed(self, published: Set[str]) -> "ChestXraySplitOptions":
        """These options with the defaults of those that the way uses.

        Args:
            published: the published parts of which films are there.

        Raises:
            InputError: a value is out of its range, or was given to a way or a set that makes no use of it.
        """
        has_lists = TEST_PART in published and not published.isdisjoint(TRAINING_PARTS)
        expect(has_lists or self.by != OFFICIAL, "by", self.by, f"another way; this one needs {NEEDED}")
        usual = {**DEFAULTS, "sites": None} if self.by == "view" else DEFAULTS
        filled = completed(replace(self, test=self._test(has_lists)), USES, usual)
        if self.by != OFFICIAL or VALIDATION_PART not in published:
            return filled
        for name in ("validation", "validation_share"):
            given = getattr(self, name)
            expect(given is None, name, given, f"no value, as --by {OFFICIAL} takes val_list.txt for all sites")
        return replace(filled, validation="shared", validation_share=None)

    def _test(self, has_lists: bool) -> str | float:
        """The word for the published test, or a share of the patients."""
        test = self.test if self.test is not None else OFFICIAL if has_lists else TEST_SHARE
        expect(has_lists or test != OFFICIAL, "test", test, f"a share; {OFFICIAL} needs {NEEDED}")
        expect(self.by != OFFICIAL or test == OFFICIAL, "test", test, f"no share beside --by {OFFICIAL}; leave it out")
        return _share_or_word(test)


def _share_or_word(test: str | float) -> str | float:
    if test == OFFICIAL:
        return test
    try:
        return float(test)
    except ValueError as error:
        raise InputError(f"--test is {test:.80}; expected {OFFICIAL}, or a share above 0 and below 1.") from error


def facts_of_films(film: Film) -> dict[str, Fact]:
    """The facts of a film as the record of a split has them."""
    return {
        "findings": "|".join(film.findings) or NO_FINDING,
        VIEW: film.view or None,
        AGE: film.age,
        "follow_up": film.follow_up,
    }


def facts_of_patients(films: Sequence[Film]) -> FactsOf[Film]:
    """Gives what the patient of a film counts as, by the rules above; an unknown age is the median of the others'."""
    counts = positives(films)
    rank = {name: (name == NO_FINDING, count, name) for name, count in counts.items()}  # no finding comes last
    of_patient: dict[str, list[Film]] = {}
    for film in sorted(films, key=lambda film: film.name):
        of_patient.setdefault(film.patient, []).append(film)
    ages = {patient: _mean_age(own) for patient, own in of_patient.items()}
    usual = median([age for age in ages.values() if age is not None] or [0.0])
    facts: dict[str, dict[str, Fact]] = {}
    for patient, own in of_patient.items():
        age = ages[patient]
        facts[patient] = {FINDING: _finding(own, rank), VIEW: _view(own), AGE: usual if age is None else age}
    return lambda film: facts[film.patient]


def _finding(films: Sequence[Film], rank: Mapping[str, Any]) -> str:
    """The rarest finding of a patient's films."""
    return min({name for film in films for name in film.findings} or {NO_FINDING}, key=lambda name: rank[name])


def _mean_age(films: Sequence[Film]) -> float | None:
    known = [film.age for film in films if film.age is not None]
    return sum(known) / len(known) if known else None


def _view(films: Sequence[Film]) -> str | None:
    """The view of most films; of as many the first one's, as Counter keeps the order."""
    views = Counter(film.view for film in films if film.view)
    return views.most_common(1)[0][0] if views else None


def split_chest_xray(films: Sequence[Film], options: ChestXraySplitOptions) -> Split[Film]:
    """Draw a split of completed options; ``draw_split`` describes the properties.

    Each site's test are an even share of everybody's. With a published test, films that are in no published list are
    in no part; ``official`` takes the published validation, too, where there is one, as the list of all sites.

    Raises:
        InputError: there are too few patients, the fact that the way goes by is not known, or a patient has films on
            two sides of the published lists.
    """
    facts_of = facts_of_patients(films)
    _require_known(films, facts_of, options)
    official = options.test == OFFICIAL
    split = _published_split(films, options, facts_of) if official else _drawn(films, options, facts_of)
    test, sites = by_patient(split.test, facts_of), len(split.sites)
    expect(len(test) >= sites, "sites", sites, f"at most {len(test)}, the patients of the test")
    dealt = iid(test, sites, FINDING, np.random.default_rng([options.seed or 0, sites]))
    return replace(split, own_test=dict(zip(split.sites, dealt, strict=True)))


def _drawn(films: Sequence[Film], options: ChestXraySplitOptions, facts_of: FactsOf[Film]) -> Split[Film]:
    way, by = WAYS.get(options.by, options.by), STRATA.get(options.by, FINDING)
    return draw_split(by_patient(films, facts_of), plan_of(options, way, by, FINDING))


def _published_split(films: Sequence[Film], options: ChestXraySplitOptions, facts_of: FactsOf[Film]) -> Split[Film]:
    """The split with the published test and, for the way that is official, with the published validation."""
    taken = VALIDATION_PART if options.by == OFFICIAL else TEST_PART
    sides = {part: part if part in (taken, TEST_PART) else "training" for part in (*TRAINING_PARTS, TEST_PART)}
    _require_one_side(films, sides)
    parts: dict[str, list[Film]] = {side: [] for side in sides.values()}
    for film in sorted(films, key=lambda film: film.name):
        if film.part:
            parts[sides[film.part]].append(film)
    if options.by == OFFICIAL and parts[VALIDATION_PART]:
        split = _evenly(parts["training"], parts[VALIDATION_PART], options, facts_of)
    else:
        split = _drawn(parts["training"], replace(options, test=None), facts_of)
    return replace(split, test=tuple(parts[TEST_PART]))


def _evenly(
    pool: Sequence[Film], validation: Sequence[Film], options: ChestXraySplitOptions, facts_of: FactsOf[Film]
) -> Split[Film]:
    """The pool dealt out evenly, with a published validation for all sites."""
    patients, sites = by_patient(pool, facts_of), options.sites or 1
    expect(len(patients) >= sites, "sites", sites, f"at most {len(patients)}, the patients of the published training")
    dealt = iid(patients, sites, FINDING, np.random.default_rng(options.seed or 0))
    names = {f"site-{number}": cases for number, cases in enumerate(dealt, start=1)}
    return Split(names, tuple(validation))


def _require_one_side(films: Sequence[Film], sides: Mapping[str, str]) -> None:
    """Refuse a patient with films on two sides of the published lists."""
    seen: dict[str, set[str]] = {}
    for film in films:
        if film.part:
            seen.setdefault(film.patient, set()).add(sides[film.part])
    both = [patient for patient, found in seen.items() if len(found) > 1]
    if both:
        raise InputError(
            f"{counted(len(both), 'patient')} with films on two sides of the published lists ({named(both)}); draw the "
            f"test by patient with --test {TEST_SHARE:g}, or correct the lists."
        )


def _require_known(films: Sequence[Film], facts_of: FactsOf[Film], options: ChestXraySplitOptions) -> None:
    """Refuse a way by views or ages that no table states; films of unknown view are counted."""
    if options.by == "age" and not any(film.age is not None for film in films):
        raise InputError("No film has an age; --by age expects the column Patient Age in a table: choose another way.")
    if options.by == "view":
        unknown = sorted({film.patient for film in films if facts_of(film)[VIEW] is None})
        if unknown:
            raise InputError(
                f"{counted(len(unknown), 'patient')} of unknown view ({named(unknown)}); --by view expects the column "
                f"View Position with {' or '.join(VIEWS)} for all: choose another way."
            )


def split_warnings(split: Split[Film], films: Sequence[Film], options: ChestXraySplitOptions) -> list[str]:
    """A sentence on films of unknown age where sites go by it, and on films that are in no part."""
    lines = []
    unknown = {film.patient for film in films if film.age is None}
    if options.by == "age":
        unknown -= {film.patient for film in films if film.age is not None}
        if unknown:
            found = f"{counted(len(unknown), 'patient')} of unknown age ({named(sorted(unknown))})"
            lines.append(f"{found}: they count as of the median age.")
    left = sorted({film.name for film in films} - {film.name for film in split.cases})
    if left:
        lines.append(f"{counted(len(left), 'film')} in no published list, left out: {named(left)}.")
    return lines


def part_films(split: Split[Film]) -> dict[str, Sequence[Film]]:
    """The films of each part: training of the sites, validation, test."""
    return {**split.sites, "validation": split.validation, **({"test": split.test} if split.test else {})}
