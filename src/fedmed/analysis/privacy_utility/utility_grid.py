"""The rows of a study: privacy mechanisms and budgets, each as options of job.py."""

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedmed.core.errors import InputError

GRID: Mapping[str, str] = {
    "none": "--privacy none",
    "svt": "--privacy svt",
    "svt-21": "--privacy svt --dp_epsilon 21 --dp_noise_var 2",
    **{
        f"gaussian-{epsilon}": f"--privacy gaussian --dp_clip 1.0 --dp_target_epsilon {epsilon} --dp_delta 1e-5"
        for epsilon in (10, 10_000, 10_000_000)
    },
    **{
        f"dpsgd-{epsilon}": "--privacy dpsgd --dp_max_grad_norm 1.0 "
        f"--dp_target_epsilon {epsilon} --dp_delta 1e-3 --batch_size 4"
        for epsilon in (8, 1_000, 1_000_000)
    },
    "percentile": "--privacy percentile",
}
"""The options of job.py by row. A row's name becomes part of the names of its run folders."""

OWN = ("--seed", "--job_name", "--artifacts", "--dataset_base_dir", "--datalist_json_path", "--n_clients")
"""Options of job.py that the study gives itself, so that no row may."""


def chosen(path: Path | None, rows: Sequence[str] | None) -> dict[str, str]:
    """The grid, of a file or the built-in one, or those rows of it that are asked for.

    Raises:
        InputError: the file is no grid, or a row is not in it.
    """
    grid = GRID if path is None else read_grid(path)
    unknown = [row for row in rows or () if row not in grid]
    if unknown:
        raise InputError(f"--rows names {unknown[0]}, which is no row of the grid; choose among {', '.join(grid)}.")
    return {name: options for name, options in grid.items() if name in (rows or grid)}


def read_grid(path: Path) -> dict[str, str]:
    """A file such as ``{"none": "--privacy none", "svt-1": "--privacy svt --dp_epsilon 1"}``.

    Raises:
        InputError: it is no such file.
    """
    try:
        grid = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--grid {path} cannot be read as JSON ({error}); give a JSON file of rows.") from error
    if not isinstance(grid, dict) or not grid or not all(isinstance(options, str) for options in grid.values()):
        raise InputError(f'--grid {path} holds no rows; expected {{"name": "options of job.py", ...}}.')
    return grid


def arguments_of(options: str) -> list[str]:
    """A row's options as arguments.

    Raises:
        InputError: the study gives one of them itself.
        ValueError: a quotation is not closed.
    """
    words = shlex.split(options)
    taken = [word for word in words if word.partition("=")[0] in OWN]
    if taken:
        raise InputError(f"it gives {taken[0]}, which the study itself gives; drop it there.")
    return words
