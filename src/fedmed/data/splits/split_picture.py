"""The picture of a split: how many cases of each grade every part got, and how large their tumours are."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fedmed.data.brats.brats_layout import GRADES, CaseFiles
from fedmed.data.splits.partition import Split
from fedmed.data.splits.partition_ways import Volumes

Parts = Mapping[str, Sequence[CaseFiles]]

COLOURS: Mapping[str | None, str] = {GRADES[0]: "#d55e00", GRADES[1]: "#0072b2", None: "0.6"}
"""Of each grade; vermilion and blue of Okabe and Ito, which the colour-blind tell apart."""

MOST_SIDE_BY_SIDE = 8
"""Parts with which both panels fit beside each other; more get one below the other."""

OWN_VALIDATION = "////"
"""The hatching of cases on which a site itself validates."""


def picture(split: Split, volumes: Volumes, title: str, caption: str = "") -> bytes:
    """A PNG of who got what; needs no screen.

    Left a bar a part, stacked by grade, with a site's own validation cases hatched; right, when volumes are known, the
    tumour volume of each case with the quartiles. Parts are the sites, the shared validation and the test.

    Args:
        volumes: whole-tumour volumes in ml by case name; may be empty.
        caption: what the figure was made of, printed under it.
    """
    parts = _parts(split)
    panels = 2 if volumes else 1
    many = len(parts) > MOST_SIDE_BY_SIDE
    rows, columns = (panels, 1) if many else (1, panels)
    width = max(4.5, 1.5 + 0.75 * len(parts))
    figure = Figure(figsize=(width * columns, 4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    _grades(axes[0], parts, split)
    if volumes:
        _volumes(axes[1], parts, volumes)
    for each in axes:
        each.set_xticks(range(len(parts)), list(parts), fontsize=8)
        each.set_xlim(-0.6, len(parts) - 0.4)
        each.grid(axis="y", alpha=0.25)
        each.set_axisbelow(True)
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(caption, fontsize=8, color="0.35")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _parts(split: Split) -> dict[str, tuple[CaseFiles, ...]]:
    """The cases of each bar, under its label."""
    labels = {site: f"{site}\n{split.institutions[site]}" for site in split.institutions}
    own = split.own_validation or {}
    parts = {labels.get(site, site): cases + own.get(site, ()) for site, cases in split.sites.items()}
    if split.own_validation is None:
        parts["validation"] = split.validation
    return {**parts, "test": split.test} if split.test else parts


def _grades(axes: Axes, parts: Parts, split: Split) -> None:
    own = {case for cases in (split.own_validation or {}).values() for case in cases}
    seen = []
    foot = np.zeros(len(parts))
    for grade, colour in COLOURS.items():
        for validating in (False, True):
            counts = [sum(c.grade == grade and (c in own) == validating for c in cases) for cases in parts.values()]
            if any(counts):
                hatch = OWN_VALIDATION if validating else ""
                axes.bar(range(len(parts)), counts, bottom=foot, color=colour, hatch=hatch, edgecolor="white")
                seen.append(grade)
            foot += counts
    for place, total in enumerate(foot):
        axes.text(place, total, f"{total:.0f}", ha="center", va="bottom", fontsize=8)
    handles = [Patch(color=COLOURS[grade], label=grade or "grade unknown") for grade in dict.fromkeys(seen)]
    if own:
        handles.append(Patch(facecolor="0.6", edgecolor="white", hatch=OWN_VALIDATION, label="validation"))
    axes.set_ylim(0, 1.28 * foot.max())  # room for the legend
    axes.legend(handles=handles, fontsize=8, ncols=3, loc="upper center")
    axes.set_title("cases by grade", fontsize=10)
    axes.set_ylabel("cases")


def _volumes(axes: Axes, parts: Parts, volumes: Volumes) -> None:
    for place, cases in enumerate(parts.values()):
        known = [case for case in sorted(cases, key=lambda case: volumes.get(case.name, 0)) if case.name in volumes]
        values = [volumes[case.name] for case in known]
        if not values:
            continue
        axes.boxplot([values], positions=[place], widths=0.6, showfliers=False, medianprops={"color": "black"})
        beside = place + 0.2 * np.sin(2.4 * np.arange(len(known)))  # spread, so that points do not hide each other
        axes.scatter(beside, values, s=9, c=[COLOURS[case.grade] for case in known], alpha=0.7, linewidths=0, zorder=3)
    axes.set_ylim(bottom=0)
    axes.set_title("whole-tumour volume: cases, median and quartiles", fontsize=10)
    axes.set_ylabel("ml")
