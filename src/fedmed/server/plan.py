"""The server's part of an experiment: all that it must know of the run, as values that a job can carry."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fedmed.core.entries import Entries
from fedmed.core.options import to_plain
from fedmed.core.settings import PATIENCE, AggregationWeights
from fedmed.core.site_scores import FigureForm
from fedmed.experiment import Experiment


@dataclass(frozen=True)
class ServerPlan:
    """The plan of a run at the server.

    Attributes:
        task: the task's name and options, as in the experiment file.
        algorithm: the algorithm's.
        entries: those of the model that sites share, as :meth:`fedmed.core.entries.Entries.plain` describes them.
        sites: the names of the run's sites.
        rounds: of the run.
        key_metric: the metric that chooses the best model, as sites report it.
        aggregation_weights: as in :class:`fedmed.core.settings.Training`, and so are the next five.
        learning_rate, schedule, warmup_rounds, patience: for all sites.
        early_stopping: scores without a better one, after which the run ends; None where it does not.
        seed: of the experiment, for the draw of a round's sites.
        sites_per_round: how many sites train in a round; None where all do.
        epochs: local epochs of a round.
        validate_every: rounds from one validation to the next.
        measures_statistics: True where the sites measure the running statistics of each model that is scored.
        split_validation: True where sites that list the same validation cases share the work of scoring them.
        max_epsilon: the privacy budget of a site; the run stops before the round that would exceed it.
        books: True where each update must come with an entry for the privacy ledger.
        min_clients: as in :class:`fedmed.core.settings.Faults`.
        round_timeout: seconds; None is no limit.
        site_silence: seconds after which a site is lost; 0 where sites send no heartbeats.
        max_update_ratio: largest allowed ratio of an update's norm to the median of the other sites'; 0 is no limit.
        max_weight_ratio: largest ratio of a site's steps and counts, as they count, to the median of the other sites';
            0 is no limit.
        figures: by name the :class:`fedmed.core.site_scores.FigureForm` of each figure that a site may report.
        delta: at which each entry of a privacy ledger must state epsilon; None where the mechanism has none.
        attack: the options of :class:`fedmed.core.attack.Attack`.
    """

    task: Mapping[str, Any]
    algorithm: Mapping[str, Any]
    entries: Mapping[str, Sequence[str]]
    sites: Sequence[str]
    rounds: int
    key_metric: str
    aggregation_weights: AggregationWeights = "auto"
    learning_rate: float = 1.0
    schedule: str = "constant"
    warmup_rounds: int = 0
    patience: int = PATIENCE
    early_stopping: int | None = None
    seed: int = 0
    sites_per_round: int | None = None
    epochs: int = 1
    validate_every: int = 1
    measures_statistics: bool = False
    split_validation: bool = False
    max_epsilon: float | None = None
    books: bool = False
    min_clients: int | None = None
    round_timeout: int | None = None
    site_silence: float = 0.0
    max_update_ratio: float = 0.0
    max_weight_ratio: float = 0.0
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    delta: float | None = None
    attack: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, experiment: Experiment, entries: Entries) -> "ServerPlan":
        """The plan of an experiment whose sites share these entries of its network."""
        training, faults, mechanism = experiment.training, experiment.faults, experiment.privacy
        persistent = experiment.environment.processes_persist(experiment)
        return cls(
            task={"name": experiment.task.name, **to_plain(experiment.task)},
            algorithm={"name": experiment.algorithm.name, **to_plain(experiment.algorithm)},
            entries=entries.plain(),
            sites=training.sites,
            rounds=training.num_rounds,
            key_metric=experiment.task.KEY_METRIC,
            aggregation_weights=training.aggregation_weights,
            learning_rate=training.learning_rate,
            schedule=training.schedule,
            warmup_rounds=training.warmup_rounds,
            patience=training.patience_of_plateau,
            early_stopping=training.early_stopping,
            seed=training.seed,
            sites_per_round=training.sites_per_round,
            epochs=training.passes,
            validate_every=training.validate_every,
            measures_statistics=experiment.measures_statistics and bool(entries.statistics),
            split_validation=experiment.splits_validation,
            max_epsilon=mechanism.budget,
            books=mechanism.GUARANTEE != "none",
            min_clients=faults.min_clients,
            round_timeout=faults.round_timeout,
            site_silence=faults.site_silence if persistent else 0.0,
            max_update_ratio=faults.max_update_ratio,
            max_weight_ratio=faults.max_weight_ratio,
            figures={name: _plain(form) for name, form in experiment.task.figure_forms().items()},
            delta=getattr(mechanism, "dp_delta", None),
            attack=to_plain(experiment.attack),
        )

    @property
    def figure_forms(self) -> dict[str, FigureForm]:
        """The form of each figure of the task, by its name."""
        return {name: FigureForm(**{**plain, "sums": tuple(plain["sums"])}) for name, plain in self.figures.items()}

    def plain(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {**asdict(self), "sites": list(self.sites)}


def _plain(form: FigureForm) -> dict[str, Any]:
    return {**asdict(form), "sums": list(form.sums)}
