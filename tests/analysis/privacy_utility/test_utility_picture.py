"""The picture of a study: points, bands, markers and the axis."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fedmed.analysis.privacy_utility.utility_picture import draw, legend_lines, limits, placed
from fedmed.analysis.privacy_utility.utility_table import pooled
from tests.analysis.privacy_utility.utility_rows import METRICS, RUNS, run_row


def test_a_row_is_a_point_where_it_has_an_epsilon_and_else_a_band() -> None:
    beyond = run_row("gaussian", 0, math.inf, 0.2)
    points, bands = placed(pooled(pd.DataFrame([*RUNS, beyond]), METRICS))
    assert points["epsilon"].tolist() == [8.2, 50.0, 4e7]
    assert bands["mechanism"].tolist() == ["none", "percentile", "gaussian"]


def test_the_axis_holds_all_points_and_the_border() -> None:
    assert limits([]) == (1.0, 100.0)
    assert limits([8.0, 4e7]) == (1.0, 1e8)
    assert limits([1.0, 50.0]) == (0.1, 100.0)
    assert limits([5e-3]) == (1e-3, 100.0)


def test_markers_tell_unit_and_guarantee_and_the_legend_names_each_mechanism_once() -> None:
    rows = pooled(pd.DataFrame(RUNS), METRICS)
    colours = dict.fromkeys(rows["mechanism"], "C0")
    handles = {str(line.get_label()): line for line in legend_lines(rows, colours)}
    assert list(handles) == [
        *("dpsgd: formal, unit: patient", "svt: heuristic, unit: site's update", "none: no protection"),
        "percentile: heuristic, unit: site's update, no epsilon",
    ]
    dpsgd, svt, none, percentile = handles.values()
    assert (dpsgd.get_marker(), svt.get_marker()) == ("o", "s")
    assert (dpsgd.get_markerfacecolor(), svt.get_markerfacecolor()) == ("C0", "white")
    assert (none.get_linestyle(), percentile.get_linestyle()) == ("-", "--")


@pytest.mark.parametrize("rows", [RUNS, RUNS[:1], RUNS[1:2]], ids=["all", "bands alone", "points alone"])
def test_the_figure_is_drawn(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    draw(pooled(pd.DataFrame(rows), METRICS), METRICS, "phantoms", tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
