"""FLARE's FedAvg recipe for an experiment, with this project's controller, aggregator, persistor and filters."""

from collections.abc import Mapping
from typing import Any

from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.client.config import TransferType
from nvflare.recipe import add_experiment_tracking

from fedmed.core.entries import Entries
from fedmed.core.options import to_plain
from fedmed.core.timing import TIMING
from fedmed.environments.flare.aggregator import GuardedAggregator
from fedmed.environments.flare.controller import GuardedFedAvg
from fedmed.environments.flare.cross_site_workflow import add_cross_site
from fedmed.environments.flare.first_weights import FirstWeights
from fedmed.environments.flare.heartbeat import Heartbeat
from fedmed.environments.flare.privacy_filter import PrivacyFilter
from fedmed.experiment import Experiment

CLIENT_SCRIPT, CODE_OF_JOB = "client.py", ("src", "model.py")
"""The files of a job beside its configuration, relative to the repository's root."""


class GuardedFedAvgRecipe(FedAvgRecipe):
    """FedAvg that refuses unusable updates, combines by the experiment's algorithm, and scores the last model too."""

    def __init__(self, *, own: Mapping[str, Any], poll_s: float, **settings: Any) -> None:
        """Args: own: the controller's arguments beside FLARE's."""
        self._own: dict[str, Any] = {**own, "task_check_period": poll_s or TIMING.flare_poll_s}
        super().__init__(**settings)
        # the recipe adds FLARE's selector, and the controller chooses the best model itself
        self._job._deploy_map["server"].app_config.components.pop("model_selector")

    def _create_controller(self, persistor_id: str, model_params: Any, model_aggregator: Any) -> GuardedFedAvg:
        return GuardedFedAvg(
            num_clients=self.min_clients,
            num_rounds=self.num_rounds,
            persistor_id=persistor_id,
            aggregator=model_aggregator,
            key_metric=self.key_metric,
            **self._own,
            **self._get_controller_kwargs(),
        )


def build_recipe(experiment: Experiment, entries: Entries, code: str) -> GuardedFedAvgRecipe:
    """The recipe of an experiment, to be exported in a folder that holds :data:`CODE_OF_JOB`.

    Args:
        entries: of the task's network.
        code: the fingerprint of the code that the job is made with.
    """
    training, speed, faults = experiment.training, experiment.performance, experiment.faults
    algorithm = {"name": experiment.algorithm.name, **to_plain(experiment.algorithm)}
    recipe = GuardedFedAvgRecipe(
        name=experiment.job_name,
        model_persistor=FirstWeights(code),
        min_clients=training.n_clients,
        num_rounds=training.num_rounds,
        train_script=CLIENT_SCRIPT,
        key_metric=experiment.task.KEY_METRIC,
        params_transfer_type=TransferType.DIFF,
        aggregator=GuardedAggregator(
            algorithm, entries.plain(), training.num_rounds, training.n_clients, faults.max_update_ratio
        ),
        poll_s=speed.poll_s,
        own=_controller_arguments(experiment),
    )
    heartbeat = Heartbeat(faults.heartbeat_every_s, faults.spares(training.n_clients))
    recipe._job.to_clients(heartbeat, id="heartbeat")
    for path in CODE_OF_JOB:
        recipe.add_client_file(path)
    for item in privacy_filters(experiment, entries):
        recipe.add_client_output_filter(item, tasks=["train", "submit_model"])  # the latter would be the raw weights
    if speed.poll_s:
        recipe.add_server_config({"server": {"task_request_interval": TIMING.task_wait_factor * speed.poll_s}})
    add_experiment_tracking(recipe, "tensorboard")
    if training.cross_site:
        add_cross_site(recipe, global_model=experiment.algorithm.has_global_model, timeout_s=faults.round_timeout)
    return recipe


def privacy_filters(experiment: Experiment, entries: Entries) -> list[PrivacyFilter]:
    """The filters of a site's results: one, where the mechanism acts on updates."""
    mechanism = experiment.privacy.resolved(experiment)
    if not mechanism.acts_on_updates:
        return []
    plain = {"name": mechanism.name, **to_plain(mechanism)}
    seed, run_id = experiment.training.seed, experiment.run_id
    return [PrivacyFilter(plain, seed, run_id=run_id, statistics=entries.statistics)]


def _controller_arguments(experiment: Experiment) -> dict[str, Any]:
    faults, mechanism = experiment.faults, experiment.privacy
    persistent = experiment.environment.processes_persist(experiment)
    return {
        "task": {"name": experiment.task.name, **to_plain(experiment.task)},
        "split_validation": experiment.splits_validation,
        "max_epsilon": mechanism.budget,
        "books": mechanism.GUARANTEE != "none",
        "needed_updates": faults.min_clients,
        "round_timeout": faults.round_timeout,
        "site_silence": faults.site_silence if persistent else 0.0,
        "run_id": experiment.run_id,
    }
