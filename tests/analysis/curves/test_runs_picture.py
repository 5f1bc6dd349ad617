"""The picture of several runs."""

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from fedmed.analysis.curves.run_groups import Group
from fedmed.analysis.curves.runs_picture import CurveStyle, draw
from fedmed.core.errors import InputError

GROUPS = [Group("fedavg (2 seeds)", ("one", "two")), Group("three", ("three",))]


def table(sites: int = 2, runs: tuple[str, ...] = ("one", "two", "three")) -> pd.DataFrame:
    rows = [
        {"run": run, "site": f"site-{site}", "tag": tag, "step": step, "value": step / 10 + number / 7, "weight": 1}
        for number, run in enumerate(runs)
        for site in range(sites)
        for tag in ("val_dice", "train_loss")
        for step in range(4)
    ]
    return pd.DataFrame(rows)


def shown(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def test_seeds_are_one_line_with_a_band_and_a_single_run_is_a_line() -> None:
    figure = draw(table(), ["val_dice"], GROUPS, CurveStyle(0, by_site=False))
    (axes,) = shown(figure)
    assert len(axes.lines) == 2
    (shade,) = [each for each in axes.collections if isinstance(each, PolyCollection)]
    assert shade.get_facecolor()[0, :3] == pytest.approx(to_rgb(axes.lines[0].get_color()))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["fedavg (2 seeds)", "three"]


def test_tags_are_rows_with_their_own_steps() -> None:
    upper, lower = shown(draw(table(), ["val_dice", "train_loss"], GROUPS, CurveStyle(0.8, by_site=False)))
    assert (upper.get_ylabel(), upper.get_xlabel()) == ("val_dice", "federated rounds")
    assert (lower.get_ylabel(), lower.get_xlabel()) == ("train_loss", "optimiser steps of a site")


def test_sites_are_panels_that_share_their_axes() -> None:
    rows = table(sites=5)
    rows.loc[rows["site"] == "site-3", "value"] += 100
    axes = shown(draw(rows, ["val_dice"], GROUPS, CurveStyle(0.8, by_site=True)))
    assert [each.get_title() for each in axes] == [f"site-{number}" for number in range(5)]
    assert len({each.get_ylim() for each in axes}) == len({each.get_xlim() for each in axes}) == 1
    assert all(len(each.lines) == 4 for each in axes)  # each run and group, and faint as it is


def test_the_figure_says_how_to_read_it() -> None:
    figure = draw(table(), ["val_dice"], GROUPS, CurveStyle(0.8, by_site=True), "A note.")
    words = " ".join(figure.get_suptitle().split())
    for part in ("Each site's own value, smoothed with 0.8", "lowest to the highest", "A note."):
        assert part in words


def test_more_panels_than_one_can_read_are_refused() -> None:
    with pytest.raises(InputError, match="panels"):
        draw(table(sites=121, runs=("one",)), ["val_dice"], GROUPS, CurveStyle(0.8, by_site=True))


def test_many_tags_stand_side_by_side_each_with_its_own_axes() -> None:
    tags = [f"val_dice_{number}" for number in range(6)]
    rows = pd.concat([table().query("tag == 'val_dice'").assign(tag=tag) for tag in tags])
    figure = draw(rows, tags, GROUPS, CurveStyle(0, by_site=False))
    assert [axes.get_ylabel() for axes in shown(figure)] == tags
    assert figure.get_figheight() < figure.get_figwidth()
