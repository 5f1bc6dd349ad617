"""Documents as Markdown and LaTeX."""

import re

import pandas as pd
import pytest

from fedmed.analysis.comparison.table_document import Block, escaped, latex, markdown

SECTIONS = [
    Block("Dice & co", pd.DataFrame({"run": ["a|b", "run_2"], "mean": ["0.5 [0.4, 0.6]", "-0.1"]}), ["p < 0.001"]),
    Block("Notes", items=["95 % interval"]),
]


def test_markdown() -> None:
    assert markdown(SECTIONS) == (
        "**Dice & co**\n\n- p < 0.001\n\n"
        "| run | mean |\n| --- | --- |\n| a\\|b | 0.5 [0.4, 0.6] |\n| run_2 | -0.1 |\n\n"
        "**Notes**\n\n- 95 % interval\n"
    )


def test_latex_is_balanced_and_every_row_has_as_many_cells_as_columns() -> None:
    text = latex(SECTIONS)
    opened, closed = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert sorted(opened) == sorted(closed) == ["center", "itemize", "itemize", "tabular"]
    assert text.count("{") == text.count("}")
    assert r"\begin{tabular}{ll}" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert rows == [r"run & mean \\", r"a$|$b & 0.5 [0.4, 0.6] \\", r"run\_2 & $-$0.1 \\"]
    assert r"\paragraph{Dice \& co}" in text
    assert r"\item p $<$ 0.001" in text
    assert "rule" not in text  # of booktabs


@pytest.mark.parametrize(
    ("plain", "tex"),
    [
        ("50 % of $1 #2 {x}", r"50 \% of \$1 \#2 \{x\}"),
        (r"a\b~c^d", r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"),
        ("run-001 - run-002", "run-001 - run-002"),
        ("-0.5 [-1, 2], svt-21", "$-$0.5 [$-$1, 2], svt-21"),
        ("5e-05", "5e-05"),
    ],
)
def test_special_characters_are_escaped(plain: str, tex: str) -> None:
    assert escaped(plain) == tex
