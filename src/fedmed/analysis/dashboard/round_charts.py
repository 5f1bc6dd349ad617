"""Charts of figures over rounds, and of the sites against each other, as plotly draws them. Pure functions.

Their colours of text and paper are left to the page, which may be light or dark.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from fedmed.analysis.dashboard.site_colours import MEAN, SiteStyle, style_of
from fedmed.analysis.evaluation.evaluation_table import OVERALL, POOLED, metric_heading
from fedmed.core.site_scores import LEARNING_RATE, TRAINED, VALIDATION, KeyScore
from fedmed.runs.training_curves import (
    BY_TARGET,
    EPSILON,
    panel_titles,
    weighted_mean,
    within_rounds,
)
from fedmed.tasks.base import Metric

HEIGHT = 340
"""Pixels of a chart."""

MOST_MARKED = 40
"""Points of a line up to which each is marked."""

HOVER = "%{y:.4g}"


def panels_of(history: pd.DataFrame, key: KeyScore, *, split: bool) -> dict[str, str]:
    """The charts that a history has figures for: their titles by the column that each draws."""
    titles = panel_titles(key, split)
    target_known = any(key.of(target) in history for target in key.targets)
    return {
        column: title
        for column, title in titles.items()
        if (column in history and history[column].notna().any()) or (column == BY_TARGET and target_known)
    }


def curve_chart(
    column: str,
    title: str,
    history: pd.DataFrame,
    epochs: pd.DataFrame,
    key: KeyScore,
    styles: Mapping[str, SiteStyle],
    best: int | None,
) -> go.Figure:
    """A figure over the rounds: a line a site and their mean, or a line a target.

    Args:
        column: one of :func:`panels_of`.
        epochs: figures of local epochs, drawn between the rounds where training has them.
        best: the round whose model was chosen, marked by a vertical line.
    """
    figure = _figure(title, "federated rounds")
    if column == BY_TARGET:
        _target_lines(figure, history, key)
    elif column == LEARNING_RATE:
        rate = history.dropna(subset=[column]).groupby("round")[column].first()
        _line(figure, "all sites", rate, SiteStyle(MEAN, "solid"))
    else:
        _site_lines(figure, column, history, epochs, styles)
        _mean_line(figure, column, history, key)
    figure.update_layout(height=HEIGHT + 16 * max(0, len(figure.data) - 4) // 2)
    if best is not None and column.startswith((VALIDATION, BY_TARGET)):
        figure.add_vline(
            x=best, line={"dash": "dot", "color": MEAN}, annotation={"text": f"best: round {best} ", "xanchor": "right"}
        )
    return figure


def _target_lines(figure: go.Figure, history: pd.DataFrame, key: KeyScore) -> None:
    for number, target in enumerate(key.targets):
        if key.of(target) in history:
            _line(figure, target, weighted_mean(history, key.of(target), key.figures), style_of(number))


def _mean_line(figure: go.Figure, column: str, history: pd.DataFrame, key: KeyScore) -> None:
    if column != EPSILON and history["site"].nunique() > 1:
        name = key.over_sites if column == key.name and not key.combines else "mean over sites"
        _line(figure, name, weighted_mean(history, column, key.figures), SiteStyle(MEAN, "solid"), 3.5)


def _site_lines(
    figure: go.Figure, column: str, history: pd.DataFrame, epochs: pd.DataFrame, styles: Mapping[str, SiteStyle]
) -> None:
    within = pd.DataFrame() if epochs.empty or column not in (*TRAINED, *epochs) else within_rounds(epochs)
    use_epochs = column in TRAINED and column in within
    table = within if use_epochs else history
    for site, own in table.dropna(subset=[column]).groupby("site"):
        _line(figure, str(site), own.set_index("round")[column], styles[str(site)])


def runs_chart(title: str, curves: Mapping[str, pd.Series]) -> go.Figure:
    """One figure of several runs over the rounds, a line a run.

    Args:
        curves: by the run's name, the figure by round.
    """
    figure = _figure(title, "federated rounds")
    for number, (name, curve) in enumerate(curves.items()):
        _line(figure, name, curve, style_of(number))
    return figure


def sites_chart(table: pd.DataFrame, metric: Metric, styles: Mapping[str, SiteStyle]) -> go.Figure:
    """A metric of an evaluation by site and pooled, with the 95 % intervals of the evaluation's table.

    Args:
        table: as an evaluation folder holds it.
    """
    own = table[(table["metric"] == metric.name) & (table["target"] == OVERALL)].dropna(subset=["value"])
    figure = _figure(f"{metric_heading(metric)} by site, 95 % intervals", metric_heading(metric))
    for _, row in own.iloc[::-1].iterrows():
        site = str(row["site"])
        known = pd.notna(row["low"])
        error = {"array": [row["high"] - row["value"]], "arrayminus": [row["value"] - row["low"]]} if known else {}
        figure.add_scatter(
            x=[row["value"]], y=[site], name=site, mode="markers", showlegend=False,
            marker={"size": 13 if site == POOLED else 10, "color": styles[site].colour if site in styles else MEAN,
                "symbol": "diamond" if site == POOLED else "circle"},
            error_x={"type": "data", "symmetric": False, "thickness": 2, **error} if known else None,
            hovertemplate=f"{site}: %{{x:.4f}}, {row['cases']:.0f} cases<extra></extra>",
        )  # fmt: skip
    figure.update_layout(height=130 + 34 * len(own), hovermode="closest")
    figure.update_yaxes(title="", type="category")
    return figure


def _figure(title: str, axis: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="none", title={"text": title, "font": {"size": 15}, "x": 0, "xanchor": "left"}, height=HEIGHT,
        margin={"l": 10, "r": 10, "t": 50, "b": 10}, hovermode="x unified", uirevision=title,
        legend={"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "title": {"text": ""}},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
    )  # fmt: skip
    figure.update_xaxes(title=axis, automargin=True, zeroline=False, gridcolor="rgba(128,128,128,0.25)")
    figure.update_yaxes(automargin=True, zeroline=False, gridcolor="rgba(128,128,128,0.25)")
    return figure


def _line(figure: go.Figure, name: str, values: pd.Series, style: SiteStyle, width: float = 2) -> None:
    points: Sequence[float] = list(values.index)
    figure.add_scatter(
        x=points, y=list(values), name=name, mode="lines+markers" if len(points) <= MOST_MARKED else "lines",
        line={"color": style.colour, "dash": style.dash, "width": width}, marker={"size": 5}, hovertemplate=HOVER,
    )  # fmt: skip
