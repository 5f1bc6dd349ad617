"""A picture of an image that may show several findings: the image, the places of some, and the probabilities of all."""

from collections.abc import Sequence
from io import BytesIO
from math import ceil, sqrt

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from fedmed.analysis.evaluation.decision_thresholds import DecisionThresholds
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.findings_report import mapped_findings
from fedmed.analysis.prediction.image_prediction import ImagePrediction, image_classifier
from fedmed.analysis.prediction.origin import NOTICE
from fedmed.analysis.prediction.saliency import SaliencyMaps, draw_heat
from fedmed.data.picture_file import read_picture
from fedmed.data.planes import drawable

PRESENT, OTHER, WARNING = "#0072b2", "#999999", "#d55e00"
"""Colours of the findings above their thresholds, of the others, and of warnings; of Okabe and Ito."""


def findings_picture(
    model: TrainedModel,
    thresholds: DecisionThresholds,
    asked: Sequence[int],
    maps: SaliencyMaps,
    found: ImagePrediction,
) -> bytes:
    """A PNG of a file's image, beside it what the network sees under the places that speak for a finding, a panel each,
    and a bar a finding with its threshold.

    Args:
        asked: the numbers of the findings to show the places of; empty for those of the image's answer.
        maps: of the model.
        found: the prediction of the image.
    """
    shown = mapped_findings(found, thresholds, asked)
    columns = ceil(sqrt(1 + len(shown)))
    rows = ceil((1 + len(shown)) / columns)
    figure = Figure(figsize=(3.1 * columns + 4.2, max(3.1 * rows, 4.2) + 0.7), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(3.1 * columns, 4.2))[0]
    _draw_images(left, model, maps, found, shown, (rows, columns))
    draw_bars(right.subplots(), model.task.TARGETS, found.probabilities, thresholds)
    figure.suptitle(drawable(f"{found.path.name} ({model.label})"), fontsize=11, parse_math=False)
    if found.oddities:
        words = f"Warning: this image {', and it '.join(found.oddities)}."
        left.suptitle(drawable(words), fontsize=9, color=WARNING, wrap=True, parse_math=False)
    figure.supxlabel(NOTICE, fontsize=7, color="0.4")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def draw_bars(axes: Axes, names: Sequence[str], probabilities: Sequence[float], thresholds: DecisionThresholds) -> None:
    """A bar a finding (K) from 0 to its probability, with a line at its threshold; coloured where it reaches that."""
    present = thresholds.present(probabilities)
    places = range(len(names))
    axes.barh(places, probabilities, color=[PRESENT if place in present else OTHER for place in places])
    for place, (probability, threshold) in enumerate(zip(probabilities, thresholds.values, strict=True)):
        if threshold is not None:
            axes.plot([threshold] * 2, [place - 0.45, place + 0.45], color="black", linewidth=1.5)
        axes.text(1.02, place, f"{probability:.3f}", va="center", fontsize=8, clip_on=False)
    axes.set(xlim=(0, 1), xlabel="probability" + (", | threshold" if thresholds.file else ""))
    lacking = " (no threshold)" if thresholds.file else ""
    labels = [name + (lacking if limit is None else "") for name, limit in zip(names, thresholds.values, strict=True)]
    axes.set_yticks(places, list(map(drawable, labels)), fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    told = f"{len(present)} above the run's thresholds" if thresholds.file else "no thresholds: nothing is decided"
    axes.set_title(told, fontsize=9)


def _draw_images(
    figure: SubFigure,
    model: TrainedModel,
    maps: SaliencyMaps,
    found: ImagePrediction,
    shown: Sequence[int],
    grid: tuple[int, int],
) -> None:
    """The file's image, and a panel a finding of ``shown``."""
    image = image_classifier(model).new_image(found.path)
    panels: list[Axes] = list(figure.subplots(*grid, squeeze=False).flat)
    panels[0].set(xticks=[], yticks=[])
    panels[0].imshow(read_picture(found.path), cmap="gray", vmin=0, vmax=255)
    panels[0].set_title("image", fontsize=9)
    for axes, number in zip(panels[1:], shown, strict=False):
        heat = maps.of(image, number)
        what = "evidence for" if heat.any() else "nothing speaks for"
        draw_heat(axes, image.numpy(), heat, f"{what} {model.task.TARGETS[number]} (Grad-CAM)")
    for axes in panels[1 + len(shown) :]:
        axes.set_axis_off()
