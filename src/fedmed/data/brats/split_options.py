"""The options of a split on the command line: the ways, and the options that each way uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fedmed.core.options import option
from fedmed.data.splits.split_choices import DRAWN, completed

Way = Literal["published", "iid", "institution", "grade", "tumour_volume", "quantity", "dirichlet"]

USES: Mapping[str, frozenset[str]] = {
    "published": frozenset(),
    "iid": DRAWN | {"sites"},
    "institution": DRAWN,
    "grade": DRAWN | {"sites"},
    "tumour_volume": DRAWN | {"sites"},
    "quantity": DRAWN | {"sites", "power"},
    "dirichlet": DRAWN | {"sites", "alpha", "over"},
}
"""The options that each way makes use of."""

DEFAULTS: Mapping[str, Any] = {
    "sites": 4,
    "alpha": 0.5,
    "over": "grade",
    "power": 1.0,
    "validation": "shared",
    "validation_share": 0.15,
    "seed": 0,
}


@dataclass(frozen=True)
class SplitOptions:
    """The choices of a split. None is the default where the way uses the option; ``completed`` fills it in."""

    by: Way = option("published", "what the sites differ in")
    sites: int | None = option(None, "number of sites (default: 4; institution: as many as there are)")
    alpha: float | None = option(None, "dirichlet: the smaller, the more the sites differ (default: 0.5)")
    over: Literal["grade", "volume"] | None = option(None, "dirichlet: what the sites differ in (default: grade)")
    power: float | None = option(None, "quantity: site i gets a share proportional to i^-X (default: 1)")
    validation: Literal["shared", "per_site"] | None = option(
        None, "one validation list for all sites, or a share of each site's own cases (default: shared)"
    )
    validation_share: float | None = option(None, "share of patients for validation, after --test (default: 0.15)")
    test: float | None = option(None, "share of patients that no site gets, for test.json (default: none)")
    seed: int | None = option(None, "another seed gives another split (default: 0)")

    @property
    def needs_volumes(self) -> bool:
        """True where the split depends on the volumes of the tumours."""
        return self.by == "tumour_volume" or (self.by == "dirichlet" and self.over == "volume")

    @property
    def needs_grades(self) -> bool:
        """True where the split goes by the grades."""
        return self.by == "grade" or (self.by == "dirichlet" and self.over == "grade")

    def completed(self) -> "SplitOptions":
        """These options with the defaults of those that the way uses.

        Raises:
            InputError: a value is out of its range, or was given to a way that makes no use of it.
        """
        return completed(self, USES, DEFAULTS)
