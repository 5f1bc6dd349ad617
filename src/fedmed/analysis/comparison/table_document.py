"""A short document of titles, paragraphs, lists and tables of text, as Markdown or LaTeX. Pure functions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Section:
    """A part of a document, in the order of its fields; what is empty is left out."""

    title: str
    table: pd.DataFrame | None = None  # of text
    items: Sequence[str] = ()


def markdown(sections: Sequence[Section]) -> str:
    """The document as GitHub reads it."""
    blocks = []
    for section in sections:
        blocks.append(f"**{section.title}**")
        if section.items:
            blocks.append("\n".join(f"- {item}" for item in section.items))
        if section.table is not None:
            blocks.append(_markdown_table(section.table))
    return "\n\n".join(blocks) + "\n"


def latex(sections: Sequence[Section]) -> str:
    r"""The document for ``\input``; needs no package."""
    blocks = []
    for section in sections:
        blocks.append(rf"\paragraph{{{escaped(section.title)}}}")
        if section.items:
            items = "\n".join(rf"\item {escaped(item)}" for item in section.items)
            blocks.append(f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}")
        if section.table is not None:
            blocks.append(_latex_table(section.table))
    return "\n\n".join(blocks) + "\n"


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
