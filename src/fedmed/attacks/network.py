"""A run's network with the weights under attack, or with those that the run began with."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from fedmed.errors import InputError
from fedmed.experiment import Experiment
from fedmed.run_folder import load_weights


def initial_network(experiment: Experiment) -> nn.Module:
    """The network that the run began with: its weights follow from the experiment's seed alone. In eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.training.seed)  # as where the job is made
        return experiment.task.build_model().eval()


def network(experiment: Experiment, weights: Path) -> nn.Module:
    """The run's network with the weights of a file, in eval mode.

    Raises:
        InputError: the file holds no weights, or those of another network.
    """
    model, found = initial_network(experiment), load_weights(weights)
    strange = _difference(model.state_dict(), found)
    if strange:
        raise InputError(
            f"{weights} holds the weights of another network than {type(model).__name__} ({strange}); "
            "give a model of the same task and size."
        )
    model.load_state_dict(found)
    return model


def _difference(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> str:
    """The first thing in which two sets of weights differ, in words; empty when they are of one network."""
    for name in sorted(set(expected) ^ set(found)):
        return f"{name} is only in the {'run' if name in expected else 'file'}"
    for name, values in expected.items():
        if found[name].shape != values.shape:
            return f"{name} is {tuple(found[name].shape)} in the file and {tuple(values.shape)} in the run"
    return ""
