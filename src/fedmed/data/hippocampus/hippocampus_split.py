"""The options of a split of the hippocampus set: the ways, their options, and the plan that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fedmed.core.options import option
from fedmed.data.hippocampus.hippocampus_layout import CaseMeasures, HippocampusCase
from fedmed.data.splits.partition import Fact, FactsOf, Split, by_patient
from fedmed.data.splits.split_cases import draw_split
from fedmed.data.splits.split_choices import DRAWN, completed, plan_of

SOURCE, VOLUME = "source", "volume_ml"
"""The names of the facts of a case."""

USES: Mapping[str, frozenset[str]] = {
    "source": DRAWN | {"sites"},
    "iid": DRAWN | {"sites"},
    "volume": DRAWN | {"sites"},
    "quantity": DRAWN | {"sites", "power"},
    "dirichlet": DRAWN | {"sites", "alpha", "over"},
}
"""The options that each way makes use of."""

WAYS = {"source": "group", "volume": "order"}
"""The general way behind each way of the command line, where it has another name."""

DEFAULTS: Mapping[str, Any] = {
    "sites": 4,
    "alpha": 0.5,
    "over": "source",
    "power": 1.0,
    "validation": "shared",
    "validation_share": 0.15,
    "seed": 0,
}


@dataclass(frozen=True)
class HippocampusSplitOptions:
    """The choices of a split. None is the default where the way uses the option; ``completed`` fills it in."""

    by: Literal["source", "iid", "volume", "quantity", "dirichlet"] = option("source", "what the sites differ in")
    sites: int | None = option(
        None, "number of sites; source: the largest sources are divided among several (default: 4)"
    )
    alpha: float | None = option(None, "dirichlet: the smaller, the more the sites differ (default: 0.5)")
    over: Literal["source", "volume"] | None = option(None, "dirichlet: what the sites differ in (default: source)")
    power: float | None = option(None, "quantity: site i gets a share proportional to i^-X (default: 1)")
    validation: Literal["shared", "per_site"] | None = option(
        None, "one validation list for all sites, or a share of each site's own cases (default: shared)"
    )
    validation_share: float | None = option(None, "share of patients for validation, after --test (default: 0.15)")
    test: float | None = option(0.2, "share of patients that no site gets, for test.json")
    seed: int | None = option(None, "another seed gives another split (default: 0)")

    def completed(self) -> "HippocampusSplitOptions":
        """These options with the defaults of those that the way uses.

        Raises:
            InputError: a value is out of its range, or was given to a way that makes no use of it.
        """
        return completed(self, USES, DEFAULTS)


def facts_of_measures(measures: Mapping[str, CaseMeasures]) -> FactsOf[HippocampusCase]:
    """Gives the facts of a case, from the measures by case name."""

    def facts(case: HippocampusCase) -> dict[str, Fact]:
        return {SOURCE: measures[case.name].source, VOLUME: measures[case.name].volume_ml}

    return facts


def split_hippocampus(
    cases: Sequence[HippocampusCase], options: HippocampusSplitOptions, measures: Mapping[str, CaseMeasures]
) -> Split[HippocampusCase]:
    """Draw a split of completed options; ``draw_split`` describes the properties.

    Raises:
        InputError: there are too few patients.
    """
    by = VOLUME if options.by == "volume" or options.over == "volume" else SOURCE
    plan = plan_of(options, WAYS.get(options.by, options.by), by, SOURCE)
    return draw_split(by_patient(cases, facts_of_measures(measures)), plan)
