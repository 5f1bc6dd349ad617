"""The picture of a split: the number of cases of each stratum in every part, and the distribution of a number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fedmed.data.splits.partition import C, Fact, FactsOf, Split

COLOURS = ("#d55e00", "#0072b2", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#f0e442")
"""Of the texts of a stratum, in their order and from the first one again where there are more.

Okabe and Ito's, which the colour-blind tell apart.
"""

UNKNOWN = "0.6"
"""The grey of cases of unknown stratum."""

MOST_SIDE_BY_SIDE = 8
"""Parts with which both panels fit beside each other; more get one below the other."""

OWN_VALIDATION = "////"
"""The hatching of cases on which a site itself validates."""


@dataclass(frozen=True)
class Drawn:
    """The facts that are drawn.

    Attributes:
        stratum: the text by which bars are stacked.
        value: the number of the right panel; "" for none.
        value_title: the title of the right panel.
        unit: of the number.
        texts: the texts of the stratum that are known beforehand, so that each has the same colour in every picture.
        dealt: the word for what is dealt out, in the plural.
    """

    stratum: str
    value: str = ""
    value_title: str = ""
    unit: str = ""
    texts: tuple[str, ...] = ()
    dealt: str = "cases"


@dataclass(frozen=True)
class _Bar:
    """A part with its facts; ``own`` are those of a site's own validation cases."""

    title: str
    training: Sequence[Mapping[str, Fact]]
    own: Sequence[Mapping[str, Fact]]

    @property
    def every(self) -> list[Mapping[str, Fact]]:
        return [*self.training, *self.own]


def picture(split: Split[C], facts_of: FactsOf[C], drawn: Drawn, title: str, caption: str = "") -> bytes:
    """A PNG of the parts of a split; needs no screen.

    Left a bar a part, stacked by stratum, with a site's own validation cases hatched; right, where a number is known,
    that of each case with the quartiles. Parts are the sites, the shared validation and the test.

    Args:
        split: the split.
        facts_of: gives the facts of a case.
        drawn: the facts to draw.
        title: of the figure.
        caption: the data of which the figure was made, printed under it.
    """
    bars = _bars(split, facts_of)
    numbered = any(facts.get(drawn.value) is not None for bar in bars for facts in bar.every)
    panels = 2 if numbered else 1
    rows, columns = (panels, 1) if len(bars) > MOST_SIDE_BY_SIDE else (1, panels)
    width = max(4.5, 1.5 + 0.75 * len(bars))
    figure = Figure(figsize=(width * columns, 4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = _colours(bars, drawn)
    _draw_counts(axes[0], bars, drawn, colours)
    if numbered:
        _draw_values(axes[1], bars, drawn, colours)
    for each in axes:
        each.set_xticks(range(len(bars)), [bar.title for bar in bars], fontsize=8)
        each.set_xlim(-0.6, len(bars) - 0.4)
        each.grid(axis="y", alpha=0.25)
        each.set_axisbelow(True)
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(caption, fontsize=8, color="0.35")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _bars(split: Split[C], facts_of: FactsOf[C]) -> list[_Bar]:
    own = split.own_validation or {}
    bars = [
        _Bar(f"{site}\n{split.groups[site]}" if site in split.groups else site,
             [*map(facts_of, cases)], [*map(facts_of, own.get(site, ()))])
        for site, cases in split.sites.items()
    ]  # fmt: skip
    shared = {} if split.own_validation is not None else {"validation": split.validation}
    further = {**shared, **({"test": split.test} if split.test else {})}
    return [*bars, *(_Bar(name, [*map(facts_of, cases)], []) for name, cases in further.items())]


def _colours(bars: Sequence[_Bar], drawn: Drawn) -> dict[Any, str]:
    """The colour of each text of the stratum that occurs, and of None, cases of which it is not known."""
    found = {facts.get(drawn.stratum) for bar in bars for facts in bar.every}
    texts = [*drawn.texts, *sorted(str(text) for text in found - {None, *drawn.texts})]
    colours: dict[Any, str] = {text: COLOURS[i % len(COLOURS)] for i, text in enumerate(texts)}
    return {text: colour for text, colour in {**colours, None: UNKNOWN}.items() if text in found}


def _draw_counts(axes: Axes, bars: Sequence[_Bar], drawn: Drawn, colours: Mapping[Any, str]) -> None:
    foot = np.zeros(len(bars))
    for text, colour in colours.items():
        for hatch, parts in (("", [bar.training for bar in bars]), (OWN_VALIDATION, [bar.own for bar in bars])):
            foot += _stack(axes, foot, [_count(part, drawn.stratum, text) for part in parts], colour, hatch)
    for place, total in enumerate(foot):
        axes.text(place, total, f"{total:.0f}", ha="center", va="bottom", fontsize=8)
    axes.set_ylim(0, 1.28 * foot.max())  # room for the legend
    axes.legend(handles=_handles(bars, drawn, colours), fontsize=8, ncols=3, loc="upper center")
    axes.set_title(f"{drawn.dealt} by {drawn.stratum}", fontsize=10)
    axes.set_ylabel(drawn.dealt)


def _handles(bars: Sequence[_Bar], drawn: Drawn, colours: Mapping[Any, str]) -> list[Patch]:
    """The entries of the legend."""
    handles = [Patch(color=colour, label=text or f"{drawn.stratum} unknown") for text, colour in colours.items()]
    if any(bar.own for bar in bars):
        handles.append(Patch(facecolor="0.6", edgecolor="white", hatch=OWN_VALIDATION, label="validation"))
    return handles


def _stack(axes: Axes, foot: NDArray[np.float64], counts: Sequence[int], colour: str, hatch: str) -> NDArray[np.int64]:
    """Draw one layer of the bars on those below it; its heights."""
    if any(counts):
        axes.bar(range(len(counts)), counts, bottom=foot, color=colour, hatch=hatch, edgecolor="white")
    return np.asarray(counts)


def _count(part: Sequence[Mapping[str, Fact]], stratum: str, text: Fact) -> int:
    return sum(facts.get(stratum) == text for facts in part)


def _draw_values(axes: Axes, bars: Sequence[_Bar], drawn: Drawn, colours: Mapping[Any, str]) -> None:
    for place, bar in enumerate(bars):
        numbers = [(facts.get(drawn.value), facts.get(drawn.stratum)) for facts in bar.every]
        known = sorted((float(value), text or "") for value, text in numbers if value is not None)
        if not known:
            continue
        values = [value for value, _ in known]
        axes.boxplot([values], positions=[place], widths=0.6, showfliers=False, medianprops={"color": "black"})
        beside = place + 0.2 * np.sin(2.4 * np.arange(len(known)))  # spread, so that points do not hide each other
        axes.scatter(
            beside, values, s=9, c=[colours[text or None] for _, text in known], alpha=0.7, linewidths=0, zorder=3
        )
    axes.set_ylim(bottom=0)
    axes.set_title(f"{drawn.value_title}: {drawn.dealt}, median and quartiles", fontsize=10)
    axes.set_ylabel(drawn.unit)
