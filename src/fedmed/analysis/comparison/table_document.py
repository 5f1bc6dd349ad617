"""A short document of titles, paragraphs, lists and tables of text, as Markdown or LaTeX. Pure functions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Block:
    """A title with a table and a list; an empty one is left out."""

    title: str
    table: pd.DataFrame | None = None  # of text
    items: Sequence[str] = ()


def markdown(document: Sequence[Block]) -> str:
    """The document as GitHub reads it."""
    parts = []
    for block in document:
        parts.append(f"**{block.title}**")
        if block.items:
            parts.append("\n".join(f"- {item}" for item in block.items))
        if block.table is not None:
            parts.append(_markdown_table(block.table))
    return "\n\n".join(parts) + "\n"


def latex(document: Sequence[Block]) -> str:
    r"""The document for ``\input``; needs no package."""
    parts = []
    for block in document:
        parts.append(rf"\paragraph{{{escaped(block.title)}}}")
        if block.items:
            items = "\n".join(rf"\item {escaped(item)}" for item in block.items)
            parts.append(f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}")
        if block.table is not None:
            parts.append(_latex_table(block.table))
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    r"""Text that LaTeX sets as it stands; a hyphen before a number that is not part of a word becomes a minus."""
    plain = "".join(_SPECIAL.get(character, character) for character in text)
    return re.sub(r"(?<![\w$-])-(?=\d)", "$-$", plain)


_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
}


def _markdown_table(table: pd.DataFrame) -> str:
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    cells = ([str(cell).replace("|", r"\|") for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _latex_table(table: pd.DataFrame) -> str:
    rows = [" & ".join(escaped(str(cell)) for cell in row) for row in ([*table.columns], *table.to_numpy().tolist())]
    body = "\n".join(rf"{row} \\" for row in rows[1:])
    return "\n".join(
        (
            r"\begin{center}",
            r"\footnotesize",
            rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}",
            r"\hline",
            rf"{rows[0]} \\",
            r"\hline",
            body,
            r"\hline",
            r"\end{tabular}",
            r"\end{center}",
        )
    )
