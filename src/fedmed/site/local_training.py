"""A site's side of a round, without a transport: score the model that a round begins with, and train it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from monai.utils import convert_to_tensor
from torch import nn
from torch.utils.data import Dataset

from fedmed.algorithms.base import Extras, SiteSetup, SiteSide
from fedmed.core.entries import only
from fedmed.core.errors import InputError
from fedmed.core.names import STATE
from fedmed.core.precision import autocast
from fedmed.core.site_folder import site_folder
from fedmed.core.site_scores import CASES, EPOCHS, PERSONAL, SECONDS, TRAINED, VALUES
from fedmed.core.weights import Weights
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.audit.duplicates_exchange import Share, answer, key_of_this_site, order_of
from fedmed.data.audit.finding import refuse_errors
from fedmed.data.datalist import datalist_path, open_datalist
from fedmed.data.prepared.seeded_order import seeded_batches
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import Entry
from fedmed.privacy.patient_spending import patient_spending
from fedmed.privacy.policy import enforce
from fedmed.site.best_epoch import BestEpoch
from fedmed.site.epoch_figures import LOSS, Step, epoch_figures
from fedmed.site.measured_statistics import batches_of, measure_statistics
from fedmed.site.personal_model import PersonalModel, keepers
from fedmed.site.site_state import SiteState
from fedmed.site.state_memory import StateMemory
from fedmed.site.still_layers import hold_still
from fedmed.site.unshared_part import UnsharedPart
from fedmed.site.workbench import Workbench
from fedmed.tasks.base import LabelFlips


@dataclass(frozen=True)
class Trained:
    """The outcome of a round of local training.

    Attributes:
        steps: of the optimiser, all that were made.
        epochs: each epoch's figures by name, of its training and, where it was validated, of the model after it.
        seconds: the duration.
        entry: of the privacy ledger, where a mechanism acts while training.
        sent_epoch: the epoch, from 1, whose weights are the round's; None where they are the last one's as always.
    """

    steps: int
    epochs: tuple[Mapping[str, float], ...]
    seconds: float = 0.0
    entry: Entry | None = None
    sent_epoch: int | None = None

    @property
    def epoch_losses(self) -> tuple[float, ...]:
        """Each epoch's mean loss over its steps."""
        return tuple(epoch[LOSS] for epoch in self.epochs)

    def report(self) -> dict[str, Any]:
        """Metrics of the round: the last epoch's training, every epoch's figures, and the time."""
        last = {name: value for name, value in self.epochs[-1].items() if name in TRAINED}
        sent = {} if self.sent_epoch is None else {"sent_epoch": self.sent_epoch}
        beside = {LOSS + VALUES: self.steps, "train_seconds": self.seconds, **sent}
        return {**last, **beside, EPOCHS: [dict(epoch) for epoch in self.epochs]}


