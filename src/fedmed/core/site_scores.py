"""The figures that sites report, as plain numbers by name, and their means over cases and sites. Pure functions.

A figure ``val_dice`` comes with ``val_dice_values``, the number of values or cases behind it. A figure that follows
from sums, such as the share of right answers, comes with those too: ``val_accuracy_sum_right``. Nothing here needs
MONAI or scipy, which take a server seconds to import.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

VALIDATION = "val_"
"""Begins the name of every figure of a validation."""

CASES = "val_cases"
"""Number of cases that a site scored."""

SECONDS = "val_seconds"
"""Duration of a site's validation."""

PERSONAL = "val_personal"
"""The key figure of a site's personal model, on all of its own validation cases; nothing else is told of that model."""

VALUES = "_values"
"""Added to a figure's name: number of values of which a site's figure is the mean, or of cases behind it."""

SUM = "_sum_"
"""Added to a figure's name, before the name of one of its sums."""

LEARNING_RATE = "learning_rate"
"""In a round's record, and a curve of a site: the learning rate of the round, where it varies."""

EPOCHS = "epochs"
"""In a site's report: the figures of each local epoch by name, in a list in the order of the epochs."""

OF_EPOCH = "epoch_"
"""Begins the name of a curve of a site's own model, one value a local epoch: ``epoch_val_accuracy``."""

TRAINED = ("train_loss", "train_accuracy")
"""The figures of an epoch's training: means over its steps and over its cases."""

Figures = Mapping[str, Callable[[Mapping[str, float]], float]]
"""By the name of a figure that is made from sums: the function from the sums to the figure."""

LARGEST = 1e9
"""The largest size of a figure that states no range of its own."""


@dataclass(frozen=True)
class FigureForm:
    """The values that sites may report under a figure's name.

    Attributes:
        least, most: the range of the figure.
        per_case: the largest number of values that a case adds to the figure.
        sums: the names of the sums behind it, each of which grows by 0 to 1 with a case.
    """

    least: float = -LARGEST
    most: float = LARGEST
    per_case: int = 1
    sums: tuple[str, ...] = ()

    def holds(self, value: Any) -> bool:
        """True for a number within the range."""
        return is_number(value, self.least, self.most)


BESIDE_FIGURES: Mapping[str, FigureForm] = {
    SECONDS: FigureForm(0.0),
    PERSONAL: FigureForm(),
    "train_loss": FigureForm(),
    "train_accuracy": FigureForm(0.0, 1.0),
    "sent_epoch": FigureForm(1.0),
    "train_seconds": FigureForm(0.0),
    "fresh_optimizer": FigureForm(0.0, 1.0),
}
"""The figures that sites report beside those of their task and :data:`CASES`."""


