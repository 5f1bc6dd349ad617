"""A split on the screen."""

import subprocess
from pathlib import Path

from fedmed.data.splits.partition import Split
from fedmed.data.splits.split_text import export_lines, split_table
from tests.data.splits.made_up import Picture, facts_of, pictures


def test_the_table_counts_every_part() -> None:
    some, more, unknown = pictures(3, "normal"), pictures(2, "glioma"), pictures(1, None)
    parts: Split[Picture] = Split(
        {"site-1": tuple(some), "site-2": tuple(more)}, tuple(unknown), test=tuple(more[:1]), groups={"site-2": "B"}
    )
    rows = [line.split() for line in split_table(parts, facts_of, "class", ("normal", "glioma")).splitlines()]
    assert rows == [
        ["site", "training", "normal", "glioma", "validation"],
        ["site-1", "3", "3", "0", "1"],
        ["site-2", "B", "2", "0", "2", "1"],
        ["site-All", "5", "3", "2", "1"],
        ["(validation)", "-", "-"],
        ["(test:", "1)", "0", "1"],
    ]


def test_a_shell_takes_the_lines_whatever_the_paths_hold(tmp_path: Path) -> None:
    place = tmp_path / "it's a place"
    shown = f'{export_lines(place, tmp_path)}\nprintf "%s" "$DATASET_ROOT"'
    assert subprocess.run(["sh", "-c", shown], capture_output=True, text=True, check=True).stdout == str(place)
