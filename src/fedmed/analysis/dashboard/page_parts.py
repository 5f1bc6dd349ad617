"""Parts of a report and of a comparison as Streamlit shows them, and the few widgets that all pages share."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fedmed.analysis.comparison.table_document import Block
from fedmed.analysis.dashboard.case_aliases import CaseAliases
from fedmed.analysis.dashboard.jargon import WORDS
from fedmed.analysis.report.report_page import Listing, Part, Picture, Section, Text

CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"], "responsive": True}

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><g stroke="#0072b2" stroke-width="3">'
    '<path d="M16 16 6 8M16 16 26 8M16 16v11"/></g><circle cx="16" cy="16" r="5" fill="#0072b2"/>'
    '<circle cx="6" cy="8" r="4" fill="#d55e00"/><circle cx="26" cy="8" r="4" fill="#009e73"/>'
    '<circle cx="16" cy="27" r="4" fill="#e69f00"/></svg>'
)
"""A server and three sites; one by name would be fetched from another host."""

MOST_ROWS = 16
"""Rows of a table that is shown whole; a longer one scrolls."""


def show_section(section: Section, aliases: CaseAliases, *, heading: bool = False) -> None:
    """A report's section, without names of cases."""
    if heading:
        st.subheader(section.title, anchor=False)
    for part in aliases.section(section).parts:
        _show_part(part)


def _show_part(part: Part) -> None:
    if isinstance(part, Text):
        (st.warning if part.warning else st.text)(plain(part.text) if part.warning else part.text)
    elif isinstance(part, Listing):
        show_items(part.items)
    elif isinstance(part, Picture):
        st.image(part.png, caption=plain(part.caption), alt=part.caption)
    else:
        frame = pd.DataFrame([list(row) for row in part.rows], columns=_apart(part.columns))
        show_table(frame, part.caption)


def show_block(block: Block, aliases: CaseAliases) -> None:
    """A part of a comparison, without names of cases."""
    st.subheader(plain(aliases.clean(block.title)), anchor=False)
    show_items([aliases.clean(item) for item in block.items])
    if block.table is not None:
        show_table(block.table.map(lambda cell: aliases.clean(str(cell))), "")


def show_items(items: Sequence[str]) -> None:
    """Sentences, one under another."""
    if items:
        st.markdown("\n".join(f"- {plain(item)}" for item in items))


def show_table(frame: pd.DataFrame, caption: str, columns: Mapping[str, Any] | None = None) -> None:
    """A table that can be sorted, with its caption above, and a tooltip at each heading that needs one."""
    if caption:
        st.caption(plain(caption))
    known = {name: st.column_config.Column(help=WORDS[name]) for name in frame.columns if name in WORDS}
    height: Any = "content" if len(frame) <= MOST_ROWS else 36 * MOST_ROWS
    st.dataframe(
        frame, hide_index=True, placeholder="-", height=height, alt=caption or "table",
        column_config={**known, **(columns or {})},
    )  # fmt: skip


def show_chart(figure: go.Figure, key: str) -> None:
    """A chart as wide as its place, with its title for those who do not see it."""
    title = str(figure.layout.title.text)
    st.plotly_chart(figure, key=key, config=CHART, alt=title)


def show_missing(what: str, command: str) -> None:
    """A sentence on something that is not there, and the command that makes it."""
    st.info(f"{plain(what)} Make it with:", icon=":material/terminal:")
    st.code(command, language="bash", wrap_lines=True)


def plain(text: str) -> str:
    """A text that Markdown shows as it stands, and that names no picture, link or icon of its own."""
    return "".join(f"\\{character}" if character in MARKED else character for character in text)


MARKED = "\\`*_{}[]<>()#+-.!|$~:&"


def _apart(columns: Sequence[str]) -> list[str]:
    """Names of columns that differ, as a table of Streamlit needs them; an empty one is a blank."""
    found: list[str] = []
    for name in columns:
        name = name or " "
        while name in found:
            name += " "
        found.append(name)
    return found
