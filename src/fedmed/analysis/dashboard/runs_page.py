"""The page of all runs: their table, and those that are chosen against each other."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from fedmed.analysis.dashboard.artifacts_listing import ArtifactsListing
from fedmed.analysis.dashboard.chosen_runs import choices_table, compare_blocks, curves_of, figures_of, splits_of
from fedmed.analysis.dashboard.jargon import WORDS
from fedmed.analysis.dashboard.page_parts import plain, show_block, show_chart, show_missing, show_table
from fedmed.analysis.dashboard.round_charts import runs_chart
from fedmed.analysis.dashboard.run_row import UNREAD, RunRow, rows_of
from fedmed.analysis.dashboard.run_view import RunView, open_view
from fedmed.core.errors import InputError, counted

READ_S = 1.0
"""Seconds of reading after which the page shows the runs that it knows, before it reads on."""


def runs_page(listing: ArtifactsListing, run_page: st.Page | None = None) -> None:
    """Show the runs of an artifacts folder.

    Args:
        run_page: the page of one run, to go to; None where there is none to go to.
    """
    st.title("Runs", anchor=False)
    rows = rows_of(listing, READ_S)
    if not rows:
        show_missing(f"{listing.root} holds no run yet.", "python job.py")
    for name in listing.leading_out:
        st.warning(f"{plain(name)} is left out: a symbolic link in it leads out of the artifacts folder.")
    if rows:
        _table_and_chosen(listing, rows, run_page)
    if any(row.status == UNREAD for row in rows):
        st.rerun()


def _table_and_chosen(listing: ArtifactsListing, rows: Sequence[RunRow], run_page: st.Page | None) -> None:
    shown = _filtered(rows)
    words = pd.Series([row.status for row in rows]).value_counts()
    st.caption(f"{counted(len(rows), 'run')}: " + ", ".join(f"{number} {word}" for word, number in words.items()))
    frame = runs_frame(shown)
    picked = st.dataframe(
        frame, hide_index=True, placeholder="-", on_select="rerun", selection_mode="multi-row",
        column_config=_columns(), key="runs",
        alt="Table of runs: select one to open it, several to compare them",
        height="content" if len(frame) <= 12 else 460,
    )  # fmt: skip
    _unreadable(shown)
    show_chosen(listing, [shown[row].name for row in picked["selection"]["rows"] if row < len(shown)], run_page)


def show_chosen(listing: ArtifactsListing, names: Sequence[str], run_page: st.Page | None) -> None:
    """A way to the only run that is ticked, or several runs against each other."""
    if not names:
        st.caption("Tick one run at its left edge to open it, or several to compare them.")
    elif len(names) == 1:
        if run_page is not None and st.button(f"Open {names[0]}", type="primary", icon=":material/open_in_full:"):
            st.switch_page(run_page, query_params={"run": names[0]})
    else:
        _against_each_other([path for name in names if (path := listing.find(name)) is not None])


def _filtered(rows: Sequence[RunRow]) -> list[RunRow]:
    """The rows that the filters above the table let through."""
    words, task, status = st.columns([2, 1, 1])
    text = words.text_input("Search", placeholder="run, algorithm, privacy ...", help="Words that a row must hold.")
    tasks = task.multiselect("Task", sorted({row.task for row in rows}), placeholder="every task")
    states = status.multiselect("Status", sorted({row.status for row in rows}), placeholder="every status")
    return [row for row in rows if is_wanted(row, text, tasks, states)]


def is_wanted(row: RunRow, text: str, tasks: Sequence[str], states: Sequence[str]) -> bool:
    """True for a row with every word of a text, of one of the tasks and states; of any where none is named."""
    of_these = (not tasks or row.task in tasks) and (not states or row.status in states)
    return of_these and all(word in searched(row) for word in text.lower().split())


def searched(row: RunRow) -> str:
    """The words by which a run is found."""
    parts = (row.name, row.task, row.algorithm, row.privacy, row.environment, row.status, *row.sites)
    return " ".join(parts).lower()


def runs_frame(rows: Sequence[RunRow]) -> pd.DataFrame:
    """The table of runs as it is shown."""
    return pd.DataFrame(
        [
            {
                "run": row.name,
                "status": row.status,
                "task": row.task,
                "algorithm": row.algorithm,
                "metric": row.score.metric,
                "score": row.score.value,
                "interval": row.score.interval,
                "worst site": row.score.worst_site,
                "worst score": row.score.worst_value,
                "sites": len(row.sites),
                "rounds": f"{row.rounds} of {row.planned}",
                "privacy": row.privacy,
                "epsilon": row.epsilon,
                "unit": row.unit,
                "environment": row.environment,
                "seconds": row.seconds,
                "megabytes": row.megabytes,
                "scored on": row.score.scored_on,
            }
            for row in rows
        ]
    )


def _columns() -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    found = {name: text(help=words) for name, words in WORDS.items()}
    found |= {
        "run": text(help=WORDS["run"], pinned=True),
        "score": number(help=WORDS["score"], format="%.4f"),
        "worst score": number("worst score", help="The score of the worst site.", format="%.4f"),
        "sites": number(help=WORDS["sites"]),
        "seconds": number("seconds", help=WORDS["seconds"], format="%.0f"),
        "megabytes": number("MB sent", help=WORDS["megabytes"], format="%.0f"),
    }
    return found


def _unreadable(rows: Sequence[RunRow]) -> None:
    for row in rows:
        if row.fault:
            st.warning(f"{plain(row.name)} cannot be read. Look at its files; the sentence of the reader is in the log "
                f"of job.py --resume {plain(row.name)}.")  # fmt: skip


def _against_each_other(paths: Sequence[Path]) -> None:
    try:
        views = [open_view(path) for path in paths]
    except InputError:
        st.warning("One of the chosen runs cannot be read; choose others.")
        return
    for tab, show in zip(st.tabs(list(CHOSEN), key="chosen", on_change="rerun"), CHOSEN.values(), strict=True):
        if tab.open:
            with tab:
                show(views)


def _options(views: Sequence[RunView]) -> None:
    show_table(choices_table(views), "options in which the runs differ")


def _curves(views: Sequence[RunView]) -> None:
    figures = figures_of(views)
    if not figures:
        st.info("None of these runs has reported a figure of a round yet.")
        return
    column = st.selectbox("Figure", list(figures), format_func=lambda name: figures[name], help="Mean over the sites.")
    show_chart(runs_chart(f"{figures[column]}: mean over sites", curves_of(views, column)), "curves")


def _comparison(views: Sequence[RunView]) -> None:
    splits = splits_of(views)
    if not splits:
        missing = [view.run.path for view in views if not view.evaluations] or [view.run.path for view in views]
        paths = " ".join(shlex.quote(str(path)) for path in missing)
        show_missing("A comparison needs an evaluation of each run on the same split.",
            f"python result_stat/evaluate.py {paths}")  # fmt: skip
        return
    split = st.segmented_control("Cases", splits, default=splits[0], required=True)
    with st.spinner("The tests are made ..."):
        blocks, aliases = compare_blocks(views, str(split))
    for block in blocks:
        show_block(block, aliases)


CHOSEN = {"Curves": _curves, "Configuration": _options, "Comparison": _comparison}
"""The tabs of several runs against each other; one that is not open is not made."""
