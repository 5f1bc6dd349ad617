"""The published mechanism: FLARE's sparse vector technique on a site's update (Li et al. 2019, section 2.2)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from nvflare.apis.dxo import DataKind
from nvflare.apis.filter import Filter
from nvflare.app_common.filters.svt_privacy import SVTPrivacy

from fedmed.options import expect, expect_positive, option
from fedmed.privacy.base import Mechanism
from fedmed.privacy.guard import FiniteDifferenceGuard


@dataclass(frozen=True)
class SVT(Mechanism):
    """FLARE's SVTPrivacy with the published options."""

    dp_epsilon: float = option(0.001, "epsilon asked of SVT's selection step; not what a round spends")
    dp_fraction: float = option(0.9, "share of the update that is sampled for upload")
    dp_noise_var: float = option(1.0, "SVT's noise setting for the released values; larger is less noise")
    dp_gamma: float = option(1e-4, "bound at which each value of the update (divided by the steps) is clipped")

    UNIT: ClassVar[Literal["site's update"]] = "site's update"
    GUARANTEE: ClassVar[Literal["heuristic"]] = "heuristic"

    def __post_init__(self) -> None:
        for name in ("dp_epsilon", "dp_noise_var", "dp_gamma"):
            expect_positive(name, getattr(self, name))
        expect(0 < self.dp_fraction <= 1, "dp_fraction", self.dp_fraction, "a share above 0 and at most 1")

    def filters(self) -> list[Filter]:
        svt = SVTPrivacy(
            fraction=self.dp_fraction,
            epsilon=self.dp_epsilon,
            noise_var=self.dp_noise_var,
            gamma=self.dp_gamma,
            data_kinds=[DataKind.WEIGHT_DIFF],
        )
        return [FiniteDifferenceGuard(), svt, FiniteDifferenceGuard()]

    def statement(self) -> str:
        return (
            f"svt: heuristic. The requested epsilon {self.dp_epsilon:g} covers the selection step only; "
            "releasing the values costs far more, so this is no meaningful differential-privacy guarantee"
        )


PLUGIN = SVT
