"""The network that a run began with."""

import torch
from torch import nn

from fedmed.experiment import Experiment


def initial_network(experiment: Experiment) -> nn.Module:
    """The network that the run began with: its weights follow from the experiment's seed alone. In eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.training.seed)  # as where the job is made
        return experiment.task.build_model().eval()
