"""FLARE's recipes with this project's controller and model selector in the places of FLARE's own."""

from collections.abc import Mapping
from typing import Any

from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.app_opt.pt.recipes.fedprox import FedProxRecipe

from fedmed.environments.flare.controller import GuardedFedAvg
from fedmed.environments.flare.model_selector import WeightedSelector

FLARES_OWN_S = 0.5
"""How often FLARE's controllers look for results when nothing else is said."""


class _Guarded(FedAvgRecipe):
    def __init__(self, *, own: Mapping[str, Any], poll_s: float, **settings: Any) -> None:
        """Args: own: what this project's controller takes beside FLARE's."""
        self._own: dict[str, Any] = {**own, "task_check_period": poll_s or FLARES_OWN_S}
        super().__init__(**settings)
        # the recipe adds FLARE's selector and has no argument for another
        server = self._job._deploy_map["server"].app_config
        server.components["model_selector"] = WeightedSelector(key_metric=self.key_metric)

    def _create_controller(self, persistor_id: str, model_params: Any, model_aggregator: Any) -> GuardedFedAvg:
        return GuardedFedAvg(
            num_clients=self.min_clients,
            num_rounds=self.num_rounds,
            persistor_id=persistor_id,
            aggregator=model_aggregator,
            **self._own,
            **self._get_controller_kwargs(),
        )


class GuardedFedAvgRecipe(_Guarded):
    """FedAvg that refuses unusable updates, sums in site order and scores the last model too."""


class GuardedFedProxRecipe(_Guarded, FedProxRecipe):
    """The same for FedProx."""
