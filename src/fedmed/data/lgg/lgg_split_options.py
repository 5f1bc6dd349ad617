"""The options of a split of the lower-grade glioma set: the ways, and the options that each way uses."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from fedmed.core.options import expect, expect_between, option
from fedmed.data.splits.split_choices import DRAWN, completed

USES: Mapping[str, frozenset[str]] = {
    "institution": DRAWN | {"small", "fewest"},
    "iid": DRAWN | {"sites"},
    "quantity": DRAWN | {"sites", "power"},
    "dirichlet": DRAWN | {"sites", "alpha"},
}
"""The options that each way makes use of."""

DEFAULTS: Mapping[str, Any] = {
    "sites": 4,
    "alpha": 0.5,
    "power": 1.0,
    "small": "test",
    "fewest": 5,
    "validation": "per_site",
    "validation_share": 0.15,
    "seed": 0,
}

TEST_SHARE = 0.2

MOST_FOLDS = 100


@dataclass(frozen=True)
class LggSplitOptions:
    """The choices of a split. None is the default where the way uses the option; ``completed`` fills it in."""

    by: Literal["institution", "iid", "quantity", "dirichlet"] = option("institution", "what the sites differ in")
    sites: int | None = option(None, "number of sites (default: 4; institution: as many as there are)")
    alpha: float | None = option(None, "dirichlet: the smaller, the more the sites' tumour sizes differ (default: 0.5)")
    power: float | None = option(None, "quantity: site i gets a share proportional to i^-X (default: 1)")
    small: Literal["test", "merge", "site"] | None = option(
        None,
        "institution: patients of one with fewer than --fewest join the test, or the site of the smallest other one, "
        "or are a site of their own (default: test)",
    )
    fewest: int | None = option(None, "institution: patients from which an institution is a site (default: 5)")
    validation: Literal["shared", "per_site"] | None = option(
        None, "one validation list for all sites, or a share of each site's own patients (default: per_site)"
    )
    validation_share: float | None = option(None, "share of patients for validation, after the test (default: 0.15)")
    test: float | None = option(None, "share of patients that no site trains or validates on (default: 0.2)")
    hold_out: str | None = option(None, "institution, such as DU, all of whose patients are the test, and none else")
    folds: int | None = option(None, "write fold-1 ... fold-N, each patient in the test of exactly one of them")
    seed: int | None = option(None, "another seed gives another split (default: 0)")

    def completed(self) -> "LggSplitOptions":
        """These options with the defaults of those that the way uses.

        Raises:
            InputError: a value is out of its range, or makes no sense beside another.
        """
        named = [name for name in ("hold_out", "folds") if getattr(self, name) is not None]
        expect(len(named) < 2, "folds", self.folds, "no value beside --hold_out; leave one out")
        expect(not named or self.test is None, "test", self.test, f"no value beside --{''.join(named)}; leave one out")
        for name, least, most in (("folds", 2, MOST_FOLDS), ("fewest", 1, 10_000)):
            if getattr(self, name) is not None:
                expect_between(name, getattr(self, name), least, most)
        share = self.test if named or self.test is not None else TEST_SHARE
        return completed(replace(self, test=share), USES, DEFAULTS)
