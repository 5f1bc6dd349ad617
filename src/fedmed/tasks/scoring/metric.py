"""Rows, the numbers of single cases, and metrics, the figures that are made of the rows of any set of cases."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedmed.core.site_scores import LARGEST, FigureForm, mean_of_values, report_of_cases, report_of_values, score_name

Combines = Literal["values", "sums", "rows"]
Sums = Mapping[str, float]

DrawnFigures = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From the number of times that each row, or each patient, is drawn, (draws, N), to figures (draws,), NaN for none."""

Weighted = Callable[[Sequence["Row"]], DrawnFigures]
"""From rows to the figures of any draws of them; what the rows alone decide is computed once."""


class Row(NamedTuple):
    """One number of one target of one case.

    ``quantity`` is a metric's name where a case has a value of its own (``dice``), or what a metric is made of
    (``score``, ``truth``). ``value`` is NaN where the case has none by the quantity's own rule.
    """

    case: str
    target: str
    quantity: str
    value: float


@dataclass(frozen=True)
class Metric:
    """A figure that is the mean of the cases' own values, NaN left out."""

    name: str
    title: str  # as a table's heading
    unit: str  # "" for a share
    better: Literal["higher", "lower", ""]  # "" where neither is: a volume, a count of lesions
    quantities: tuple[str, ...] = ()  # that it reads from rows; when not given, its own name
    bounds: tuple[float, float] | None = None
    """The least and the largest value; when not given [0, 1] of a share, else any from -1e9 to 1e9."""

    by_target: bool = field(default=True, kw_only=True)
    """False where the rows' targets are parts of a case, such as slices, and have no figures of their own."""

    combines: ClassVar[Combines] = "values"
    """The way in which a federation gets the figure over all sites.

    ``values``: the mean of the sites' figures weighted by their numbers of values. ``sums``: from the sum of the sites'
    sums. ``rows``: only where all rows are, so that over sites there is but the mean of each site's own figure.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantities", self.quantities or (self.name,))

    @property
    def is_share(self) -> bool:
        """True where the figure lies in [0, 1]."""
        return not self.unit and (self.better == "higher" or self.bounds == (0.0, 1.0))

    @property
    def reported(self) -> str:
        """The name under which sites report it, such as ``val_dice``."""
        return score_name(self.name)

    def form(self, targets: Sequence[str]) -> FigureForm:
        """The values that a site may report of it, scored on these targets."""
        return FigureForm(*self._range, per_case=len(targets))

    @property
    def _range(self) -> tuple[float, float]:
        return self.bounds or ((0.0, 1.0) if self.is_share else (-LARGEST, LARGEST))

    def read(self, rows: Iterable[Row]) -> list[Row]:
        """The rows of its quantities."""
        return [row for row in rows if row.quantity in self.quantities]

    def reduce(self, rows: Iterable[Row]) -> float:
        """The figure over the rows of any set of cases and targets; NaN where it has no value."""
        mean = mean_of_values(row.value for row in self.read(rows))
        return float("nan") if mean is None else mean

    def report(self, rows: Sequence[Row], target: str | None = None) -> dict[str, float]:
        """The numbers that a site reports of rows of its quantities, all of one ``target`` or of any; none of none."""
        return report_of_values(score_name(self.name, target), [row.value for row in rows])


@dataclass(frozen=True)
class SumsMetric(Metric):
    """A figure that follows from sums over the rows, such as counts of right and wrong answers.

    Attributes:
        sums: the sums by name. Each grows by 0 to 1 with a case, so that none exceeds the number of cases.
        parts: their names; ``{target}`` stands for each target.
        of_sums: the figure, NaN where it has no value. A server hands it 0 for a sum that a site left out.
    """

    sums: Callable[[Sequence[Row]], dict[str, float]] = field(kw_only=True)
    parts: tuple[str, ...] = field(kw_only=True)
    of_sums: Callable[[Sums], float] = field(kw_only=True)

    combines: ClassVar[Combines] = "sums"

    def form(self, targets: Sequence[str]) -> FigureForm:
        names = dict.fromkeys(part.format(target=target) for part in self.parts for target in targets)
        return FigureForm(*self._range, sums=tuple(names))

    def reduce(self, rows: Iterable[Row]) -> float:
        return self.of_sums(self.sums(self.read(rows)))

    def report(self, rows: Sequence[Row], target: str | None = None) -> dict[str, float]:
        sums = self.sums(rows) if rows else {}
        return report_of_cases(score_name(self.name, target), self.of_sums(sums), _cases(rows), sums)


@dataclass(frozen=True)
class RowsMetric(Metric):
    """A figure that needs all rows at once, such as an area under a curve."""

    figure: Callable[[Sequence[Row]], float] = field(kw_only=True)
    weighted: Weighted | None = field(default=None, kw_only=True)
    """The figures of many draws of the same rows at once, for a bootstrap; where there is none, each is computed."""

    combines: ClassVar[Combines] = "rows"

    def form(self, targets: Sequence[str]) -> FigureForm:
        return FigureForm(*self._range)

    def reduce(self, rows: Iterable[Row]) -> float:
        return self.figure(self.read(rows))

    def report(self, rows: Sequence[Row], target: str | None = None) -> dict[str, float]:
        return report_of_cases(score_name(self.name, target), self.reduce(rows), _cases(rows))


def _cases(rows: Sequence[Row]) -> int:
    return len({row.case for row in rows})
