"""Site-level differential privacy: a site's whole update is clipped in L2 and gets Gaussian noise at the site."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from fedmed.core.errors import counted
from fedmed.core.options import expect_positive, option
from fedmed.core.plugin import ExperimentView
from fedmed.core.weights import l2_norm
from fedmed.privacy import noise
from fedmed.privacy.base import PrivateUpdate, ReleaseContext, Released
from fedmed.privacy.formal import FormalMechanism
from fedmed.privacy.ledger import Entry, Ledger, last_of_each
from fedmed.privacy.update_statistics import clipped, cosine, signal_to_noise

CLIP = "clip"
"""In the ledger's state: where adaptive clipping stands."""

_BIT_NOISE = 3.0
"""The noise of the clipped-or-not bit, in noise multipliers; the update's own noise grows by 6 % to pay for it."""

_RATE, _QUANTILE = 0.05, 0.5
_ROOM = 10.0
"""Largest factor by which an adaptive clip may be above or below the given one, lest noisy bits run away with it."""


@dataclass(frozen=True)
class Gaussian(FormalMechanism):
    """McMahan et al. 2018 (Learning differentially private recurrent language models), with the noise at each site."""

    dp_clip: float = option(1.0, "bound on the L2 norm of a site's whole update")
    dp_adaptive_clip: bool = option(
        False, "let the clip follow the median of a site's update norms, by a noisy bit a round that the budget covers"
    )

    UNIT: ClassVar[Literal["site's update"]] = "site's update"
    ASSUMPTIONS: ClassVar[tuple[str, ...]] = (
        "Neighbours: a round with this site's update, and with an update of zero in its place. Replaced by another "
        "update the sensitivity is twice the clip, which is the guarantee of half the noise multiplier.",
        "It hides whether and with what a site as a whole took part. A single patient is hidden only as far as the "
        "whole site is.",
        "Each site adds all of its noise itself; the server need not be trusted with updates.",
        "The number of optimiser steps and that the site answers at all are taken as public.",
        "The theorem is of real numbers. Noise is drawn and added in double precision and the sum rounded to the "
        "model's; --dp_secure_noise hardens the drawing against attacks on the gaps between such numbers.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_positive("dp_clip", self.dp_clip)

    def resolved(self, experiment: ExperimentView) -> "Gaussian":
        """Noise that follows from a target is found once, at the launcher, and stated to every site."""
        if self.dp_target_epsilon is None:
            return self
        noise_multiplier = self.noise_multiplier(experiment, 1)
        return replace(self, dp_target_epsilon=None, dp_noise_multiplier=noise_multiplier, dp_max_epsilon=self.budget)

    def release(self, update: PrivateUpdate, context: ReleaseContext, ledger: Ledger) -> Released:
        assert self.dp_noise_multiplier is not None
        multiplier = self.dp_noise_multiplier
        clip = ledger.state.get(CLIP, self.dp_clip)
        source = noise.generator(context.site, context.round, context.seed if self.insecure_seeded_noise else None)
        norm, kept = l2_norm(update), clipped(update, clip)
        std = clip * multiplier * _share_for_update(self.dp_adaptive_clip)
        noisy = {name: values + self._noise(source, values.shape, std) for name, values in kept.items()}
        sent = {name: values.astype(update[name].dtype) for name, values in noisy.items()}
        if self.dp_adaptive_clip:
            bit = float(norm <= clip) + float(self._noise(source, (), _BIT_NOISE * multiplier))
            ledger.state[CLIP] = self._next_clip(clip, bit)
        diagnostics = {
            "clip_fraction": float(norm > clip),
            "update_norm": norm,
            "signal_to_noise": signal_to_noise(kept, sent),
            "cosine": cosine(update, sent),
        }
        facts = {"clip": clip, "noise_multiplier": multiplier, "noise_std": std, "steps": context.steps}
        return Released(sent, self.spend(ledger, multiplier, 1.0, 1), facts, diagnostics)

    def _noise(self, source: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
        if self.dp_secure_noise:
            return noise.secure_normal(shape, std)
        return np.asarray(source.normal(0.0, std, shape))

    def _next_clip(self, clip: float, bit: float) -> float:
        """Up where updates are clipped, down where not, by less the noisier the bit is (Andrew et al. 2021)."""
        assert self.dp_noise_multiplier is not None
        step = _RATE / max(1.0, self.dp_noise_multiplier) ** 2 * (bit - _QUANTILE)
        moved = clip * math.exp(-min(1.0, max(-1.0, step)))
        return min(_ROOM * self.dp_clip, max(self.dp_clip / _ROOM, moved))

    def statement(self) -> str:
        adaptive = ", adaptive" if self.dp_adaptive_clip else ""
        return (
            f"gaussian: formal, unit: a site's update. Clip {self.dp_clip:g}{adaptive}, {self.noise_told()}, delta "
            f"{self.dp_delta:g}; {self.beside()}"
        )

    def verdict(self, entries: Sequence[Entry]) -> str:
        last = last_of_each(entries)
        if not last:
            return f"{self.statement()}; nothing was released"
        rounds = counted(max(entry.round for entry in last.values()), "round")
        worst = max(last.values(), key=lambda entry: entry.epsilon_total or 0.0)
        return (
            f"gaussian, formal: epsilon {worst.epsilon_total:.4g} at delta {worst.delta:g} spent by each site's update "
            f"over {rounds}; a site as a whole is hidden, a patient only with it; {self.beside()}"
        )


def _share_for_update(adaptive: bool) -> float:
    """The factor of noise that the update needs where the bit is released too, so that both cost what one did.

    Two Gaussian releases with multipliers a and b cost as one with 1 / z^2 = 1 / a^2 + 1 / b^2 (Andrew et al. 2021,
    theorem 1; its bit is centred, ours changes by 1 where an update of zero takes a clipped one's place).
    """
    return 1.0 / math.sqrt(1.0 - 1.0 / _BIT_NOISE**2) if adaptive else 1.0


PLUGIN = Gaussian
