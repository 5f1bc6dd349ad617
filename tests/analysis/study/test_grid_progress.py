"""The table on the screen."""

import io
from collections import Counter
from collections.abc import Callable

from fedmed.analysis.study.cell_queue import State
from fedmed.analysis.study.grid_progress import GridProgress, seconds_left, table_lines
from fedmed.experiment import Experiment
from tests.analysis.study.made_cells import cell

Make = Callable[..., Experiment]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_sign_a_seed_and_a_line_of_counts(small_experiment: Make) -> None:
    cells = [
        cell(small_experiment("--job_name", f"{partition}-{name}-{seed}"), name, seed, partition)
        for seed in range(3)
        for partition in ("iid", "skewed")
        for name in ("fedavg", "local")
    ]
    states: dict[str, State] = dict.fromkeys((each.name for each in cells), "waiting")
    states |= {"iid-fedavg-0": "done", "iid-fedavg-1": "running", "skewed-local-0": "failed"}
    assert table_lines(cells, states) == ["        fedavg  local", "iid     #>.     ...", "skewed  ...     x.."]
    screen = Terminal()
    GridProgress(cells, screen)(states, ["iid-fedavg-0 is finished"])
    assert screen.getvalue().splitlines()[0] == "iid-fedavg-0 is finished"
    assert screen.getvalue().splitlines()[-1].startswith("1 of 12 done, 1 running, 1 failed")


def test_the_table_is_drawn_anew_where_it_changes_and_not_at_all_without_a_terminal(small_experiment: Make) -> None:
    planned = cell(small_experiment("--job_name", "one"), "fedavg")
    screen, file = Terminal(), io.StringIO()
    for stream in (screen, file):
        shown = GridProgress([planned], stream)
        shown({"one": "running"}, [])
        shown({"one": "running"}, [])
        shown({"one": "done"}, ["one-001 is finished"])
    assert file.getvalue() == "one-001 is finished\n"
    drawn = screen.getvalue()
    assert drawn.count("running") == 2
    assert drawn.count("\x1b[3A\x1b[J") == 1  # up over the three lines, once


def test_the_time_left_is_that_of_the_others_at_the_same_pace() -> None:
    assert seconds_left(Counter({"done": 3, "failed": 1, "running": 2, "waiting": 2}), 60.0, before=0) == 60.0
    assert seconds_left(Counter({"done": 3, "running": 2, "waiting": 2}), 60.0, before=1) == 120.0
    assert seconds_left(Counter({"done": 1, "running": 2}), 60.0, before=1) is None
