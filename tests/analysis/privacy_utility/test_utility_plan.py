"""The planned runs: rows and seeds in turn, and whose options count."""

from pathlib import Path

import pytest

from fedmed.analysis.privacy_utility.utility_grid import GRID
from fedmed.analysis.privacy_utility.utility_plan import StudyOptions, plan, planned
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError


def test_all_rows_of_the_built_in_grid_differ_in_more_than_their_names(tmp_path: Path) -> None:
    assert len({*GRID.values()}) == len(GRID)
    grid = {name: GRID[name] for name in ("none", "svt")}
    runs = plan(grid, tmp_path, StudyOptions(seeds=2), read_experiment)
    assert [each.experiment.job_name for each in runs] == ["none-seed0", "svt-seed0", "none-seed1", "svt-seed1"]
    assert [each.experiment.training.seed for each in runs] == [0, 0, 1, 1]


def test_a_rows_options_come_before_those_of_the_study(tmp_path: Path) -> None:
    row = planned("lots", "--batch_size 4 --num_rounds 3", 5, tmp_path, StudyOptions(), read_experiment)
    assert (row.experiment.training.batch_size, row.experiment.training.num_rounds) == (4, 3)
    assert row.experiment.training.seed == 5
    assert read_experiment(row.arguments) == row.experiment


def test_phantoms_of_another_kind_have_another_folder() -> None:
    names = [StudyOptions(**{name: 7}).phantoms_name for name in ("sites", "cases", "validation")]
    assert len({*names, StudyOptions().phantoms_name, StudyOptions(size=(48, 40, 40)).phantoms_name}) == 5


def test_a_study_without_seeds_is_refused() -> None:
    with pytest.raises(InputError, match="--seeds is 0"):
        StudyOptions(seeds=0)
