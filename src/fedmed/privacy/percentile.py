"""FLARE's percentile filter: only the largest differences leave, cut off at a bound (Shokri and Shmatikov 2015)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.filters.percentile_privacy import PercentilePrivacy

from fedmed.core.options import expect, expect_positive, option
from fedmed.privacy.base import Mechanism, PrivateUpdate, ReleaseContext, Released, Spent
from fedmed.privacy.ledger import Ledger
from fedmed.privacy.update_statistics import cosine, share_of_values, signal_to_noise


@dataclass(frozen=True)
class Percentile(Mechanism):
    """FLARE's PercentilePrivacy."""

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
        data = {name: np.array(values) for name, values in update.items()}
        dxo = DXO(DataKind.WEIGHT_DIFF, data=data, meta={FLMetaKey.NUM_STEPS_CURRENT_ROUND: context.steps})
        PercentilePrivacy(self.percentile, self.percentile_gamma).process_dxo(dxo, Shareable(), FLContext())
        sent = {name: np.asarray(values, update[name].dtype) for name, values in dxo.data.items()}
        diagnostics = {
            "clip_fraction": share_of_values(update, above=self.percentile_gamma * context.steps),
            "signal_to_noise": signal_to_noise(update, sent),
            "cosine": cosine(update, sent),
        }
        return Released(sent, Spent(), {"steps": context.steps}, diagnostics)

    def statement(self) -> str:
        return (
            f"percentile: heuristic. Differences below percentile {self.percentile:g} stay at the site, larger ones "
            f"leave as they are, up to {self.percentile_gamma:g} a step; there is no epsilon and no guarantee"
        )


PLUGIN = Percentile
