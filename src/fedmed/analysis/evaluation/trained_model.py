"""A network with the weights of a run or of a checkpoint file, ready to predict."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from fedmed.core import registry
from fedmed.core.attack import UNDER_ATTACK
from fedmed.core.errors import InputError
from fedmed.core.memory_format import prepare_network
from fedmed.core.names import OWN, SITES
from fedmed.core.precision import autocast
from fedmed.core.weights import difference
from fedmed.data.phantoms.phantom import dataset_title
from fedmed.experiment import Experiment, Performance
from fedmed.runs.run_folder import BEST, LAST, RunFolder, load_weights
from fedmed.tasks.base import Task

DEFAULT_TASK = "brats18"
"""The task of a checkpoint that does not lie in a run folder."""


@dataclass(frozen=True)
class TrainedModel:
    """A network in eval mode on the device where it computes, with its task, precision and origin."""

    label: str  # the run's name, or the file's
    weights: Path
    task: Task
    precision: str
    network: nn.Module
    device: torch.device
    data: str = ""  # the training data in words; empty where they are not known

    @contextlib.contextmanager
    def inference(self) -> Iterator[None]:
        """The arithmetic in which the run was scored, without gradients."""
        with torch.inference_mode(), autocast(self.precision, self.device):
            yield


def open_model(source: Path, which: str = "best", task_name: str = DEFAULT_TASK) -> TrainedModel:
    """The model of a run folder, or of a checkpoint: this project's, FLARE's or a plain state dict.

    Args:
        source: a run folder or a ``.pt`` file. A file in a run folder, or in a site's folder there, is of its task.
        which: ``best``, ``last`` or the path of a file; of a run folder.
        task_name: the task of a file that lies in no run folder.

    Raises:
        InputError: there is no such model, it cannot be opened safely, it holds NaN or infinite weights, or those of
            another network.
    """
    if source.is_file():
        return _opened(_run_around(source), source, source.stem, task_name)
    run = RunFolder.open(source)
    return _opened(run, model_file(run, which), run.name, task_name)


def model_file(run: RunFolder, model: str) -> Path:
    """The one file of weights meant by ``best``, ``last`` or a path.

    Raises:
        InputError: there is no such file.
    """
    path = {"best": run.path / BEST, "last": run.path / LAST}.get(model, Path(model))
    own = run.local_models(model)
    if model == OWN:
        each = f"; name the file of one, such as {next(iter(own.values()))}" if own else ""
        here = "has one at each of its sites" if own else "has none here; expected best, last or a file of weights"
        raise InputError(f"{OWN} names the sites' own models, and {run.name} {here}{each}.")
    if own:
        raise InputError(
            f"{run.name} made no global model that was scored, as each of its sites has its own; name one of theirs, "
            f"such as {next(iter(own.values()))}."
        )
    if model in ("best", "last") and path.is_file() and run.experiment().algorithm.has_private:
        raise InputError(
            f"{path} lacks what each site of {run.name} has for itself, and no site's own model is here; name the file "
            "of one, which lies at its site."
        )
    if not path.is_file():
        raise InputError(f"{path} is not there ({run.name} is {run.status}); name best, last or a file of weights.")
    return path


def network_of(task: Task, weights: Path) -> nn.Module:
    """The task's network with the weights of a file, on the CPU, in eval mode.

    Raises:
        InputError: the file holds no weights, those of another network, or values that are not finite.
    """
    with torch.random.fork_rng(devices=[]):  # the fresh weights are overwritten and must not advance any generator
        model = task.build_model().eval()
    found = load_weights(weights)
    strange = difference(model.state_dict(), found)
    if strange:
        raise InputError(
            f"{weights} holds the weights of another network than {type(model).__name__} ({strange}); "
            "give a model of the same task and size."
        )
    broken = [name for name, values in found.items() if not torch.isfinite(values).all()]
    if broken:
        raise InputError(
            f"{weights} holds NaN or infinite values in {broken[0]} and {len(broken) - 1} other parameters; "
            "expected finite weights: give another model, such as an earlier round's."
        )
    model.load_state_dict(found)
    return model


def initial_network(experiment: Experiment) -> nn.Module:
    """The network with the run's first weights, which follow from the experiment's seed alone. In eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.training.seed)  # as where the job is made
        return experiment.task.build_model().eval()


def _run_around(file: Path) -> RunFolder | None:
    """The run in whose folder a file lies, or in the folder of one of its sites."""
    folders = [file.parent, *([file.parents[2]] if file.parent.parent.name == SITES else [])]
    return next((RunFolder(folder) for folder in folders if (folder / "experiment.json").is_file()), None)


def _opened(run: RunFolder | None, weights: Path, label: str, task_name: str) -> TrainedModel:
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if run is None:
        task: Task = registry.find("task", task_name)()
        return TrainedModel(label, weights, task, "auto", _on(device, task, weights, Performance()), device)
    experiment = run.experiment()
    network = _on(device, experiment.task, weights, experiment.performance)
    dataset = experiment.data.dataset_base_dir
    data = run.trained_on or (dataset_title(dataset) if dataset else "")
    if experiment.attack.is_on:
        data = f"{data or 'data'} {UNDER_ATTACK} ({experiment.attack.statement()})"
    return TrainedModel(label, weights, experiment.task, experiment.training.precision, network, device, data)


def _on(device: torch.device, task: Task, weights: Path, speed: Performance) -> nn.Module:
    """The network on a device, in the memory format of the sites, so that even the rounding is theirs."""
    network = network_of(task, weights).to(device)
    prepare_network(network, speed, device)
    return network
