"""FLARE's FedAvg recipe for an experiment, with this project's controller and persistor."""

from typing import Any

from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe

from fedmed.core.entries import Entries
from fedmed.core.timing import TIMING
from fedmed.environments.flare.controller import FederationController
from fedmed.environments.flare.cross_site_workflow import add_cross_site
from fedmed.environments.flare.curves_receiver import curves_receiver
from fedmed.environments.flare.first_weights import FirstWeights
from fedmed.environments.flare.heartbeat import Heartbeat
from fedmed.experiment import Experiment
from fedmed.server.plan import ServerPlan

CLIENT_SCRIPT, CODE_OF_JOB = "client.py", ("src", "model.py")
"""The files of a job beside its configuration, relative to the repository's root."""


class FederationRecipe(FedAvgRecipe):
    """FLARE's recipe with the controller that carries a plan's questions.

    Args:
        plan: of the run.
        run_id: common to the jobs that make one run; None where a job is a run of its own.
        poll_s: seconds between two looks of the server for a result; 0 is FLARE's own.
    """

    def __init__(self, *, plan: ServerPlan, run_id: str | None, poll_s: float, **settings: Any) -> None:
        period = poll_s or TIMING.flare_poll_s
        self._own: dict[str, Any] = {"plan": plan.plain(), "run_id": run_id, "task_check_period": period}
        super().__init__(num_rounds=plan.rounds, min_clients=len(plan.sites), key_metric=plan.key_metric, **settings)
        # the recipe adds FLARE's selector and aggregator, and the server does their work
        for unused in ("model_selector", "aggregator"):
            self._job._deploy_map["server"].app_config.components.pop(unused, None)

    def _create_controller(self, persistor_id: str, model_params: Any, model_aggregator: Any) -> FederationController:
        return FederationController(persistor_id=persistor_id, **self._own)


def build_recipe(experiment: Experiment, entries: Entries, code: str) -> FederationRecipe:
    """The recipe of an experiment, to be exported in a folder that holds :data:`CODE_OF_JOB`.

    Args:
        entries: those of the task's network that sites share.
        code: the fingerprint of the code that the job is made with.
    """
    training, speed, faults = experiment.training, experiment.performance, experiment.faults
    plan = ServerPlan.of(experiment, entries)
    recipe = FederationRecipe(
        name=experiment.job_name,
        model_persistor=FirstWeights(code),
        train_script=CLIENT_SCRIPT,
        plan=plan,
        run_id=experiment.run_id,
        poll_s=speed.poll_s,
    )
    heartbeat = Heartbeat(faults.heartbeat_every_s, faults.spares(training.n_clients))
    recipe._job.to_clients(heartbeat, id="heartbeat")
    for path in CODE_OF_JOB:
        recipe.add_client_file(path)
    if speed.poll_s:
        recipe.add_server_config({"server": {"task_request_interval": TIMING.task_wait_factor * speed.poll_s}})
    recipe._job.to_server(curves_receiver(plan), id="receiver")
    if training.cross_site:
        add_cross_site(recipe, global_model=experiment.algorithm.has_global_model, timeout_s=faults.round_timeout)
    return recipe