def is_number(value: Any, least: float, most: float) -> bool:
    """True for a number, and no bool, from ``least`` to ``most``; NaN is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


@dataclass(frozen=True)
class KeyScore:
    """The figure that chooses the best model, and its names on the screen and in pictures. Higher is better."""

    name: str  # as sites report it: val_dice
    title: str  # as people call it: Dice
    targets: tuple[str, ...]  # that have a figure of their own
    is_share: bool = True  # lies in [0, 1]
    figures: Figures = field(default_factory=dict)  # those of all figures that are made from sums
    combines: bool = True  # over sites it is the figure of all their cases together, and no mean of the sites' own

    @property
    def over_sites(self) -> str:
        """The title of the figure over several sites: ``Dice``, or ``mean of the sites' AUROC``."""
        return self.title if self.combines else f"mean of the sites' {self.title}"

    def of(self, target: str) -> str:
        """The name of the figure of one target."""
        return of_target(self.name, target)

    def mean(self, reports: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """Every figure over the sites of ``reports``, as :func:`mean_over_sites` makes it."""
        return mean_over_sites(reports, self.figures)


def score_name(metric: str, target: str | None = None) -> str:
    """``val_dice``, or for one target ``val_dice_tc``: lower case, with underscores for spaces."""
    return VALIDATION + metric if target is None else of_target(VALIDATION + metric, target)


def of_target(figure: str, target: str) -> str:
    """The name of a reported figure for one target: ``val_dice`` and ``TC`` make ``val_dice_tc``."""
    return f"{figure}_{target.lower().replace(' ', '_')}"


def is_figure(name: str) -> bool:
    """True for a figure of a validation; False for counts, sums and times beside it, and for what training reports."""
    beside = name in (CASES, SECONDS) or name.endswith(VALUES) or SUM in name
    return name.startswith(VALIDATION) and not beside


def is_count(name: str) -> bool:
    """True for the number of cases that a site scored, and for the number of values behind a figure."""
    return name == CASES or name.endswith(VALUES)


def mean_of_values(values: Iterable[float]) -> float | None:
    """The mean of those that are not NaN; None when there is none."""
    finite = [value for value in values if not math.isnan(value)]
    return sum(finite) / len(finite) if finite else None


def report_of_values(name: str, values: Sequence[float]) -> dict[str, float]:
    """The mean of the values without NaN, and their number; nothing where all are NaN."""
    mean = mean_of_values(values)
    return {} if mean is None else {name: mean, name + VALUES: sum(not math.isnan(value) for value in values)}


def report_of_cases(name: str, figure: float, cases: int, sums: Mapping[str, float] | None = None) -> dict[str, float]:
    """A figure over cases, their number and the sums behind it; the sums alone where the figure is NaN."""
    known = {} if math.isnan(figure) else {name: figure, name + VALUES: cases}
    return {**known, **{name + SUM + key: value for key, value in (sums or {}).items()}}


def weight_of(report: Mapping[str, Any], metric: str) -> Any:
    """The weight of a site's figure among the sites: its number of values, where unknown that of its cases, else 1.

    Weighted by values, the mean over sites is the mean over all their values, whichever site scored which case.
    """
    return report.get(metric + VALUES, report.get(CASES, 1) if metric.startswith(VALIDATION) else 1)


def mean_over_sites(scores: Mapping[str, Mapping[str, float]], figures: Figures | None = None) -> dict[str, float]:
    """Each figure over all sites: from the sum of the sites' sums, else the mean weighted by :func:`weight_of`.

    Args:
        scores: reports by site.
        figures: the figures that are made from sums. One that is not here is averaged.
    """
    reports = list(scores.values())
    names = {name for report in reports for name in report if _has_mean(name)}
    means = {name: mean for name in names if (mean := weighted_mean(reports, name)) is not None}
    return {**means, **_from_sums(reports, figures or {})}


def weighted_mean(reports: Iterable[Mapping[str, float]], name: str) -> float | None:
    """The mean of a figure over the reports that have it; None where their weights add up to 0."""
    pairs = [(report[name], weight_of(report, name)) for report in reports if name in report]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None


def _has_mean(name: str) -> bool:
    return name != CASES and not name.endswith(VALUES) and SUM not in name


def _from_sums(reports: Sequence[Mapping[str, float]], figures: Figures) -> dict[str, float]:
    found = {name: figure_of(figure, sums) for name, figure in figures.items() if (sums := sums_of(reports, name))}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def figure_of(figure: Callable[[Mapping[str, float]], float], sums: Mapping[str, float]) -> float:
    """The figure that sums make; NaN also where they make none that it can compute."""
    try:
        return figure(sums)
    except (ArithmeticError, LookupError):
        return math.nan


def sums_of(reports: Sequence[Mapping[str, float]], name: str) -> dict[str, float]:
    """A figure's sums over all reports, by their own names."""
    begin, totals = name + SUM, dict[str, float]()
    for report in reports:
        for key, value in report.items():
            if key.startswith(begin):
                totals[key.removeprefix(begin)] = totals.get(key.removeprefix(begin), 0.0) + value
    return totals
