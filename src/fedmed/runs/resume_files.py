"""The files with which an unfinished run goes on, opened and checked before anything starts."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch

from fedmed.core.errors import InputError
from fedmed.core.lines import json_lines
from fedmed.core.names import LEDGER, RECORDS, SERVER, SITES, STATE
from fedmed.core.weights import difference, load_weights
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import read_ledger
from fedmed.runs.run_folder import RunFolder
from fedmed.server.checkpoint import Checkpoints


def check_files(folder: RunFolder, experiment: Experiment) -> None:
    """Open every file that the server and the sites of a run on this machine left to go on with.

    Raises:
        InputError: one of them cannot be used; names it.
    """
    for name in ("environment", "dataset_splits"):
        if (folder.path / f"{name}.json").is_file():
            folder.read_json(name)
    _check_server(folder.path / SITES / SERVER, experiment)
    for site in experiment.training.sites:
        _check_site(folder.path / SITES / site, folder.name)


def _check_server(kept: Path, experiment: Experiment) -> None:
    try:
        json_lines(kept / RECORDS)
    except (OSError, ValueError) as error:
        raise _unusable(kept / RECORDS, f"it cannot be read: {error}") from error
    found = Checkpoints(kept).load()
    if found is None:
        return
    with torch.random.fork_rng(devices=[]):  # the weights are not used and must not advance any generator
        expected = experiment.task.build_model().state_dict()
    for model in (found.last, *([found.best.path] if found.best else [])):
        _check_model(model, expected)


def _check_model(path: Path, expected: Mapping[str, torch.Tensor]) -> None:
    strange = difference(expected, load_weights(path))
    if strange:
        raise _unusable(path, f"it holds the weights of another network than this run's: {strange}")


def _check_site(kept: Path, run: str) -> None:
    """A site's ledger, and that its states are whole; their tensors, tens of MB a site, are left for the site."""
    if (kept / LEDGER).is_file():
        read_ledger(kept / LEDGER, run)
    for path in sorted((kept / STATE).glob("after-*.pt")):
        if not _is_whole(path):
            raise InputError(
                f"{path} was cut off or is no state of a site; restore it, or remove it to go on with a new optimiser "
                "at that site."
            )


def _is_whole(path: Path) -> bool:
    """True for an archive as torch writes one, whose list of contents stands at its end."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _unusable(path: Path, why: str) -> InputError:
    return InputError(f"{path} cannot be gone on with, as {why}; restore it, or start a new run.")
