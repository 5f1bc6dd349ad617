"""A study as a picture: a critical-difference diagram of the mean ranks, and below it the scores of each condition."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from fedmed.analysis.cross_validation.fold_picture import COLOURS
from fedmed.analysis.evaluation.evaluation_table import metric_heading
from fedmed.analysis.study.algorithm_figures import AlgorithmFigures
from fedmed.analysis.study.rank_statistics import RankTest
from fedmed.analysis.study.scores_over_seeds import draw_scores
from fedmed.analysis.study.study_findings import StudyFindings
from fedmed.analysis.study.study_report import heading, p_of

COLUMNS = 2
"""Conditions side by side."""

SCORE = "score"


def picture(found: StudyFindings) -> Figure:
    """The figure."""
    rows = -(-len(found.figures) // COLUMNS)
    algorithms = max(map(len, found.figures.values()))
    heights = [0.2 * algorithms + 1.6, *[0.5 * algorithms + 1.2] * rows]
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    grid = figure.add_gridspec(rows + 1, COLUMNS, height_ratios=heights)
    draw_ranks(figure.add_subplot(grid[0, :]), found.ranks)
    for number, (condition, figures) in enumerate(found.figures.items()):
        axes = figure.add_subplot(grid[1 + number // COLUMNS, number % COLUMNS])
        _draw_condition(axes, figures)
        axes.set_title(heading(found, condition), fontsize=10, loc="left")
        axes.set_xlabel(
            f"{metric_heading(found.metric)} on the test cases, with the seeds' widest 95 % interval", fontsize=8
        )
    return figure


def _draw_condition(axes: Axes, figures: Sequence[AlgorithmFigures]) -> None:
    numbers = {each.algorithm: {SCORE: each.pooled} for each in figures}
    bounds = {each.algorithm: {SCORE: each.bounds} for each in figures}
    labels = {each.algorithm: "each site's own models" if each.own else "global model" for each in figures}
    colors = {each.algorithm: colour(number) for number, each in enumerate(figures)}
    draw_scores(axes, SCORE, numbers, bounds, labels, colors)


def colour(number: int) -> str:
    """The colour of the algorithm of that number."""
    return to_hex(COLOURS[number % len(COLOURS)])


def draw_ranks(axes: Axes, ranks: RankTest | None) -> None:
    """Mean ranks on an axis, the best on the left; bars join algorithms between which no difference was found."""
    axes.axis("off")
    if ranks is None:
        axes.text(0.5, 0.5, "no block has the score of every algorithm", transform=axes.transAxes, ha="center")
        return
    names, most = list(ranks.ranks), len(ranks.ranks)
    axes.set_xlim(0.5, most + 0.5)
    axes.set_ylim(-1.2 - 0.7 * (most // 2) - 0.3 * len(ranks.alike), 2.2)
    axes.plot((1, most), (0, 0), color="black", linewidth=1)
    for place in range(1, most + 1):
        axes.plot((place, place), (0, 0.2), color="black", linewidth=1)
        axes.text(place, 0.35, str(place), ha="center", fontsize=9)
    below = -0.4 - 0.3 * len(ranks.alike)
    for number, name in enumerate(names):
        rank, left = ranks.ranks[name], number < (most + 1) // 2
        height = below - 0.7 * (number if left else most - 1 - number) - 0.5
        end = 0.75 if left else most + 0.25
        axes.plot((rank, rank, end), (0, height, height), color="0.4", linewidth=0.9)
        side = "left" if left else "right"
        axes.text(end, height + 0.08, f"{name}  {rank:.2f}", ha=side, va="bottom", fontsize=9)
    for number, group in enumerate(ranks.alike):
        ends = [ranks.ranks[group[0]] - 0.04, ranks.ranks[group[-1]] + 0.04]
        axes.plot(ends, [-0.3 - 0.3 * number] * 2, color="black", linewidth=4, solid_capstyle="butt")
    _draw_distance(axes, ranks)


def _draw_distance(axes: Axes, ranks: RankTest) -> None:
    """The critical difference as a length, and the test in words."""
    told = f"{ranks.blocks} blocks of partitions and seeds"
    if ranks.critical_difference is None:
        axes.text(0.5, 2, f"mean rank over {told}; Wilcoxon p {p_of(ranks.p)}", fontsize=9, va="top")
        return
    end = 1 + min(ranks.critical_difference, len(ranks.ranks) - 1)
    beyond = " (longer than the axis)" if ranks.critical_difference > len(ranks.ranks) - 1 else ""
    axes.plot((1, end), (1.1, 1.1), color="black", linewidth=2)
    axes.text(1, 1.25, f"Nemenyi's critical difference {ranks.critical_difference:.2f}{beyond}", fontsize=9)
    axes.text(0.5, 2.2, f"mean rank over {told}; Friedman p {p_of(ranks.p)}", fontsize=9, va="top")
