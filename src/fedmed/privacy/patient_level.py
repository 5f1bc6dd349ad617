"""A site's rounds by DP-SGD, one patient's gradient at a time, so that memory is that of ordinary training.

The gradient of the mean loss over all of a patient's items is that patient's gradient, whatever the layers; Opacus's
optimiser clips it, adds up a step's patients, and adds the noise once. Its hooks into layers, which hold a gradient a
sample and layer, are not needed.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from fedmed.errors import InputError
from fedmed.privacy import noise
from fedmed.privacy.base import Occasion, Released
from fedmed.privacy.filter import booked
from fedmed.privacy.ledger import Entry, open_site_ledger, site_ledger

if TYPE_CHECKING:
    from opacus.optimizers import DPOptimizer

    from fedmed.local import LocalSite
    from fedmed.privacy.dpsgd import DPSGD


class PatientLevelTraining:
    """Rounds of one site; its ledger, with one accountant for all rounds, lies on disk and is gone on with.

    Raises:
        InputError: the ledger that lies there cannot be used, or the site has too few patients.
    """

    def __init__(self, mechanism: "DPSGD", site: "LocalSite", patients: Sequence[str]) -> None:
        self.mechanism, self.site = mechanism, site
        names = sorted(set(patients))
        mechanism.check_data(site.experiment, {site.site: len(names)})
        self.items = [[item for item, patient in enumerate(patients) if patient == name] for name in names]
        self.rate, self.steps = mechanism.sampling(site.experiment, len(names))
        self.noise_multiplier = mechanism.noise_multiplier(site.experiment, len(names))
        self.ledger = open_site_ledger(site.site, site.job_id, mechanism.document())

    def round(self, number: int) -> tuple[int, float, Entry]:
        """One round (counted from 1). The ledger is on disk before the update can be sent."""
        mechanism, site = self.mechanism, self.site
        seed = site.training.seed if mechanism.insecure_seeded_noise else None
        optimizer = self._optimizer(noise.torch_generator(site.site, number, seed, site.device))
        samples = self._samples(noise.generator(site.site, number, seed))
        site.order.follow([item for sample in samples for patient in sample for item in self.items[patient]])
        coming, facts, losses = iter(site.batches), _Seen(mechanism.dp_max_grad_norm), []
        for sample in samples:
            losses += [self._add_patient(optimizer, coming, len(self.items[patient]), facts) for patient in sample]
            self._step(optimizer, facts)
        spent = mechanism.spend(self.ledger, self.noise_multiplier, self.rate, self.steps)
        entry = self._book(Released({}, spent, self._facts(), facts.diagnostics()), number)
        return self.steps, float(np.mean(losses)) if losses else math.nan, entry

    def _samples(self, source: np.random.Generator) -> list[list[int]]:
        """For each step the patients in it, each with the same probability and independently of the others."""
        chosen = source.random((self.steps, len(self.items))) < self.rate
        return [np.flatnonzero(row).tolist() for row in chosen]

    def _optimizer(self, generator: torch.Generator) -> "DPOptimizer":
        from opacus.optimizers import DPOptimizer

        training = self.site.training
        kind = _secure_optimizer() if self.mechanism.dp_secure_noise else DPOptimizer
        return kind(
            self.site.optimizer,
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=self.mechanism.dp_max_grad_norm,
            expected_batch_size=training.batch_size,
            generator=generator,
        )

    def _add_patient(self, optimizer: "DPOptimizer", coming: Iterator[Any], items: int, seen: "_Seen") -> float:
        """Clip one patient's gradient and add it to the step's."""
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(items):
            loss = self.site.loss_of(next(coming)) / items
            loss.backward()
            total += float(loss.detach())
        for parameter in optimizer.params:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad_sample = gradient.detach()[None].clone()
        seen.patient(optimizer.params)
        optimizer.signal_skip_step()
        optimizer.step()
        return total

    def _step(self, optimizer: "DPOptimizer", seen: "_Seen") -> None:
        """Add the noise and take the step; a sample without any patient is noise alone."""
        optimizer.zero_grad(set_to_none=True)
        for parameter in optimizer.params:
            parameter.grad_sample = torch.zeros((0, *parameter.shape), device=parameter.device)
        optimizer.attach_step_hook(seen.step)
        optimizer.step()
        self.site.hook.after_step(self.site.model)
        for parameter in optimizer.params:
            parameter.grad_sample = parameter.summed_grad = None

    def _facts(self) -> dict[str, Any]:
        return {
            "noise_multiplier": self.noise_multiplier,
            "max_grad_norm": self.mechanism.dp_max_grad_norm,
            "sample_rate": self.rate,
            "steps": self.steps,
        }

    def _book(self, released: Released, number: int) -> Entry:
        """Raises InputError where the budget would be exceeded: the site's update must not be sent then."""
        from nvflare.apis.filter import ContentBlockedException

        occasion = Occasion(self.site.site, number, self.steps, self.site.training.seed)
        try:
            entry = booked(released, occasion, self.ledger, self.mechanism, [])
        except ContentBlockedException as error:
            raise InputError(str(error)) from error
        self.ledger.save(site_ledger(self.site.site, self.site.job_id))
        return entry


class _Seen:
    """What a round's gradients were like; depends on the patients and stays at the site."""

    def __init__(self, clip: float) -> None:
        self.clip = clip
        self.clipped: list[bool] = []
        self.cosines: list[float] = []
        self.ratios: list[float] = []

    def patient(self, parameters: Sequence[nn.Parameter]) -> None:
        norm = torch.stack([p.grad_sample.norm() for p in parameters]).norm()  # type: ignore[attr-defined]
        if not torch.isfinite(norm):
            raise InputError("A patient's gradient is NaN or infinite; nothing of this round is sent.")
        self.clipped.append(bool(norm > self.clip))

    def step(self, optimizer: "DPOptimizer") -> None:
        """After the noise: how much of the gradient is left in it."""
        scale = optimizer.expected_batch_size
        signal = torch.cat([p.summed_grad.flatten() for p in optimizer.params])
        sent = torch.cat([p.grad.flatten() for p in optimizer.params]) * scale
        change = (sent - signal).norm()
        self.ratios.append(float(signal.norm() / change) if change > 0 else math.inf)
        self.cosines.append(float(torch.nn.functional.cosine_similarity(signal, sent, dim=0)))

    def diagnostics(self) -> dict[str, float]:
        return {
            "clip_fraction": float(np.mean(self.clipped)) if self.clipped else math.nan,
            "signal_to_noise": float(np.mean(self.ratios)),
            "cosine": float(np.mean(self.cosines)),
        }


def _secure_optimizer() -> Any:
    from opacus.optimizers import DPOptimizer

    class SecureOptimizer(DPOptimizer):
        """Opacus's, with noise from the operating system: its own secure mode needs an unmaintained package."""

        def add_noise(self) -> None:
            std = self.noise_multiplier * self.max_grad_norm
            for p in self.params:
                drawn = torch.from_numpy(noise.secure_normal(tuple(p.shape), std))
                p.grad = (p.summed_grad + drawn.to(p.summed_grad)).view_as(p)

    return SecureOptimizer
