"""The published mechanism: the sparse vector technique on a site's update (Li et al. 2019, section 2.2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from fedmed.core.errors import InputError, counted
from fedmed.core.options import expect, expect_positive, option
from fedmed.core.plugin import ExperimentView
from fedmed.privacy import noise
from fedmed.privacy.base import Mechanism, PrivateUpdate, ReleaseContext, Released, Spending
from fedmed.privacy.ledger import Entry, Ledger, last_of_each
from fedmed.privacy.sparse_vector import SparseVector
from fedmed.privacy.update_statistics import cosine, share_of_values, signal_to_noise

MEANINGFUL = 10.0
"""Above this epsilon, exp(epsilon) bounds nothing that a person would notice."""


@dataclass(frozen=True)
class SVT(Mechanism):
    """Selects, noises and accounts as FLARE's ``SVTPrivacy`` does, with the published options."""

    dp_epsilon: float = option(0.001, "epsilon asked of SVT's selection step; not what a round spends")
    dp_fraction: float = option(0.9, "share of the update that is sampled for upload")
    dp_noise_var: float = option(1.0, "SVT's noise setting for the released values; larger is less noise")
    dp_gamma: float = option(1e-4, "bound at which each value of the update (divided by the steps) is clipped")
    dp_max_epsilon: float | None = option(None, "stop before the round that would bring epsilon above this")
    dp_send_diagnostics: bool = option(False, "send the ledger's clip fraction, signal-to-noise and cosine too")

    UNIT: ClassVar[Literal["site's update"]] = "site's update"
    GUARANTEE: ClassVar[Literal["heuristic"]] = "heuristic"
    ASSUMPTIONS: ClassVar[tuple[str, ...]] = (
        "FLARE's accountant adds up the epsilon of threshold, selection and release of every value, at delta 0.",
        "The stated --dp_epsilon covers threshold and selection; the release of the values costs millions a round.",
        "Scores, losses, counts and hashes of images leave the sites unprotected.",
    )

    def __post_init__(self) -> None:
        for name in ("dp_epsilon", "dp_noise_var", "dp_gamma"):
            expect_positive(name, getattr(self, name))
        expect(0 < self.dp_fraction <= 1, "dp_fraction", self.dp_fraction, "a share above 0 and at most 1")
        if self.dp_max_epsilon is not None:
            expect_positive("dp_max_epsilon", self.dp_max_epsilon)

    def check(self, experiment: ExperimentView) -> None:
        super().check(experiment)
        if self.dp_max_epsilon is None:
            return
        model = experiment.task.build_model()
        shared, state = experiment.algorithm.parts(model).shared.trainable, model.state_dict()
        values = sum(state[name].numel() for name in shared)
        first = self.epsilon_of_round(values)
        if first > self.dp_max_epsilon:
            raise InputError(
                f"One round of --privacy svt spends epsilon {first:.3g} and --dp_max_epsilon is "
                f"{self.dp_max_epsilon:g}; choose gaussian or dpsgd, whose epsilon can be as small as that."
            )

    def epsilon_of_round(self, values: int) -> float:
        """Epsilon that an update of so many values spends."""
        return self._technique(values).epsilon_total

    def release(self, update: PrivateUpdate, context: ReleaseContext, ledger: Ledger) -> Released:
        technique = self._technique(sum(values.size for values in update.values()))
        source = noise.generator(context.site, context.round, context.seed if self.insecure_seeded_noise else None)
        sent = technique.released(update, context.steps, source)
        of_round = technique.epsilon_total
        total = ledger.total + of_round
        spent = Spending(of_round, total, total + of_round, 0.0)
        facts = {
            "released_share": share_of_values(sent),
            "selection_epsilon": technique.epsilon_query,
            "release_epsilon": technique.epsilon_release,
            "selection_noise_over_largest_value": 2.0 * technique.count / technique.epsilon_query,
            "steps": context.steps,
            "unnoised_scalars": sorted(name for name, values in update.items() if values.ndim == 0),
        }
        diagnostics = {
            "clip_fraction": share_of_values(update, above=self.dp_gamma * context.steps),
            "signal_to_noise": signal_to_noise(update, sent),
            "cosine": cosine(update, sent),
        }
        return Released(sent, spent, facts, diagnostics)

    def _technique(self, values: int) -> SparseVector:
        """The technique for an update of so many values."""
        count = math.ceil(values * self.dp_fraction)
        return SparseVector(count, self.dp_epsilon, self.dp_noise_var, self.dp_gamma)

    def statement(self) -> str:
        return (
            f"svt: heuristic. The requested epsilon {self.dp_epsilon:g} covers the selection step only; "
            "releasing the values costs far more, so this is no meaningful differential-privacy guarantee"
            f"{self.not_covered}"
        )

    def verdict(self, entries: Sequence[Entry]) -> str:
        last = last_of_each(entries)
        if not last:
            return self.statement()
        worst = max(last.values(), key=lambda entry: entry.epsilon_total or 0.0)
        total, rounds = worst.epsilon_total or 0.0, counted(worst.round, "round")
        meaning = "this is not a meaningful guarantee" if total > MEANINGFUL else "at delta 0"
        share, noise = (_figure(worst, name) for name in ("released_share", "selection_noise_over_largest_value"))
        chosen = "the selection is random at these settings" if noise > 1 else "larger values are selected more often"
        return (
            f"svt, heuristic: epsilon spent {total:.2g} over {rounds}; requested {self.dp_epsilon:g}: "
            f"{meaning}. Sampling is with replacement ({share:.0%} of the values leave at fraction "
            f"{self.dp_fraction:g}), and {chosen} (its noise is {noise:.1g} times the largest value)"
        )


def _figure(entry: Entry, name: str) -> float:
    """A number among an entry's facts; NaN where a site has sent none."""
    value = entry.facts.get(name)
    return float(value) if isinstance(value, int | float) else math.nan


PLUGIN = SVT
