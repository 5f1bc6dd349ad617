"""The curves of a run, one beside another or one at a time, refreshed while the run goes on."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from fedmed.analysis.dashboard.page_parts import show_chart
from fedmed.analysis.dashboard.round_charts import curve_chart, panels_of
from fedmed.analysis.dashboard.run_view import RunView, open_view
from fedmed.analysis.dashboard.site_colours import SiteStyle
from fedmed.core.errors import InputError
from fedmed.runs.history import best_round

REFRESH_S = 2.0
"""Seconds between two looks at a run that goes on."""


def curves_tab(view: RunView, styles: Mapping[str, SiteStyle]) -> None:
    """Show the curves; of a run that goes on again and again."""
    if view.status.goes_on:
        st.fragment(_again, run_every=REFRESH_S)(view.run.path, styles)
    else:
        _curves(view, styles)


def _again(path: Path, styles: Mapping[str, SiteStyle]) -> None:
    try:
        _curves(open_view(path), styles)
    except InputError:
        st.caption("A file of the run is being written ...")


def _curves(view: RunView, styles: Mapping[str, SiteStyle]) -> None:
    key = view.experiment.task.key_score
    split = any(record.get("split") for record in view.records)
    panels = panels_of(view.history, key, split=split)
    if not panels:
        st.info("There are no curves yet: no site has reported a figure of a round.")
        return
    best = best_round(view.records) if view.experiment.algorithm.has_global_model else None
    layout = st.segmented_control(
        "Curves", ["grid", "one"], default="grid", required=True, key="layout", help="All curves, or one at a time."
    )
    epochs = view.run.epochs()

    def draw(column: str) -> None:
        figure = curve_chart(column, panels[column], view.history, epochs, key, styles, best)
        show_chart(figure, f"curve {column}")

    if layout == "one":
        draw(str(st.selectbox("Figure", list(panels), format_func=lambda name: panels[name], key="figure")))
        return
    names = list(panels)
    for start in range(0, len(names), 2):  # row by row, so that a narrow screen keeps the order
        for place, column in zip(st.columns(2), names[start : start + 2], strict=False):
            with place:
                draw(column)
