"""The picture of a membership audit: ROC curves where false alarms are few, and the scores of members and others."""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter

from fedmed.analysis.attacks.attack_statistics import Scores, roc, tpr_bound
from fedmed.analysis.attacks.membership import EVERY_SITE, AttackResult, scores

ATTACK_COLOURS = ("#d55e00", "#0072b2", "#009e73")
"""Vermilion, blue and green of Okabe and Ito, which the colour-blind tell apart."""

MEMBER, OTHER = "#d55e00", "#0072b2"


def picture(
    table: pd.DataFrame, found: Sequence[AttackResult], bound: tuple[float, float] | None, caption: str
) -> bytes:
    """A PNG of the attacks over all sites; needs no screen.

    Left the ROC on log-log axes. A rate of 0 has no place there and is drawn at the edge, half of what one case makes.
    Right, for each attack, the scores of members and held-out cases in the same bins, as shares of each.

    Args:
        table: a row a case, as :func:`fedmed.analysis.attacks.membership.table_of` makes it.
        found: the attacks' results.
        bound: (epsilon, delta) that is stated for patients, drawn as the area that no attack can reach.
        caption: the origin of the figure, printed under it.
    """
    member = table["member"].to_numpy(bool)
    each = scores(table)
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    axes = figure.subplot_mosaic([["roc", name] for name in each], width_ratios=[1.25, 1])
    _roc(axes["roc"], each, member, {one.attack: one for one in found if one.site == EVERY_SITE}, bound)
    for name, values in each.items():
        _histogram(axes[name], values[member], values[~member], name)
    axes[next(iter(each))].legend(fontsize=8)
    figure.supxlabel(caption, fontsize=8, color="0.35")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _roc(
    axes: Axes,
    each: Mapping[str, Scores],
    member: np.ndarray,
    found: Mapping[str, AttackResult],
    bound: tuple[float, float] | None,
) -> None:
    members, others = int(member.sum()), int((~member).sum())
    edges = 0.5 / others, 0.5 / members
    for (name, values), colour, width in zip(each.items(), ATTACK_COLOURS, (5.0, 3.0, 1.5), strict=True):
        fpr, tpr = roc(values[member], values[~member])
        label = f"{name}: AUC {found[name].auc.value:.2f} ({found[name].auc.low:.2f} to {found[name].auc.high:.2f})"
        x, y = np.maximum(fpr, edges[0]), np.maximum(tpr, edges[1])
        axes.step(x, y, where="post", color=colour, label=label, linewidth=width, alpha=0.8)
    line = np.geomspace(min(edges), 1, 200)
    axes.plot(line, line, color="0.5", linestyle=":", label="chance")
    if bound is not None:
        limit = [tpr_bound(*bound, x) for x in line]
        axes.fill_between(line, limit, 1.2, color="0.5", alpha=0.2, label=f"beyond epsilon {bound[0]:.3g}")
    axes.set(xscale="log", yscale="log", xlim=(edges[0], 1), ylim=(edges[1], 1.1))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(PercentFormatter(1, decimals=None))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"held-out cases called members (of {others}; none at the left edge)")
    axes.set_ylabel(f"members found (of {members})")
    axes.set_title("membership attacks, all sites", fontsize=10)
    axes.grid(alpha=0.25, which="both")
    axes.legend(fontsize=8, loc="lower right")


def _histogram(axes: Axes, members: Scores, others: Scores, name: str) -> None:
    """Both in the same bins, which have room for the steps of a few cases."""
    every = np.concatenate([members, others])
    bins = np.histogram_bin_edges(every, bins=min(30, max(8, len(every) // 3)))
    for values, colour, label in ((members, MEMBER, "members"), (others, OTHER, "held-out")):
        weights = np.full(len(values), 1 / len(values))
        axes.hist(
            values, bins=bins.tolist(), weights=weights, color=colour, alpha=0.55, label=f"{label} ({len(values)})"
        )
    axes.set_title(f"score of the attack by {name}", fontsize=9)
    axes.set_ylabel("share", fontsize=8)
    axes.tick_params(labelsize=8)
