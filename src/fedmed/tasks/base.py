"""What a task is: what is learnt from which files, and how it is scored. A task knows nothing of federation."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import nn
from torch.utils.data import Dataset

from fedmed.core.plugin import Plugin
from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.site_audit import SiteAudit, audit_site
from fedmed.data.datalist import Case, Datalist
from fedmed.data.prepared.cache import Caching


class Row(NamedTuple):
    """One number of one case. ``value`` is NaN where the metric has no value by its own rule."""

    case: str
    region: str
    metric: str
    value: float


class Metric(NamedTuple):
    """What a row's ``metric`` means."""

    name: str
    title: str  # as a table's heading
    unit: str  # "" for a share
    better: Literal["higher", "lower", ""]  # "" where neither is: a volume, a count of lesions

    @property
    def is_share(self) -> bool:
        """Whether it lies in [0, 1]."""
        return not self.unit and self.better == "higher"


class Task(Plugin, ABC):
    """A task's contract. Subclasses are frozen dataclasses whose fields are the task's options."""

    KEY_METRIC: ClassVar[str]
    """The metric, among those of :meth:`metrics`, that chooses the best model; higher is better."""

    REGIONS: ClassVar[tuple[str, ...]]
    """What is scored separately (regions or classes), in the order of the network's output channels."""

    METRICS: ClassVar[tuple[Metric, ...]]
    """What :meth:`measure` says of a case; the first is the one behind ``KEY_METRIC``."""

    @abstractmethod
    def build_model(self) -> nn.Module:
        """A network with fresh random weights; its ``arguments`` rebuild it."""

    @abstractmethod
    def rules(self, label_scheme: str | None) -> Rules:
        """What the audit expects of a case's files.

        Raises:
            InputError: no label scheme has that name.
        """

    def patient_of(self, case: Case) -> str:
        """Whose case it is: what its list says, else the case's own name."""
        return str(case.extra.get("patient", case.name))

    @abstractmethod
    def describe_data(self, datalist: Datalist) -> dict[str, Any]:
        """What a run on these cases, which passed the audit, will make of them.

        Raises:
            InputError: an option of the task does not suit them.
        """

    def audit(self, site: str, datalist: Datalist, allow_overlap: bool, **how: Any) -> SiteAudit:
        """Look at every file of a site before any training; ``how`` is handed to ``audit_site``."""
        rules = self.rules(datalist.label_scheme)
        return audit_site(site, datalist.splits, rules, self.patient_of, allow_overlap, **how)

    @abstractmethod
    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Mapping[str, torch.Tensor]]:
        """The training cases with random transforms: items of ``image`` (C, ...) and ``label``.

        Its ``transform`` has MONAI's ``set_random_state``. Where ``caching`` holds cases changes no item.
        """

    @abstractmethod
    def eval_set(self, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> Dataset[Any]:
        """Cases to be scored: items of ``image`` (C, ...), ``label`` and the case's name ``case``."""

    @abstractmethod
    def loss(self) -> nn.Module:
        """The training loss of (network output, label)."""

    @abstractmethod
    def evaluate(self, model: nn.Module, cases: Dataset[Any], device: torch.device) -> list[Row]:
        """Score every case. The caller sets eval mode, inference mode and precision."""

    @abstractmethod
    def measure(self, model: nn.Module, item: Mapping[str, Any], device: torch.device, flips: bool) -> list[Row]:
        """Everything of :attr:`METRICS` for one item of :meth:`eval_set`: slower and more than :meth:`evaluate`.

        Args:
            flips: average the predictions over mirrored copies of the image.

        Raises:
            InputError: the prediction holds NaN.
        """

    @abstractmethod
    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        """A PNG of one item of :meth:`eval_set`, its truth and the prediction."""

    @abstractmethod
    def metrics(self, rows: Sequence[Row]) -> dict[str, float]:
        """Reduce rows to the few means that a site reports, each with the number of its values beside it.

        :func:`fedmed.core.site_scores.reported` makes them; a metric without any value is left out.
        """

    @abstractmethod
    def label_map(self) -> dict[str, Any]:
        """What the network's channels mean, for whoever opens the weights later."""
