"""FLARE's aggregator component round the plain aggregation of a round."""

from collections.abc import Mapping, Sequence
from typing import Any

from nvflare.apis.fl_constant import FLMetaKey
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator

from fedmed.core.entries import Entries
from fedmed.core.names import EXTRAS, TRAINING_CASES
from fedmed.core.registry import rebuilt
from fedmed.server.aggregation import Aggregation


class GuardedAggregator(ModelAggregator):
    """Hands the sites' results to :class:`fedmed.server.aggregation.Aggregation`, which decides.

    Args:
        algorithm: the algorithm's name and options, as in the experiment file.
        entries: the entries of the model by kind, as :meth:`fedmed.core.entries.Entries.plain` describes them.
        num_rounds: of the run.
        num_sites: of the run.
        max_update_ratio: largest allowed ratio of an update's norm to the median of the other sites'; 0 is no limit.
    """

    def __init__(
        self,
        algorithm: dict[str, Any],
        entries: Mapping[str, Sequence[str]],
        num_rounds: int,
        num_sites: int,
        max_update_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        self.algorithm = algorithm
        self.entries = dict(entries)
        self.num_rounds = num_rounds
        self.num_sites = num_sites
        self.max_update_ratio = max_update_ratio
        self.aggregation = Aggregation(
            rebuilt("algorithm", algorithm), Entries.from_plain(entries), num_rounds, num_sites, max_update_ratio
        )

    def reset_stats(self) -> None:
        self.aggregation.begin({})

    def accept_model(self, model: FLModel) -> None:
        """Take a site's result.

        Raises:
            ValueError: it cannot be used; FLARE then goes on without it.
        """
        site, meta = model.meta["client_name"], model.meta
        if model.params_type != ParamsType.DIFF:
            self.aggregation.refuse(site, f"it holds {model.params_type} parameters; expected weight differences")
            raise ValueError(f"The update of {site} is refused: {self.aggregation.refused[site]}.")
        steps, cases = meta.get(FLMetaKey.NUM_STEPS_CURRENT_ROUND), meta.get(TRAINING_CASES)
        self.aggregation.add(site, model.params, steps, cases, meta.get(EXTRAS) or {})

    def aggregate_model(self) -> FLModel:
        """The update of the global model.

        Raises:
            RuntimeError: no site's update was accepted.
        """
        return FLModel(params=self.aggregation.combined(), params_type=ParamsType.DIFF)
