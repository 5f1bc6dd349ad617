"""The percentile filter: only the largest differences leave, cut off at a bound (Shokri and Shmatikov 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from fedmed.core.options import expect, expect_positive, option
from fedmed.privacy.base import Mechanism, PrivateUpdate, ReleaseContext, Released, Spending
from fedmed.privacy.ledger import Ledger
from fedmed.privacy.update_statistics import cosine, share_of_values, signal_to_noise


@dataclass(frozen=True)
class Percentile(Mechanism):
    """Gives what FLARE's ``PercentilePrivacy`` gives, to the bit."""

    percentile: float = option(
        10.0, "differences (divided by the steps) whose size is below this percentile stay, 0 to 100"
    )
    percentile_gamma: float = option(0.01, "bound at which the others are cut off")
    dp_send_diagnostics: bool = option(False, "send the ledger's clip fraction, signal-to-noise and cosine too")

    UNIT: ClassVar[Literal["site's update"]] = "site's update"
    GUARANTEE: ClassVar[Literal["heuristic"]] = "heuristic"
    ASSUMPTIONS: ClassVar[tuple[str, ...]] = (
        "No noise is added and no theorem holds: what leaves is true values of the update.",
    )

    def __post_init__(self) -> None:
        expect(0 <= self.percentile <= 100, "percentile", self.percentile, "a number from 0 to 100")
        expect_positive("percentile_gamma", self.percentile_gamma)

    def release(self, update: PrivateUpdate, context: ReleaseContext, ledger: Ledger) -> Released:
        sent = largest(update, self.percentile, self.percentile_gamma, context.steps)
        diagnostics = {
            "clip_fraction": share_of_values(update, above=self.percentile_gamma * context.steps),
            "signal_to_noise": signal_to_noise(update, sent),
            "cosine": cosine(update, sent),
        }
        return Released(sent, Spending(), {"steps": context.steps}, diagnostics)

    def statement(self) -> str:
        return (
            f"percentile: heuristic. Differences below percentile {self.percentile:g} stay at the site, larger ones "
            f"leave as they are, up to {self.percentile_gamma:g} a step; there is no epsilon and no guarantee"
            f"{self.not_covered}"
        )


def largest(update: Mapping[str, np.ndarray], percentile: float, bound: float, steps: int) -> PrivateUpdate:
    """The values of an update that reach a percentile of the sizes of all, cut off at a bound; zero for the others.

    Single numbers, such as a learnt temperature, count for the percentile and are left as they are.

    Args:
        percentile: from 0 to 100.
        bound: on the size of a value divided by the steps.
        steps: of the optimiser, by which the update is divided.
    """
    each = {name: values / steps for name, values in update.items()}
    least = np.percentile(np.concatenate([np.abs(values).ravel() for values in each.values()]), percentile)
    sent = {}
    for name, values in each.items():
        cut_off = np.where(np.abs(values) < least, 0, np.clip(values, -bound, bound)) if values.ndim else values
        sent[name] = np.asarray(cut_off * steps, update[name].dtype)
    return sent


PLUGIN = Percentile
