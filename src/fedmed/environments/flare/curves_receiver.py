"""FLARE's receiver of TensorBoard values at the server, for the curves that this project's sites draw and no others."""

from collections import Counter
from collections.abc import Mapping, Sequence

from nvflare.apis.analytix import AnalyticsData, AnalyticsDataType
from nvflare.apis.dxo import from_shareable
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_opt.tracking.tb.tb_receiver import TBAnalyticsReceiver

from fedmed.core.site_scores import BESIDE_FIGURES, LEARNING_RATE, OF_EPOCH, is_number
from fedmed.privacy.ledger import MOST_EPSILON
from fedmed.server.plan import ServerPlan

EPSILON = "privacy_epsilon"
MOST_STEPS = 10**9


class CurvesReceiver(TBAnalyticsReceiver):
    """Writes single finite numbers of known curves and known sites, so many of each, and drops all else.

    Args:
        sites: of the run.
        ranges: by the name of a curve the least and the largest value.
        most: values of a curve of a site.
    """

    def __init__(self, sites: Sequence[str], ranges: Mapping[str, Sequence[float]], most: int) -> None:
        super().__init__()
        self.sites, self.ranges, self.most = list(sites), {name: list(ends) for name, ends in ranges.items()}, most
        self._written = Counter[tuple[str, str]]()

    def save(self, fl_ctx: FLContext, shareable: Shareable, record_origin: str) -> None:
        found = AnalyticsData.from_dxo(from_shareable(shareable))
        if found is not None and self._takes(record_origin, found):
            self._written[record_origin, found.tag] += 1
            super().save(fl_ctx, shareable, record_origin)

    def _takes(self, site: str, found: AnalyticsData) -> bool:
        one = found.data_type in (AnalyticsDataType.SCALAR, AnalyticsDataType.METRIC)
        known = site in self.sites and isinstance(found.tag, str) and found.tag in self.ranges
        if not (one and known and is_number(found.value, *self.ranges[found.tag])):
            return False
        step = isinstance(found.step, int) and is_number(found.step, 0, MOST_STEPS)
        return step and self._written[site, found.tag] < self.most


def curves_receiver(plan: ServerPlan) -> CurvesReceiver:
    """The receiver of a run."""
    figures = {name: (form.least, form.most) for name, form in plan.figure_forms.items()}
    beside = {name: (form.least, form.most) for name, form in BESIDE_FIGURES.items()}
    of_epochs = {OF_EPOCH + name: ends for name, ends in figures.items()}
    ranges = {**beside, EPSILON: (0.0, MOST_EPSILON), LEARNING_RATE: (0.0, plan.learning_rate), **figures, **of_epochs}
    again = 10  # a run's rounds may be repeated
    return CurvesReceiver(plan.sites, ranges, again * (plan.rounds + 1) * plan.epochs)
