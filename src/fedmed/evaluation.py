"""Scoring a model of a finished run on the run's validation cases, each once, however many sites list it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from fedmed.arithmetic import autocast
from fedmed.data.audit import audit_site
from fedmed.data.cache import Caching
from fedmed.data.case_facts import FactsBook
from fedmed.data.datalist import Case, datalist_path, load_datalist
from fedmed.data.finding import refuse_errors
from fedmed.errors import InputError
from fedmed.experiment import Data, Experiment
from fedmed.memory_format import channels_last, use_channels_last
from fedmed.run_folder import BEST, LAST, RunFolder, load_weights
from fedmed.tasks.base import Row


def model_file(run: RunFolder, model: str) -> Path:
    """The weights meant by ``best``, ``last`` or a path.

    Raises:
        InputError: there is no such file.
    """
    path = {"best": run.path / BEST, "last": run.path / LAST}.get(model, Path(model))
    if not path.is_file():
        status = run.read_json("status")["status"] if (run.path / "status.json").is_file() else "of unknown status"
        raise InputError(f"{path} is not there ({run.name} is {status}); give --model best, last or a file of weights.")
    return path


def validation_cases(
    experiment: Experiment, data: Data, book: FactsBook | None = None
) -> tuple[tuple[Case, ...], str | None]:
    """The validation cases of all sites without repeats, checked, and the label scheme that their lists state.

    Raises:
        InputError: a list or a case cannot be used, or the lists state different label schemes.
    """
    dataset, lists = data.resolved()
    paths = sorted({datalist_path(lists, site) for site in experiment.training.sites})
    datalists = [load_datalist(path, dataset) for path in paths]
    for path, datalist in zip(paths, datalists, strict=True):
        rules, splits = experiment.task.rules(datalist.label_scheme), {"validation": datalist.validation}
        audit = audit_site(path.stem, splits, rules, experiment.task.patient_of, book=book)
        refuse_errors(audit.findings, str(path))
    schemes = {datalist.label_scheme for datalist in datalists}
    if len(schemes) > 1:
        raise InputError(f"The sites' lists state different label schemes ({schemes}); score them apart.")
    cases = {case.label: case for datalist in datalists for case in datalist.validation}
    return tuple(cases.values()), schemes.pop()


def score(
    experiment: Experiment, weights: Path, cases: Sequence[Case], label_scheme: str | None, caching: Caching
) -> list[Row]:
    """Every case's metrics, in the precision in which the run was trained.

    Raises:
        InputError: the weights are not of the experiment's network.
    """
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    model = experiment.task.build_model()
    try:
        model.load_state_dict(load_weights(weights))
    except RuntimeError as error:
        raise InputError(
            f"{weights} holds the weights of another network than {type(model).__name__} "
            f"({str(error).splitlines()[-1].strip():.160}); give a model of the same task."
        ) from error
    model.to(device).eval()
    if channels_last(experiment.performance, device):  # as at the sites, so that even the rounding is theirs
        use_channels_last(model)
    with torch.inference_mode(), autocast(experiment.training.precision, device):
        return experiment.task.evaluate(model, experiment.task.eval_set(cases, label_scheme, caching), device)


def long_table(run: str, rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a table with the columns run, case, region, metric and value."""
    table = pd.DataFrame(rows, columns=list(Row._fields))
    table.insert(0, "run", run)
    return table
