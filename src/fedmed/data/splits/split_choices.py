"""The options of a split on a command line: completed with the defaults of its way, and checked."""

import dataclasses
from collections.abc import Mapping, Set
from typing import Any, Protocol, TypeVar

from fedmed.core.options import expect, expect_between, expect_positive
from fedmed.data.splits.split_cases import SplitPlan

DRAWN = frozenset({"validation", "validation_share", "test", "seed"})
"""The options of every way that draws."""

PLANNED = ("alpha", "power", "validation", "validation_share", "seed")
"""The options that a plan has under the same name, with defaults of its own."""


class SplitChoices(Protocol):
    """The frozen dataclass of a dataset's options. None is the default where the way uses the option."""

    @property
    def by(self) -> Any: ...
    @property
    def sites(self) -> int | None: ...
    @property
    def alpha(self) -> float | None: ...
    @property
    def power(self) -> float | None: ...
    @property
    def validation_share(self) -> float | None: ...
    @property
    def test(self) -> Any:
        """A share, or None; a dataset's own word is the dataset's to check."""

    @property
    def seed(self) -> int | None: ...


Choices = TypeVar("Choices", bound=SplitChoices)


def completed(options: Choices, uses: Mapping[str, Set[str]], defaults: Mapping[str, Any]) -> Choices:
    """The options with the defaults of those that their way uses.

    Args:
        options: as they were given.
        uses: the options that each way makes use of.
        defaults: the values of those that are not given; ``test`` has none.

    Raises:
        InputError: a value is out of its range, or was given to a way that makes no use of it.
    """
    used = uses[options.by]
    for name in (*defaults, "test"):
        if name not in used:
            users = ", ".join(way for way in uses if name in uses[way])
            unused = f"no value with --by {options.by}, which makes no use of it (used by {users}); leave it out"
            expect(getattr(options, name) is None, name, getattr(options, name), unused)
    unset = {name: defaults[name] for name in defaults if name in used and getattr(options, name) is None}
    complete: Choices = dataclasses.replace(options, **unset)  # type: ignore[type-var]
    _check_ranges(complete)
    return complete


def plan_of(options: SplitChoices, way: Any, by: str, stratify: str) -> SplitPlan:
    """The plan of completed options.

    Args:
        options: completed.
        way: the general way behind the one of the command line.
        by: the stratum that it goes by.
        stratify: the stratum of which every part gets its share.
    """
    given = {name: value for name in PLANNED if (value := getattr(options, name)) is not None}
    return SplitPlan(way, stratify, by, options.sites, test=options.test, **given)


def _check_ranges(options: SplitChoices) -> None:
    for name, least, most in (("seed", 0, 2**32 - 1), ("sites", 1, 10_000), ("power", 0, 100)):
        if getattr(options, name) is not None:
            expect_between(name, getattr(options, name), least, most)
    if options.alpha is not None:
        expect_positive("alpha", options.alpha)
    for name in ("validation_share", "test"):
        share = getattr(options, name)
        if isinstance(share, float | int):
            expect(0 < share < 1, name, share, "a share above 0 and below 1")
