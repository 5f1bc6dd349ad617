"""A site's rounds by DP-SGD, one patient's gradient at a time, so that memory is that of ordinary training.

The gradient of the mean loss over all of a patient's items is that patient's gradient, whatever the layers; Opacus's
optimiser clips it, adds up a step's patients, and adds the noise once. Its hooks into layers, which hold a gradient a
sample and layer, are not needed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fedmed.data.prepared.seeded_order import SeededItem
from fedmed.privacy import noise
from fedmed.privacy.base import LocalTrainer, ReleaseContext, Released
from fedmed.privacy.booking import booked, refuse_beyond_budget
from fedmed.privacy.formal import FormalMechanism
from fedmed.privacy.ledger import Entry, open_site_ledger, site_ledger

if TYPE_CHECKING:
    from opacus.optimizers import DPOptimizer


class PatientLevelTraining:
    """Rounds of one site; its ledger, with one accountant for all rounds, lies on disk and is gone on with.

    Raises:
        InputError: the ledger that lies there cannot be used.
    """

    def __init__(self, mechanism: FormalMechanism, clip: float, trainer: LocalTrainer, patients: Sequence[str]) -> None:
        self.mechanism, self.clip, self.trainer = mechanism, clip, trainer
        self.names = sorted(set(patients))
        self.items = [[item for item, patient in enumerate(patients) if patient == name] for name in self.names]
        self.rate, self.steps = mechanism.sampling(trainer.experiment, len(self.names))
        self.noise_multiplier = mechanism.noise_multiplier(trainer.experiment, len(self.names))
        self.ledger = open_site_ledger(trainer.site, trainer.job_id, mechanism.document())

    def round(self, number: int) -> tuple[int, float, Entry]:
        """One round (counted from 1). The ledger is on disk before the update can be sent.

        Raises:
            InputError: the round would exceed the budget, or the ledger cannot be used or is missing.
        """
        site, job = self.trainer.site, self.trainer.job_id
        self.ledger = open_site_ledger(site, job, self.mechanism.document(), begins=number == 1)
        spent = self.mechanism.spend(self.ledger, self.noise_multiplier, self.rate, self.steps)
        refuse_beyond_budget(spent.total, self.mechanism, number)
        seed = self.trainer.training.seed if self.mechanism.insecure_seeded_noise else None
        optimizer = self._optimizer(noise.generator(self.trainer.site, number, seed))
        samples = self._samples(noise.generator(self.trainer.site, number, seed, "samples"))
        places = [self._places(seed, number, step, sample) for step, sample in enumerate(samples)]
        self.trainer.order.follow([place for of_step in places for of_patient in of_step for place in of_patient])
        coming, seen, losses = iter(self.trainer.batches), _GradientRecord(self.clip), []
        for of_step in places:
            losses += [self._add_patient(optimizer, coming, of_patient, seen) for of_patient in of_step]
            self._step(optimizer, seen)
        entry = self._book(Released({}, spent, self._facts(), seen.diagnostics()), number)
        return self.steps, float(np.mean(losses)) if losses else math.nan, entry

    def _samples(self, source: np.random.Generator) -> list[list[int]]:
        """For each step the patients in it, each with the same probability and independently of the others."""
        chosen = source.random((self.steps, len(self.items))) < self.rate
        return [np.flatnonzero(row).tolist() for row in chosen]

    def _places(self, seed: int | None, number: int, step: int, sample: Sequence[int]) -> list[list[SeededItem]]:
        """Items of each patient, and what their crops and dropout follow from.

        That must not depend on who else was sampled, or one patient's presence would change the others' gradients and
        the sensitivity would not be the clip.
        """
        site = self.trainer.site
        return [
            [
                SeededItem(item, noise.item_seed(seed, site, number, step, self.names[patient], place))
                for place, item in enumerate(self.items[patient])
            ]
            for patient in sample
        ]

    def _optimizer(self, source: np.random.Generator) -> "DPOptimizer":
        clip = self.clip

        def draw(shape: tuple[int, ...]) -> np.ndarray:
            std = self.noise_multiplier * clip
            return noise.secure_normal(shape, std) if self.mechanism.dp_secure_noise else source.normal(0, std, shape)

        kind = _optimizer_with_noise_of(draw)
        batch = self.trainer.training.batch_size
        multiplier = self.noise_multiplier
        optimizer: DPOptimizer = kind(
            self.trainer.optimizer, noise_multiplier=multiplier, max_grad_norm=clip, expected_batch_size=batch
        )
        return optimizer

    def _add_patient(
        self, optimizer: "DPOptimizer", coming: Iterator[Any], places: Sequence[SeededItem], seen: "_GradientRecord"
    ) -> float:
        """Clip one patient's gradient and add it to the step's; one that is not finite counts as zero."""
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for place in places:
            torch.manual_seed(place.seed)  # of dropout
            loss = self.trainer.loss_of(next(coming))
            ((loss + self.trainer.side.penalty()) / len(places)).backward()
            total += float(loss.detach()) / len(places)
        for parameter in optimizer.params:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad_sample = gradient.detach()[None].clone()
        seen.patient(optimizer.params)
        optimizer.signal_skip_step()
        optimizer.step()
        return total

    def _step(self, optimizer: "DPOptimizer", seen: "_GradientRecord") -> None:
        """Add the noise and take the step; a sample without any patient is noise alone."""
        optimizer.zero_grad(set_to_none=True)
        for parameter in optimizer.params:
            parameter.grad_sample = torch.zeros((0, *parameter.shape), device=parameter.device)
        optimizer.attach_step_hook(seen.step)
        optimizer.step()
        self.trainer.side.after_step()
        for parameter in optimizer.params:
            parameter.grad_sample = parameter.summed_grad = None

    def _facts(self) -> dict[str, Any]:
        return {
            "noise_multiplier": self.noise_multiplier,
            "max_grad_norm": self.clip,
            "sample_rate": self.rate,
            "steps": self.steps,
        }

    def _book(self, released: Released, number: int) -> Entry:
        context = ReleaseContext(self.trainer.site, number, self.steps, self.trainer.training.seed)
        entry = booked(released, context, self.ledger, self.mechanism, sorted(self.trainer.parts.shared.counters))
        self.ledger.save(site_ledger(self.trainer.site, self.trainer.job_id))
        return entry


class _GradientRecord:
    """Clipping, cosine and signal-to-noise of a round's gradients; depends on the patients and stays at the site."""

    def __init__(self, clip: float) -> None:
        self.clip = clip
        self.clipped: list[bool] = []
        self.not_finite = 0
        self.cosines: list[float] = []
        self.ratios: list[float] = []

    def patient(self, parameters: Sequence[Any]) -> None:
        norm = torch.stack([parameter.grad_sample.norm() for parameter in parameters]).norm()
        if not torch.isfinite(norm):
            self.not_finite += 1
            for parameter in parameters:
                parameter.grad_sample = torch.zeros_like(parameter.grad_sample)
        self.clipped.append(bool(norm > self.clip))

    def step(self, optimizer: "DPOptimizer") -> None:
        """After the noise: how much of the gradient is left in it."""
        signal = torch.cat([p.summed_grad.flatten() for p in optimizer.params])
        sent = torch.cat([p.grad.flatten() for p in optimizer.params]) * optimizer.expected_batch_size
        change = (sent - signal).norm()
        self.ratios.append(float(signal.norm() / change) if change > 0 else math.inf)
        self.cosines.append(float(torch.nn.functional.cosine_similarity(signal, sent, dim=0)))

    def diagnostics(self) -> dict[str, float]:
        return {
            "clip_fraction": float(np.mean(self.clipped)) if self.clipped else math.nan,
            "signal_to_noise": float(np.mean(self.ratios)),
            "cosine": float(np.mean(self.cosines)),
            "not_finite": self.not_finite,
        }


def _optimizer_with_noise_of(draw: Callable[[tuple[int, ...]], np.ndarray]) -> Any:
    """Opacus's optimiser, with noise from ``draw``, which is added in float64 before the sum is rounded.

    PyTorch's own generator on CPUs has but 32 bits of a seed.
    """
    from opacus.optimizers import DPOptimizer

    class Noisy(DPOptimizer):
        def add_noise(self) -> None:
            for p in self.params:
                drawn = torch.from_numpy(np.asarray(draw(tuple(p.shape)), np.float64)).to(p.summed_grad.device)
                p.grad = (p.summed_grad.double() + drawn).to(p.dtype).view_as(p)

    return Noisy
