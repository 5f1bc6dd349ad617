"""The runs of a study, planned before any is made: every row of the grid with every seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedmed.analysis.privacy_utility.utility_grid import arguments_of
from fedmed.core.errors import InputError
from fedmed.core.options import expect_between, option
from fedmed.data.phantoms.phantom import is_phantom, make_phantom
from fedmed.data.windows import Size
from fedmed.experiment import Experiment

COMMON = ("--env", "pool", "--cache_dataset", "1", "--crop_to_brain")
"""Options of job.py in every run; a pool is the quickest environment."""

ReadExperiment = Callable[[Sequence[str]], Experiment]
"""From the arguments of job.py to the experiment that they mean; raises InputError."""


@dataclass(frozen=True)
class StudyOptions:
    """The size of a study; sizes and rounds are chosen so that a run takes about a minute on two cores."""

    seeds: int = option(3, "repetitions with seeds 0, 1, 2, ...")
    rounds: int = option(10, "federated rounds")
    epochs: int = option(1, "local epochs a round")
    sites: int = option(2, "sites")
    cases: int = option(24, "training cases at each site")
    validation: int = option(9, "validation cases that all sites list; every ninth has no enhancing part")
    size: Size = option((48, 48, 40), "voxels of a phantom")
    roi_size: Size = option((32, 32, 32), "voxels of a training crop")
    infer_roi_size: Size = option((48, 48, 40), "voxels of a window")
    learning_rate: float = option(1.5e-3, "Adam's")

    def __post_init__(self) -> None:
        expect_between("seeds", self.seeds, 1, 1000)

    @property
    def phantoms_name(self) -> str:
        """The folder of the phantoms, named by their sizes and numbers, so that other ones get another folder."""
        return f"phantoms-{self.sites}x{self.cases}+{self.validation}-{'x'.join(map(str, self.size))}"

    def make_phantoms(self, folder: Path) -> bool:
        """Write the phantoms with their lists; False where they are there already."""
        if is_phantom(folder):
            return False
        make_phantom(folder, folder / "datalist", self.sites, self.cases, self.validation, self.size)
        return True


@dataclass(frozen=True)
class PlannedRun:
    """One run of the study: the arguments of job.py without the place of run folders, and their experiment."""

    row: str
    arguments: tuple[str, ...]
    experiment: Experiment


def plan(grid: Mapping[str, str], phantoms: Path, options: StudyOptions, read: ReadExperiment) -> list[PlannedRun]:
    """All rows with one seed before the next seed, so that a study that is stopped has compared all rows.

    Args:
        grid: the options of job.py by row.
        phantoms: the dataset of every run, with its lists in ``datalist``.

    Raises:
        InputError: the options of a row, or those of the study, cannot be used.
    """
    return [planned(row, grid[row], seed, phantoms, options, read) for seed in range(options.seeds) for row in grid]


def planned(
    row: str, of_row: str, seed: int, phantoms: Path, options: StudyOptions, read: ReadExperiment
) -> PlannedRun:
    """One run. Where a row gives an option that the study gives all runs, the row's counts.

    Raises:
        InputError: the row's options cannot be used.
    """
    common = [
        *("--num_rounds", options.rounds, "--aggregation_epochs", options.epochs),
        *("--learning_rate", options.learning_rate),
        *("--roi_size", *options.roi_size, "--infer_roi_size", *options.infer_roi_size, *COMMON),
    ]
    own = [*("--n_clients", options.sites, "--seed", seed, "--job_name", f"{row}-seed{seed}")]
    own += [*("--dataset_base_dir", phantoms, "--datalist_json_path", phantoms / "datalist")]
    try:
        words = [*common, *arguments_of(of_row)]
        last = len(words) - words[::-1].index("--num_rounds")
        seldom = ("--validate_every", words[last])  # the models are scored by the study, all alike
        arguments = tuple(map(str, [*seldom, *words, *own]))
        return PlannedRun(row, arguments, read(arguments))
    except ValueError as error:  # of which an InputError is one, and shlex has its own
        raise InputError(f"Row {row!r} of the grid cannot be run: {error}") from error
