"""The models and cases of one evaluation: those that the command line names, else those of the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedmed.analysis.evaluation.evaluation_cases import EvaluationCases, Split, evaluation_cases
from fedmed.analysis.evaluation.evaluation_folder import EVALUATION, EvaluationFolder
from fedmed.analysis.evaluation.trained_model import DEFAULT_TASK, TrainedModel, open_model
from fedmed.core.cli import echo
from fedmed.core.errors import InputError
from fedmed.core.names import OWN
from fedmed.data.audit.case_facts import FactsBook
from fedmed.experiment import Data
from fedmed.runs.run_folder import BEST, LAST, RunFolder
from fedmed.tasks.base import Task


@dataclass(frozen=True)
class EvaluationRequest:
    """The choices of an evaluation; None stands for the run's own."""

    model: str | None = None
    """``best``, ``last``, ``own`` for each site's own model, or the path of a file of weights."""

    task: str = DEFAULT_TASK
    """The task of a file of weights that lies in no run folder."""

    dataset_base_dir: Path | None = None
    datalist: Path | None = None
    split: Split = "validation"

    flips: bool = False
    """Average over mirrored copies of each image."""

    everywhere: bool = False
    """Score each site's own model on the cases of all sites, not on those of its own site alone."""

    force: bool = False
    """Score anew where there is an evaluation already."""

    folder: Path | None = None
    """The folder of the results, else ``evaluation/<model>-<split>`` beside the weights."""


@dataclass(frozen=True)
class EvaluationSource:
    """A run folder or a file of weights, opened."""

    label: str
    place: Path  # the folder that gets the folder ``evaluation``
    name: str  # of the model: best, last, own or a file's
    models: Mapping[str, TrainedModel]  # by site where each site has its own, else under ""
    run: RunFolder | None

    @property
    def task(self) -> Task:
        return next(iter(self.models.values())).task


def source_of(path: Path, label: str, request: EvaluationRequest) -> EvaluationSource:
    """The model, or the sites' models, of a run folder or of a file of weights.

    Raises:
        InputError: there is no such model.
    """
    if path.is_file():
        if request.model:
            raise InputError(f"{path} is a file of weights and --model names others; give one of them.")
        model = open_model(path, task_name=request.task)
        run = RunFolder(path.parent) if (path.parent / "experiment.json").is_file() else None
        return EvaluationSource(label, path.parent, path.stem, {"": model}, run)
    run = RunFolder.open(path)
    which = request.model or _usual(run)
    name = which if which in ("best", "last", OWN) else Path(which).stem
    own = run.local_models(which)
    models = {site: open_model(file) for site, file in own.items()} or {"": open_model(path, which)}
    return EvaluationSource(label, path, name, models, run)


def _usual(run: RunFolder) -> str:
    usual = run.usual_model()
    if usual == "last":
        echo(f"{run.name}: no best model was chosen, as scores stay at the sites; the last one is scored")
    return usual


def runs_with_a_model(artifacts: Path) -> list[Path]:
    """Every run with a global model, by name.

    Raises:
        InputError: there is none.
    """
    runs = sorted({path.parent for name in (BEST, LAST) for path in artifacts.glob(f"*/{name}")})
    if not runs:
        raise InputError(f"{artifacts} holds no run with a model; make one with python job.py, or name others.")
    return runs


def cases_of(source: EvaluationSource, request: EvaluationRequest, book: FactsBook) -> EvaluationCases:
    """The cases to score, checked.

    Raises:
        InputError: a list or a case cannot be used.
    """
    experiment = source.run.experiment() if source.run else None
    usual = experiment.data if experiment else Data.of_this_site()
    data = Data(request.dataset_base_dir or usual.dataset_base_dir, request.datalist or usual.datalist_json_path)
    dataset, lists = data.resolved()
    sites = experiment.training.sites if experiment else sorted(path.stem for path in lists.glob("site-*.json"))
    if not sites and request.split == "validation" and lists.is_dir():
        raise InputError(f"{lists} holds no site-1.json or the like; name one list with --datalist.")
    return evaluation_cases(source.task, dataset, lists, sites, request.split, book)


def folder_of(source: EvaluationSource, request: EvaluationRequest) -> EvaluationFolder:
    """The folder of the results."""
    return EvaluationFolder(request.folder or source.place / EVALUATION / f"{source.name}-{request.split}")
