"""The places of an image that speak for a class: Grad-CAM, by MONAI."""

import copy
import warnings
from io import BytesIO

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from monai.visualize import GradCAM
from numpy.typing import NDArray

from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.analysis.prediction.image_prediction import image_classifier
from fedmed.analysis.prediction.origin import NOTICE
from fedmed.core.errors import InputError
from fedmed.data.planes import drawable
from fedmed.tasks.scoring.classification_picture import displayed

OPACITY = 0.5
"""Of the warmest places; colder ones let more of the image through."""


class SaliencyMaps:
    """Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) of a model's last layer with places, in float32."""

    def __init__(self, model: TrainedModel) -> None:
        """Take a copy of the network, as the layer is watched from now on.

        Raises:
            InputError: the network has no layer of the name that the task states.
        """
        layer = image_classifier(model).saliency_layer
        network = copy.deepcopy(model.network).float()
        if layer not in dict(network.named_modules()):
            raise InputError(f"{model.label}: the network has no layer {layer}, which --saliency needs; leave it out.")
        self._maps = GradCAM(network, layer, postprocessing=lambda found: found)
        self._device = model.device

    def of(self, image: torch.Tensor, number: int) -> NDArray[np.float32]:
        """The evidence for a class by place, (H, W) from 0 to 1; all 0 where nothing speaks for it.

        Args:
            image: (C, H, W), as the network sees it.
            number: of the class.
        """
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.filterwarnings("ignore", message="Using a non-full backward hook")
            found = self._maps(image[None].float().to(self._device), class_idx=number)
        heat: NDArray[np.float32] = found[0, 0].detach().cpu().numpy()
        return heat / heat.max() if heat.max() > 0 else np.zeros_like(heat)


def saliency_picture(
    pixels: NDArray[np.uint8], image: NDArray[np.float32], heat: NDArray[np.float32], title: str
) -> bytes:
    """A PNG of a file's image, and beside it of what the network sees, under the places that speak for its class.

    Args:
        pixels: (H, W) or (H, W, 3), of the file.
        image: (C, h, w), as the network sees it, rows from top to bottom.
        heat: (h, w), 0 to 1.
        title: the class, in words.
    """
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(pixels, cmap="gray", vmin=0, vmax=255)
    left.set_title("image", fontsize=9)
    what = "evidence for the class (Grad-CAM)" if heat.any() else "nothing speaks for the class (Grad-CAM)"
    draw_heat(right, image, heat, f"{what}, {image.shape[-1]} x {image.shape[-2]} pixels")
    left.set(xticks=[], yticks=[])
    figure.suptitle(drawable(title), fontsize=11, parse_math=False)
    figure.supxlabel(NOTICE, fontsize=7, color="0.4")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def draw_heat(axes: Axes, image: NDArray[np.float32], heat: NDArray[np.float32], title: str) -> None:
    """Draw the image (C, h, w) that a network sees, under the places (h, w) from 0 to 1 that speak for a class."""
    axes.imshow(displayed(image), cmap="gray", vmin=0, vmax=1)
    axes.imshow(heat, cmap="inferno", alpha=OPACITY * heat, vmin=0, vmax=1)
    axes.set_title(title, fontsize=9)
    axes.set(xticks=[], yticks=[])
