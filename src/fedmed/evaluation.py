"""Scoring a model of a finished run on the run's validation cases, each once, however many sites list it."""

from collections.abc import Sequence

import pandas as pd

from fedmed.data.audit import audit_site
from fedmed.data.cache import Caching
from fedmed.data.case_facts import FactsBook
from fedmed.data.datalist import Case, datalist_path, load_datalist
from fedmed.data.finding import refuse_errors
from fedmed.errors import InputError
from fedmed.experiment import Data, Experiment
from fedmed.tasks.base import Row
from fedmed.trained_model import TrainedModel


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


def score(model: TrainedModel, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> list[Row]:
    """Every case's metrics as during the run, in the precision in which the run was trained."""
    with model.inference():
        return model.task.evaluate(model.network, model.task.eval_set(cases, label_scheme, caching), model.device)


def long_table(run: str, rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a table with the columns run, case, region, metric and value."""
    table = pd.DataFrame(rows, columns=list(Row._fields))
    table.insert(0, "run", run)
    return table
