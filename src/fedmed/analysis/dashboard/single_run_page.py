"""The page of one run: its rounds while it goes on, and what came of it."""

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from fedmed.analysis.dashboard.artifacts_listing import ArtifactsListing
from fedmed.analysis.dashboard.curves_tab import REFRESH_S
from fedmed.analysis.dashboard.jargon import WORDS
from fedmed.analysis.dashboard.page_parts import plain, show_missing, show_table
from fedmed.analysis.dashboard.round_card import RoundCard, round_card, site_rows
from fedmed.analysis.dashboard.round_segments import segments_html
from fedmed.analysis.dashboard.run_row import rows_of
from fedmed.analysis.dashboard.run_tabs import TABS
from fedmed.analysis.dashboard.run_view import RunView, open_view
from fedmed.analysis.dashboard.site_colours import SiteStyle, site_styles
from fedmed.core.errors import InputError
from fedmed.runs.console import clock

MARKS: Mapping[str, tuple[str, Any]] = {
    "running": (":material/play_circle:", "blue"),
    "finished": (":material/check_circle:", "green"),
    "failed": (":material/error:", "red"),
    "interrupted": (":material/warning:", "orange"),
}


def single_run_page(listing: ArtifactsListing) -> None:
    """Show one run of an artifacts folder, which the address or the list at the top names."""
    asked = st.query_params.get("run")
    names = list(listing.runs)
    if not names:
        st.title("Run", anchor=False)
        show_missing("There is no run yet.", "python job.py")
        return
    if asked is not None and listing.find(asked) is None:
        st.warning("The address names no run of this artifacts folder; choose one of the list.")
    index = names.index(asked) if asked in names else len(names) - 1
    name = st.selectbox("Run", names, index=index, help=WORDS["run"])
    path = listing.find(name)
    if path is None:
        return
    if asked != name:
        st.query_params["run"] = name
    try:
        view = open_view(path)
    except InputError:
        st.title(plain(name), anchor=False)
        st.error("This run cannot be read: a file of its folder is damaged, or of another version.")
        return
    others = (site for row in rows_of(listing, 0.0) for site in row.sites)
    _show(view, site_styles([*view.sites, *others]))


def _show(view: RunView, styles: Mapping[str, SiteStyle]) -> None:
    _heading(view)
    if view.status.goes_on:
        st.fragment(_going_on, run_every=REFRESH_S)(view.run.path)
    else:
        _rounds(view)
    names = list(TABS)
    for tab, name in zip(st.tabs(names, key=f"tabs of {view.run.name}", on_change="rerun"), names, strict=True):
        if tab.open:
            with tab:
                TABS[name](view, styles)


def _heading(view: RunView) -> None:
    experiment = view.experiment
    st.title(plain(view.run.name), anchor=False)
    icon, colour = MARKS.get(view.status.word, (":material/help:", "gray"))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(view.status.word, icon=icon, color=colour, help=WORDS["status"])
        st.caption(
            f"{experiment.task.name} · {experiment.algorithm.name} · privacy {experiment.privacy.name} · "
            f"{experiment.environment.name}".replace("_", "\\_")
        )
    path = shlex.quote(str(view.run.path))
    if view.status.word == "failed":
        st.error(f"The run failed: {plain(view.aliases.clean(view.status.reason)) or 'no reason is known'}")
    if view.status.word == "interrupted":
        st.warning("No process has this run's folder any more, and it did not say that it ended.")
    if view.status.word == "of unknown status":
        st.warning("The folder holds the settings of a run and does not say what became of it.")
    if view.status.word not in ("running", "finished"):
        st.caption("Go on with it:")
        st.code(f"python job.py --resume {path}", language="bash", wrap_lines=True)


def _going_on(path: Path) -> None:
    """The part of the page that is looked at again while the run is running; the whole page once it is not."""
    try:
        view = open_view(path)
    except InputError:  # a file is in the making
        st.caption("A file of the run is being written ...")
        return
    _rounds(view)
    if not view.status.goes_on:
        st.rerun()


def _rounds(view: RunView) -> None:
    """The round card and a row a site."""
    training, age = view.experiment.training, view.round_age_s(time.time())
    steps = view.progress()
    card = round_card(
        view.records, training.num_rounds, view.sites, goes_on=view.status.goes_on, steps=steps, age_s=age
    )
    _card(card, view.status.goes_on)
    rows = site_rows(view.records, view.sites, view.experiment.task.key_score, view.cases, card, steps, age)
    clean = view.aliases.clean
    key = view.experiment.task.key_score.title
    frame = pd.DataFrame(
        {
            "site": [row.site for row in rows],
            "state": [row.state for row in rows],
            "last seen": [row.last_seen for row in rows],
            key: [row.score for row in rows],
            "loss": [row.loss for row in rows],
            "cases": [row.cases for row in rows],
            "why": [clean(row.why) or "-" for row in rows],
        }
    )
    if (frame["why"] == "-").all():
        frame = frame.drop(columns="why")
    number = st.column_config.NumberColumn
    help_of_score = "The last score that the site reported, on its own cases, of the model that it was sent."
    show_table(frame, "sites", {key: number(format="%.4f", help=help_of_score),
        "loss": number(format="%.4f", help=WORDS["loss"])})  # fmt: skip


def _card(card: RoundCard, goes_on: bool) -> None:
    with st.container(border=True):
        st.subheader(plain(card.title), anchor=False)
        st.html(segments_html(card.rounds))
        if card.waiting:
            st.text(card.waiting)
        with st.container(horizontal=True):
            st.metric("elapsed (h:mm:ss)", clock(card.elapsed_s), help=WORDS["elapsed"])
            mean = "-" if card.mean_s is None else f"{card.mean_s:.1f} s"
            st.metric("mean round", mean, help=WORDS["mean round"])
            if goes_on:
                left = "-" if card.left_s is None else clock(card.left_s)
                st.metric("time left (h:mm:ss)", left, help=WORDS["time left"])
                st.metric("answered", card.answered, help=WORDS["answered"])
