"""The contract of a task: what is learnt from which files, and how it is scored. A task knows nothing of federation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from fedmed.core.errors import InputError
from fedmed.core.options import expect, option
from fedmed.core.plugin import Plugin
from fedmed.core.site_scores import FigureForm, Figures, KeyScore, of_target
from fedmed.core.units import Unit
from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.site_audit import SiteAudit, audit_site, outside
from fedmed.data.datalist import Case, Datalist
from fedmed.data.prepared.cache import Caching
from fedmed.tasks.scoring.metric import Metric, Row, SumsMetric

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.data import Dataset

__all__ = [
    "Batches",
    "Flips",
    "ImageClassifier",
    "LabelFlips",
    "Metric",
    "NativeGrid",
    "NetworkClass",
    "Pictures",
    "Preset",
    "Row",
    "SliceVolumes",
    "Task",
    "expect_no_scheme",
]


def expect_no_scheme(label_scheme: str | None) -> None:
    """Refuse a label scheme, for tasks whose labels mean the same in every list.

    Raises:
        InputError: a list states one.
    """
    if label_scheme is not None:
        raise InputError(f"The list states the label_scheme {label_scheme}; expected none: take it out of the list.")


@dataclass(frozen=True)
class Preset:
    """A named set of values for options, and its purpose in a few words. A value that is given comes before it."""

    purpose: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkClass:
    """A class of ``model.py`` by its name, imported when it is needed, as MONAI takes seconds.

    At a site model.py lies in the job's folder, beside client.py.

    Attributes:
        name: of the class.
        arguments: of its constructor, where they are not its defaults.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> nn.Module:
        """A network of this class, with fresh random weights."""
        network: nn.Module = self.load()(**self.arguments)
        return network

    def load(self) -> Any:
        """The class itself."""
        import model

        return getattr(model, self.name)