class LocalSite:
    """A site's cases, and the model and optimiser with which it trains on them.

    Args:
        job_id: by what the run is known here, as a part of paths.
        keep_state: whether what the next round needs is kept on disk too, for another process.
        bench: the model and optimiser, where sites take turns with them; None makes them.
        memory: holds what the next round needs, where sites take turns.
        clock: seconds from some moment on, for the report of how long scoring and training took.

    Raises:
        InputError: the site's datalist, a file that it names or its cache folder cannot be used, this machine cannot
            train in the arithmetic asked for, or the job's privacy does not suit the site's patients or its policy.
    """

    def __init__(
        self,
        experiment: Experiment,
        site: str,
        job_id: str = "job",
        *,
        keep_state: bool = True,
        bench: Workbench | None = None,
        memory: StateMemory | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.experiment, self.site, self.job_id = experiment, site, job_id
        self._clock = clock
        self.task, self.training = experiment.task, experiment.training
        self.bench = bench or Workbench(experiment)
        self.device, self.model, self.optimizer = self.bench.device, self.bench.model, self.bench.optimizer
        self.loss = self.bench.loss
        dataset, lists = experiment.data.resolved()
        self._datalist = open_datalist(datalist_path(lists, site), dataset)
        patients = [self.task.patient_of(case) for case in self._datalist.training]
        experiment.privacy.check_data(experiment, {site: len(set(patients))})
        enforce(experiment, site, len(set(patients)))
        self._caching, speed = experiment.caching(self.device), experiment.performance
        book = FactsBook(self._caching.disk)
        self.audit = self.task.audit(site, self._datalist, self.training.allow_overlap, book=book)
        refuse_errors(self.audit.findings, f"the data of {site}")
        one_by_one = experiment.privacy.UNIT == "patient"
        items = self.task.train_set_by_patient if one_by_one else self.task.train_set
        train_set = items(self._datalist, self._caching)
        batch_size = 1 if one_by_one else self.training.batch_size
        share = min(1.0, self.training.aggregation_epochs)
        weights = None if one_by_one else self.task.sampling_weights(train_set)
        made = seeded_batches(train_set, batch_size, speed.num_workers, share=share, weights=weights)  # type: ignore[arg-type]
        self.order, self.batches = made
        self._eval_sets: dict[Share | None, Dataset[Any]] = {}
        algorithm = experiment.algorithm
        self.parts = algorithm.parts(self.model)
        setup = SiteSetup(self.model, self.optimizer, self.training.learning_rate, len(self._datalist.training))
        self.side: SiteSide = algorithm.site(setup)
        self.fresh_optimizer = False  # of a site that goes on without the optimiser's state of its earlier process
        self.own: Weights | None = None  # the weights after the last local training, whatever was loaded since
        folder = site_folder(site, job_id)
        self._own_models, self.personal = keepers(algorithm, folder)
        self._state = SiteState(folder / STATE, memory) if keep_state else None
        not_sent = only(self.model.state_dict(), self.parts.unshared)
        self.unshared = UnsharedPart(not_sent, folder / STATE if keep_state else None)
        self._kept: Mapping[str, Any] = {}  # what the state on disk holds
        self.on_step: Callable[[int, int], None] | None = None  # gets the steps of the round so far, and of all of it
        self._done = self._of = 0  # steps of the round so far, and of all of it
        self._rounds: int | None = None  # after how many the optimiser's state stands; None in a new process
        decide = ("training", "validation") if self.training.send == "best" else ("training",)
        self.spending = patient_spending(experiment, site, job_id, self.audit.images_of_patients(*decide))
        self.private = experiment.privacy.training(self, patients)

    def images(self) -> dict[str, list[str]]:
        """Keyed hashes of this site's images, by which the server finds those that another site has too."""
        return answer(self.audit, key_of_this_site(), self.training.allow_overlap)

    def begin(self, received: Weights, rounds: int) -> None:
        """Load the weights with which a round begins when the server sent ``received``: by the algorithm's choice.

        Args:
            received: the shared entries; those that are not sent are taken from :attr:`unshared`.
            rounds: how many rounds made what was sent.
        """
        self.take_up(rounds)
        own_entries = only(self.own or {}, self.parts.private.names)  # before the first training as at every site
        whole = {**self.unshared.weights, **received, **own_entries}
        self.load(self.side.starting_weights(whole, self.own))

    def take_up(self, rounds: int) -> None:
        """Be where this site stood after so many rounds: in an earlier process, or before a round was lost.

        At the beginning of a run that is nowhere, and a file says so: a site that is asked to train only later, by
        another process maybe, has lost nothing.
        """
        if self._rounds is None or self._rounds > rounds or self.bench.holder is not self:
            self._restore(rounds)

    def _restore(self, rounds: int) -> None:
        self._rounds, found = rounds, self._state.load(rounds) if self._state is not None else None
        self.bench.holder = self
        if found is None and rounds and self._needs_own_weights:
            raise InputError(
                f"{self.site} keeps nothing of its own model after round {rounds}, with which it would go on; "
                "restore its state, or start a new run."
            )
        self.side = self.experiment.algorithm.site(self.side.setup)  # a lost round must leave nothing in it
        if found is None:
            self.bench.clear_optimizer()
            self.own, self.fresh_optimizer = None, rounds > 0
        else:
            _, content = found
            self.optimizer.load_state_dict(content["optimizer"])
            self.own = content["own"]
            self.side.restore(content.get("algorithm", {}))
        self._restore_own_models({} if found is None else found[1])
        if found is None and not rounds:
            self._save_state(0)

    def _restore_own_models(self, content: Mapping[str, Any]) -> None:
        """Let the site's own models be those of a state; of an empty one, those of a beginning."""
        if self._own_models is not None:
            self._own_models.best = content.get("best", -math.inf)
        if self.personal is not None:
            self.personal.restore(content.get("personal", {}))

    @property
    def _needs_own_weights(self) -> bool:
        """True where this site goes on with weights that the server does not have."""
        return self._own_models is not None or bool(self.parts.private.names)

    def _save_state(self, rounds: int) -> None:
        """Keep what the next round needs if another process runs it; whole models only where the run needs them."""
        self._rounds, self.bench.holder = rounds, self
        if self._state is None:
            return
        begins_with_own = self._needs_own_weights and self.personal is None
        content = {
            "optimizer": self.optimizer.state_dict(),
            "own": self.own if begins_with_own or self.training.cross_site else None,
            "best": -math.inf if self._own_models is None else self._own_models.best,
            "algorithm": self.side.state(),
            **({} if self.personal is None else {"personal": self.personal.state()}),
        }
        self._state.save(rounds, content)
        self._kept = content

    def park(self) -> None:
        """Let go of the memory that the round took, before another site takes its turn."""
        if self._state is not None and self._rounds is not None and self._kept:
            self._state.hold(self._rounds, self._kept)
            self._kept, self.own = {}, None
            if self.personal is not None:
                self.personal.restore({})
            self.side = self.experiment.algorithm.site(self.side.setup)
        self.unshared.park()
        self._rounds = None

    def book_patients(self, number: int) -> None:
        """Enter a round (counted from 1) in the site's ledger over all jobs, where there is one, before it is trained.

        Raises:
            InputError: the ledger or the policy's budget does not allow it.
        """
        if self.spending is not None:
            self.spending.book(number)

    def take_notes(self) -> dict[str, float]:
        """Facts of this process that the server reports once: a new optimiser in the middle of a run."""
        fresh, self.fresh_optimizer = self.fresh_optimizer, False
        return {"fresh_optimizer": 1} if fresh else {}

    def forget(self) -> None:
        """Remove the state that further rounds would need, but for own models that are still needed."""
        if self._state is not None and not self._needs_own_weights and not self.training.cross_site:
            self.unshared.forget()
            self._state.forget()

    def end_run(self) -> None:
        """Keep the site's own last model as it was scored, and forget what is not needed.

        That is the personal model where there is one, else what the run's last question has loaded: its shared entries
        are the mean of the sites' and no longer this site's alone.
        """
        if self.personal is not None:
            self.personal.keep()
        elif self._own_models is not None and self.own is not None:
            self._own_models.keep(self.weights())
        self.forget()

    def load(self, params: Weights) -> None:
        """Take over a model's weights."""
        self.model.load_state_dict({name: torch.as_tensor(values) for name, values in params.items()})

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the weights on the CPU."""
        weights = {name: values.detach().cpu() for name, values in self.model.state_dict().items()}
        return {name: values.clone(memory_format=torch.contiguous_format) for name, values in weights.items()}

    @property
    def frozen(self) -> list[str]:
        """The names of the parameters that do not train in the round that was begun last."""
        return [name for name, parameter in self.model.named_parameters() if not parameter.requires_grad]

    def measured_statistics(self, received: Weights, rounds: int) -> dict[str, np.ndarray]:
        """The differences of the loaded model's running statistics on this site's training cases to what was sent.

        Args:
            rounds: how many rounds made the model.
        """
        self._restart(rounds)
        images = (convert_to_tensor(batch["image"], track_meta=False, device=self.device) for batch in self.batches)
        with autocast(self.training.precision, self.device):
            measured = islice(images, batches_of(self.training.batch_size))
            measure_statistics(self.model, measured, lambda model: self._into_training(model, rounds))
        found = only(self.weights(), self.parts.shared.statistics)
        return {name: np.asarray(values.numpy() - received[name].numpy()) for name, values in found.items()}

    def outgoing(self, received: Weights) -> Weights:
        """The shared weights that this site answers after its training, by the algorithm's choice."""
        return only(self.side.outgoing(self.own_model(), received), self.parts.shared.names)

    def update(self, received: Weights) -> dict[str, np.ndarray]:
        """The differences of :meth:`outgoing` to what the server sent, in the model's own types."""
        sent = self.outgoing(received)
        return {name: np.asarray(values.numpy() - received[name].numpy()) for name, values in sent.items()}

    def extras(self) -> Extras:
        """The arrays that the algorithm sends beside the update.

        Raises:
            InputError: there are some, and the algorithm declares none, so that no privacy mechanism was asked.
        """
        extras, algorithm = self.side.extras(), self.experiment.algorithm
        if extras and not algorithm.SENDS_EXTRAS:
            raise InputError(
                f"--algorithm {algorithm.name} sends {', '.join(sorted(extras))} beside the update without declaring "
                "it; name it in SENDS_EXTRAS."
            )
        return extras

    def own_model(self) -> Weights:
        """The weights after the last local training.

        Raises:
            InputError: there was none in this process.
        """
        if self.own is None:
            raise InputError(f"{self.site} has trained no model of its own yet; expected a round of training before.")
        return self.own

    def own_model_after(self, rounds: int) -> Weights:
        """The weights after the site's last training of the first ``rounds`` rounds, where sites take turns.

        Raises:
            InputError: it has none.
        """
        self.take_up(rounds)
        return self.own_model()

    def score(self, shares: Mapping[str, Share] | None = None) -> dict[str, float]:
        """:meth:`evaluate` for what a round begins with, and the personal model's key figure beside it.

        The best of the site's own models is kept: of the personal ones, or else of those that rounds begin with.
        """
        metrics = self.evaluate(shares)
        if self.personal is not None:
            return self._with_personal_score(metrics, self.personal)
        if self._own_models is not None and self.own is not None:
            self._own_models.keep_if_best(self.weights(), metrics.get(self.task.KEY_METRIC))
        return metrics

    def _with_personal_score(self, metrics: dict[str, float], personal: PersonalModel) -> dict[str, float]:
        """The figures with the personal model's on all of this site's validation cases; the network is left as it was.

        Before the first training there is none.
        """
        if personal.weights is None:
            return metrics
        loaded = self.weights()
        self.load(personal.weights)
        found = self.evaluate()
        self.load(loaded)
        score = found.get(self.task.KEY_METRIC)
        personal.keep_if_best(score)
        known = {} if score is None else {PERSONAL: score}
        return {**metrics, **known, SECONDS: metrics[SECONDS] + found[SECONDS]}

    def evaluate(self, shares: Mapping[str, Share] | None = None) -> dict[str, float]:
        """The task's metrics on this site's validation cases; no name of a case is among them.

        Args:
            shares: where sites share the work of scoring the cases that they all list, each site's part.
        """
        started = self._clock()
        cases = self._eval_set((shares or {}).get(self.site))
        self.model.eval()
        with torch.inference_mode(), autocast(self.training.precision, self.device):
            metrics = self.task.metrics(self.task.evaluate(self.model, cases, self.device))
        return {**metrics, CASES: len(cases), SECONDS: self._clock() - started}  # type: ignore[arg-type]

    def train(self, rounds: int, message: Extras | None = None, rate_factor: float = 1.0) -> Trained:
        """Train for the local epochs of one round, from the weights in ``self.model``.

        Args:
            rounds: how many rounds made those weights.
            message: the arrays that the algorithm's server side sent.
            rate_factor: the share of each learning rate with which this round trains.
        """
        started = self._clock()
        self._done, self._of = 0, self._steps * (1 if self.personal is None else 2)
        if self.personal is not None:
            self._train_personal(self.personal, rounds, rate_factor)
        self._restart(rounds)
        self.bench.scale_rates(rate_factor)
        self.side.setup.learning_rate = self.training.learning_rate * rate_factor
        self._into_training(self.model, rounds + 1)
        self.side.start_round(message or {})  # which may hold layers in eval mode
        trained = self._epochs(rounds + 1)
        self.side.end_round(trained.steps)
        self.own = self.weights()
        if self._own_models is not None and self.personal is None:
            self._own_models.keep(self.own)
        self._save_state(rounds + 1)
        return replace(trained, seconds=self._clock() - started)

    @property
    def _steps(self) -> int:
        """The steps of the optimiser in one model's round."""
        return len(self.batches) * self.training.passes

    def _train_personal(self, personal: PersonalModel, rounds: int, rate_factor: float) -> None:
        """Train the personal model for a round; the network and its optimiser are left as they were.

        The model that the round begins with is in the network: what the personal one is pulled to, and begins as.
        """
        loaded, side = self.weights(), self.experiment.algorithm.personal(self.side.setup)
        side.start_round({})
        self.load(personal.weights or loaded)
        with personal.optimizing(self.bench):
            self._restart(rounds)  # the same batches: without any pull it is trained as the site alone would
            self.bench.scale_rates(rate_factor)
            self._into_training(self.model, rounds + 1)
            for _ in range(self.training.passes):
                self._epoch(side)
        personal.take(self.weights())
        self.load(loaded)

    def _into_training(self, model: nn.Module, number: int) -> None:
        """Put the model into training mode for round ``number``, from 1, but for the part that is frozen."""
        self.task.into_training(model, number)
        hold_still(model, self.parts.frozen.names)

    def _epochs(self, number: int) -> Trained:
        """Train round ``number``, from 1, after which the weights that are sent are in the model."""
        if self.private is not None:
            steps, loss, entry = self.private.round(number)
            return Trained(steps, ({LOSS: loss},), entry=entry)
        epochs = self.training.passes
        if self.training.send == "best":
            return self._best_of(epochs)
        return Trained(self._steps, tuple(self._epoch(self.side) for _ in range(epochs)))

    def _best_of(self, epochs: int) -> Trained:
        """Train so many epochs, score each, and go back to the one that scored best; the last one where none scored."""
        figures, best = list[Mapping[str, float]](), BestEpoch()
        for number in range(1, epochs + 1):
            trained, scores = self._epoch(self.side), self._validated()
            figures.append({**trained, **scores})
            best.offer(number, scores.get(self.task.KEY_METRIC), self.weights)
        if best.number is not None:
            self.load(best.weights)
        return Trained(self._steps, tuple(figures), sent_epoch=best.number or epochs)

    def _validated(self) -> dict[str, float]:
        """The figures over all targets of the model in training, on all validation cases; none where it has diverged.

        The training goes on as if nothing had been: every layer is in the mode in which it was, and no random number
        is drawn from those of the steps.
        """
        if not all(torch.isfinite(values).all() for values in self.model.state_dict().values()):
            return {}
        modes = [(layer, layer.training) for layer in self.model.modules()]
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            metrics = self.evaluate()
        for layer, training in modes:
            layer.training = training
        return {name: metrics[name] for metric in self.task.METRICS if (name := metric.reported) in metrics}

    def _restart(self, round_number: int) -> None:
        """Seed everything random in a round from seed, site and round alone."""
        batches, dropout = site_seeds(self.training.seed, self.site, round_number)
        torch.manual_seed(dropout)
        self.order.restart(batches)

    def _epoch(self, side: SiteSide) -> dict[str, float]:
        return epoch_figures([self._step(batch, side) for batch in self.batches])

    def _tensor(self, values: torch.Tensor) -> torch.Tensor:
        """Without MONAI's metadata, which would slow down every operation of the network."""
        plain: torch.Tensor = convert_to_tensor(values, track_meta=False, device=self.device)
        return plain

    def _step(self, batch: Mapping[str, torch.Tensor], side: SiteSide) -> Step:
        output, label = self._forward(batch)
        loss = self.loss(output, label)
        self.optimizer.zero_grad()
        (loss + side.penalty()).backward()
        self.optimizer.step()
        side.after_step()
        self._done += 1
        if self.on_step is not None:
            self.on_step(self._done, self._of)
        return Step(loss.detach(), self.task.train_figures(output.detach(), label), len(label))

    def loss_of(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """The task's loss on a batch of ``image`` (B, C, ...) and ``label``, a scalar; a step adds the penalty."""
        loss: torch.Tensor = self.loss(*self._forward(batch))
        return loss

    def _forward(self, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's output on a batch, in float32, and the batch's label."""
        image, label = self._tensor(batch["image"]), self._labels(self._tensor(batch["label"]))
        with autocast(self.training.precision, self.device):
            output = self.model(image)
        return output.float(), label

    def _labels(self, label: torch.Tensor) -> torch.Tensor:
        """The labels of a training batch, flipped where this site attacks by that."""
        attack = self.experiment.attack
        if attack.attack != "label_flip" or self.site not in attack.sites:
            return label
        assert isinstance(self.task, LabelFlips)  # as the experiment has checked
        return self.task.flipped_labels(label)

    def _eval_set(self, share: Share | None) -> Dataset[Any]:
        """The validation cases, or this site's share of them, made when they are first asked for."""
        if share not in self._eval_sets:
            cases = self._datalist.validation
            if share is not None:
                cases = tuple(cases[place] for place in order_of(self.audit)[share[0] :: share[1]])
            scored = self.task.scored(cases)
            self._eval_sets[share] = self.task.eval_set(scored, self._datalist.label_scheme, self._caching)
        return self._eval_sets[share]


def site_seeds(seed: int, site: str, round_number: int) -> tuple[int, int]:
    """Two independent 32-bit seeds, the same in every process that asks for the same site and round."""
    sequence = np.random.SeedSequence([seed, round_number, *site.encode()])
    first, second = (int(value) for value in sequence.generate_state(2))
    return first, second
