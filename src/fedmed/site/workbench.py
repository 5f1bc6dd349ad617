"""The network and the optimiser of a process, with which one site works, or many in turn."""

import copy

import torch

from fedmed.core.memory_format import prepare_network
from fedmed.core.optimizer import make_optimizer
from fedmed.core.precision import check_precision
from fedmed.experiment import Experiment


class Workbench:
    """A task's network on this process's device, its optimiser and its loss.

    Attributes:
        holder: whoever's state is in the optimiser.

    Raises:
        InputError: this machine cannot train in the arithmetic asked for.
    """

    def __init__(self, experiment: Experiment) -> None:
        task, training = experiment.task, experiment.training
        self.device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
        check_precision(training.precision, self.device)
        self.model = task.build_model().to(self.device)
        prepare_network(self.model, experiment.performance, self.device)
        groups = task.parameter_groups(self.model, training.learning_rate)
        self.optimizer = make_optimizer(training.optimizer, groups, training.weight_decay)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self.loss = task.loss()
        self.holder: object = None
        self._fresh = copy.deepcopy(self.optimizer.state_dict())

    def scale_rates(self, factor: float) -> None:
        """Let every group step with this share of its own learning rate."""
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def clear_optimizer(self) -> None:
        """Let the optimiser begin anew, as if it had just been made."""
        self.optimizer.load_state_dict(copy.deepcopy(self._fresh))