@dataclass(frozen=True)
class Task(Plugin, ABC):
    """A task. Subclasses are frozen dataclasses whose fields are the task's options."""

    network: str | None = option(None, "network of the task (default: the task's first)")

    TARGETS: ClassVar[tuple[str, ...]]
    """Regions, classes or findings that are scored apart, in the order of the network's output channels."""

    METRICS: ClassVar[tuple[Metric, ...]]
    """The figures that :meth:`measure` gives rows for. The first one chooses the best model; higher is better."""

    KEY_METRIC: ClassVar[str]
    """The name under which sites report the first of :attr:`METRICS`, such as ``val_dice``."""

    KNOWS_PATIENTS: ClassVar[bool] = True
    """False where nobody knows whose the cases are, so that a list's ``patient`` is an image with its copies."""

    NOTES: ClassVar[tuple[str, ...]] = ()
    """Sentences that a reader needs to understand :attr:`METRICS`, for the end of a table."""

    DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    """The task's own values of options that are not the task's: rounds, optimiser, learning rate, batch size ..."""

    PRESETS: ClassVar[Mapping[str, Preset]] = {"standard": Preset("the task's defaults")}
    """``standard`` holds where a dataset is named, ``demo`` where none is. Presets may set options of any part."""

    DEMO: ClassVar[str] = ""
    """Folder of the demonstration's data, relative to the project's; empty where the task has none."""

    def __post_init__(self) -> None:
        known = self.networks()
        if self.network is not None:
            expect(self.network in known, "network", self.network, f"one of {', '.join(known)}")

    @abstractmethod
    def networks(self) -> Mapping[str, Callable[[], nn.Module]]:
        """The networks by name, the default one first. Each call makes one with fresh random weights.

        Its ``arguments`` and class rebuild it.
        """

    def build_model(self) -> nn.Module:
        """The chosen network with fresh random weights."""
        return self._chosen_network()

    def first_model(self, seed: int) -> nn.Module:
        """The network with which a run of this seed begins; sets PyTorch's global generator."""
        import torch

        torch.manual_seed(seed)
        return self.build_model()

    @property
    def _chosen_network(self) -> Callable[[], nn.Module]:
        known = self.networks()
        return known[self.network or next(iter(known))]

    def parameter_groups(self, model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
        """The optimiser's groups of a model's parameters, ``params`` each with its own learning rate, ``lr``.

        Every parameter is in one group. One group of them all at ``learning_rate``, unless a task overrides it.
        """
        return [{"params": list(model.parameters()), "lr": learning_rate}]

    def into_training(self, model: nn.Module, number: int) -> None:
        """Put a model into training mode for round ``number``, from 1: all of it trains, unless a task overrides it.

        It follows from the round's number alone, so that every site does the same, also after ``--resume``.
        """
        model.train().requires_grad_(True)

    def pretrained_facts(self) -> dict[str, Any]:
        """The file that gives a part of the first weights, and what of it fits, as JSON values; empty where none does.

        Raises:
            InputError: the file cannot be used.
        """
        return {}

    def training_told(self, rounds: int) -> str:
        """The way in which a part of the network trains apart from the rest, for the screen; empty where none does."""
        return ""

    def warnings(self) -> tuple[str, ...]:
        """Sentences on the task's options that whoever starts a run must read, for the screen and the summary."""
        return ()

    @abstractmethod
    def rules(self, label_scheme: str | None) -> Rules:
        """The form that the audit expects of a case's files.

        Raises:
            InputError: no label scheme has that name.
        """

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of a task whose every case is of exactly one, in the order of the outputs; else none."""
        rules = self.rules(None)
        return () if rules.several else rules.classes or ()

    @property
    def findings(self) -> tuple[str, ...]:
        """The findings of a task whose every case has any number of them, in the order of the outputs; else none."""
        rules = self.rules(None)
        return rules.classes or () if rules.several else ()

    @property
    def unit(self) -> Unit:
        """The word for whose cases belong together."""
        return "patient" if self.KNOWS_PATIENTS else "image"

    def patient_of(self, case: Case) -> str:
        """The case's patient: the one that its list states, else the case's own name."""
        return str(case.extra.get("patient", case.name))

    def scored(self, cases: Sequence[Case]) -> tuple[Case, ...]:
        """The cases that are scored where a list has these: themselves, unless what is scored is made of several.

        One of them is one item of :meth:`eval_set`, with one set of rows; a case of several has them as its ``parts``.
        """
        return tuple(cases)

    def describe_data(self, datalist: Datalist) -> dict[str, Any]:
        """Facts of a run on these cases, which passed the audit: at least ``training`` and ``validation``, numbers of
        cases, and for the screen ``crops``, the training crop in words, where there is one.

        Raises:
            InputError: an option of the task does not suit them.
        """
        return {"training": len(datalist.training), "validation": len(datalist.validation)}

    def demo_data(self, folder: Path) -> None:
        """Make the demonstration's images in ``folder`` and its lists in ``folder/datalist``, unless they are there.

        Raises:
            InputError: the task has no demonstration, or its data cannot be made.
        """
        raise InputError(
            f"--task {self.name} has no demonstration data; name a dataset with --dataset_base_dir and "
            "--datalist_json_path."
        )

    def audit(self, site: str, datalist: Datalist, allow_overlap: bool, **how: Any) -> SiteAudit:
        """Look at every file of a site before any training; ``how`` is handed to ``audit_site``."""
        rules = replace(self.rules(datalist.label_scheme), unit=self.unit)
        found = audit_site(site, datalist.splits, rules, self.patient_of, allow_overlap, **how)
        return found.with_findings(outside(datalist))

    @abstractmethod
    def train_set(self, datalist: Datalist, caching: Caching) -> Dataset[Mapping[str, torch.Tensor]]:
        """The training cases with random transforms: items of ``image`` (C, ...) and ``label``.

        Its ``transform`` has MONAI's ``set_random_state``. Where ``caching`` holds cases changes no item.
        """

    def sampling_weights(self, train_set: Dataset[Any]) -> Sequence[float] | None:
        """The weights of the items of :meth:`train_set`, by which an epoch draws them with replacement.

        None where each comes once an epoch. Under mechanisms whose unit is a patient nothing is drawn by it.
        """
        return None

    def train_set_by_patient(self, datalist: Datalist, caching: Caching) -> Dataset[Mapping[str, torch.Tensor]]:
        """The items of :meth:`train_set`, each made as if its patient were the site's only one.

        For mechanisms whose unit is a patient: nothing that several patients decide is in an item, whatever a task
        derives from its cases, such as a crop that fits the largest volume or the mean intensity.
        """
        from fedmed.data.prepared.separate_items import SeparateItems

        patients: dict[str, list[Case]] = {}
        places = []
        for case in datalist.training:
            of_patient = patients.setdefault(self.patient_of(case), [])
            places.append((self.patient_of(case), len(of_patient)))
            of_patient.append(case)
        held = round(caching.share_in_memory * len(patients))  # all cases of so many, as a share of one case is none
        sets = {
            patient: self.train_set(
                replace(datalist, training=tuple(cases), validation=(), testing=()),
                replace(caching, share_in_memory=float(number < held)),
            )
            for number, (patient, cases) in enumerate(patients.items())
        }
        return SeparateItems([(sets[patient], place) for patient, place in places])

    @abstractmethod
    def eval_set(self, cases: Sequence[Case], label_scheme: str | None, caching: Caching) -> Dataset[Any]:
        """Cases to be scored, as :meth:`scored` gives them: items of ``image`` (C, ...), ``label`` and ``case``, the
        case's name."""

    @abstractmethod
    def loss(self) -> nn.Module:
        """The training loss of (network output, label)."""

    def train_figures(self, output: torch.Tensor, label: torch.Tensor) -> Mapping[str, torch.Tensor | float]:
        """Figures of a training batch beside its loss, by name: ``accuracy``, the share of its cases that are right.

        A site averages each by cases over an epoch and reports it as ``train_accuracy``. There is no other name: what a
        site may report of its training is in :data:`fedmed.core.site_scores.TRAINED`. None unless a task has some.

        Args:
            output: of the network (B, channels, ...), float32, without gradients.
            label: of the batch (B, ...).
        """
        return {}

    def evaluate(self, model: nn.Module, cases: Dataset[Any], device: torch.device) -> list[Row]:
        """Score every case as in a round: by :meth:`measure`, unless a task has a quicker way.

        The caller sets eval mode, inference mode and precision.
        """
        items = (cases[place] for place in range(len(cases)))  # type: ignore[arg-type]
        return [row for item in items for row in self.measure(model, item, device)]

    @abstractmethod
    def measure(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        """Rows for all of :attr:`METRICS` of one item of :meth:`eval_set`: slower and more than :meth:`evaluate`.

        Raises:
            InputError: the prediction holds NaN.
        """

    def label_map(self) -> dict[str, Any]:
        """The meaning of the network's channels, for whoever opens the weights later."""
        return {"output_channels": list(self.TARGETS)}

    def metrics(self, rows: Sequence[Row]) -> dict[str, float]:
        """The plain numbers that a site reports of its rows: every metric that has rows, the first by target too.

        By target only where there are several. A metric without any value is left out.
        :mod:`fedmed.core.site_scores` describes the names.
        """
        key, *others = self.METRICS
        of_key = key.read(rows)
        report = key.report(of_key)
        for target in self._targets_apart:
            report |= key.report([row for row in of_key if row.target == target], target)
        for metric in others:
            report |= metric.report(metric.read(rows))
        return report

    def figures(self) -> Figures:
        """The reported figures that are made from the sum of the sites' sums."""
        made = {metric.reported: metric.of_sums for metric in self.METRICS if isinstance(metric, SumsMetric)}
        by_target = (self.KEY_METRIC, *(of_target(self.KEY_METRIC, target) for target in self._targets_apart))
        return {**made, **(dict.fromkeys(by_target, made[self.KEY_METRIC]) if self.KEY_METRIC in made else {})}

    def figure_forms(self) -> dict[str, FigureForm]:
        """Forms of the figures that a site may report, by name: the range and what may stand beside it."""
        key = self.METRICS[0]
        by_target = {of_target(key.reported, target): key.form((target,)) for target in self._targets_apart}
        return {**{metric.reported: metric.form(self.TARGETS) for metric in self.METRICS}, **by_target}

    @property
    def key_score(self) -> KeyScore:
        """The figure of :attr:`KEY_METRIC` for whoever shows it."""
        key = self.METRICS[0]
        combines = key.combines != "rows"
        return KeyScore(self.KEY_METRIC, key.title, self._targets_apart, key.is_share, self.figures(), combines)

    @property
    def _targets_apart(self) -> tuple[str, ...]:
        """The targets that have figures of their own beside the one over all; none where there is but one."""
        return self.TARGETS if len(self.TARGETS) > 1 else ()

    @property
    def validation_can_be_split(self) -> bool:
        """True where sites may share out the validation cases among them: every figure combines without all rows, and
        what is scored is a case of the list."""
        as_listed = type(self).scored is Task.scored
        return as_listed and all(metric.combines != "rows" for metric in self.METRICS)


@runtime_checkable
class Batches(Protocol):
    """A task that can score several items at once, which is quicker for small images."""

    def measure_many(
        self, model: nn.Module, items: Sequence[Mapping[str, Any]], device: torch.device
    ) -> list[list[Row]]:
        """:meth:`Task.measure` of each item, in their order.

        Raises:
            InputError: a prediction holds NaN.
        """


@runtime_checkable
class Flips(Protocol):
    """A task that can average its predictions over mirrored copies of an image."""

    def measure_flipped(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> list[Row]:
        """:meth:`Task.measure` with such predictions."""


@runtime_checkable
class LabelFlips(Protocol):
    """A task that says what a wrong label is, for ``--attack label_flip``."""

    def flipped_labels(self, label: torch.Tensor) -> torch.Tensor:
        """The labels of a training batch as a site that flips them has them, of the same shape and type."""


@runtime_checkable
class Pictures(Protocol):
    """A task that can draw a case."""

    def picture(self, model: nn.Module, item: Mapping[str, Any], device: torch.device) -> bytes:
        """A PNG of one item of :meth:`Task.eval_set`, its truth and the prediction."""


@runtime_checkable
class NativeGrid(Protocol):
    """A task whose predictions can be led back to the grid of a new patient's own files."""

    def new_patient(self) -> Callable[[Any], Any]:
        """The transform from ``image``, paths, to the ``image`` of :meth:`Task.eval_set`, without a label.

        ``monai.transforms.Invertd`` leads what lies on that image's grid back to the files'.
        """

    def probabilities(self, model: nn.Module, image: torch.Tensor, flips: bool = False) -> torch.Tensor:
        """Probabilities (B, targets, ...) of an image (B, C, ...), over mirrored copies where ``flips`` is set."""


@runtime_checkable
class SliceVolumes(Protocol):
    """A task that marks one target in the slices of a new patient, which are prepared as one volume."""

    def new_volume(self) -> Callable[[Any], Any]:
        """The transform from ``image`` (C, S, H, W), the slices' pixels as stored, to that of :meth:`Task.eval_set`.

        ``monai.transforms.Invertd`` leads what lies on that image's grid back to the pixels, (..., S, H, W).
        """

    def preparation(self) -> str:
        """A sentence for reports on the preparation of a volume for the network."""

    def probabilities(self, model: nn.Module, image: torch.Tensor, flips: bool = False) -> torch.Tensor:
        """Probabilities (B, 1, H, W, S) of an image (B, C, H, W, S), over mirrored copies where ``flips`` is set."""


@runtime_checkable
class ImageClassifier(Protocol):
    """A task that tells which of :attr:`Task.TARGETS` a new 2D image shows: one of them where :attr:`Task.classes` has
    any, else any number of them."""

    @property
    def saliency_layer(self) -> str:
        """The name of the network's last layer that has places, output (B, C, H, W), as ``named_modules`` has it."""

    def new_image(self, path: Path) -> torch.Tensor:
        """A file's image as the ``image`` (C, H, W) of :meth:`Task.eval_set`, rows from top to bottom.

        Raises:
            InputError: it is none that :func:`fedmed.data.picture_file.read_picture` can read.
        """

    def class_probabilities(self, model: nn.Module, image: torch.Tensor) -> torch.Tensor:
        """Probabilities (B, targets) of images (B, C, H, W): their sum is 1 where an image shows one, else each is of
        its target alone."""


@runtime_checkable
class KnownViews(Protocol):
    """A task that knows how its images should lie and look."""

    def oddities(self, path: Path) -> tuple[str, ...]:
        """The signs that a file's image is not as it should be, each in the words that come after its name, such as
        "seems to lie on its side".

        Raises:
            InputError: it is none that :func:`fedmed.data.picture_file.read_picture` can read.
        """
