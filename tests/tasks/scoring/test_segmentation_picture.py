"""The regions' colours are in the picture where there is something to paint."""

from io import BytesIO

import numpy as np
from PIL import Image

from fedmed.tasks.scoring.segmentation_picture import Layer, segmentation_picture

SIZE = (20, 24, 16)
LAYERS = (Layer(1, "whole", "#e69f00"), Layer(0, "core", "#0072b2"))


def test_a_picture_shows_truth_and_prediction_in_colour() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(size=SIZE).astype(np.float32)
    regions = np.zeros((3, *SIZE), bool)
    regions[1, 5:15, 5:15, 4:12] = True
    regions[0, 7:12, 7:12, 6:10] = True
    picture = np.asarray(
        Image.open(BytesIO(segmentation_picture(image, regions, np.zeros_like(regions), LAYERS, shown=1))).convert(
            "RGB"
        )
    )
    colourful = np.ptp(picture.astype(int), axis=2) > 60
    half = picture.shape[0] // 2
    legend = picture.shape[0] // 10
    assert colourful[legend:half].sum() > 1000
    assert colourful[half:].sum() < 50
