"""The picture of a case tells whether the decision is right, and shows what a network sees as people see it."""

from io import BytesIO

import numpy as np
from PIL import Image

from fedmed.tasks.scoring.classification_picture import classification_picture, displayed

CLASSES = ("glioma", "meningioma", "no_tumor")
IMAGE = np.random.default_rng(0).normal(size=(1, 24, 20))


def colours(truth: int) -> np.ndarray:
    content = classification_picture(IMAGE, truth, (0.2, 0.7, 0.1), CLASSES)
    return np.asarray(Image.open(BytesIO(content)).convert("RGB")).reshape(-1, 3)


def test_the_decision_is_green_where_it_is_right_and_orange_where_it_is_wrong() -> None:
    green, orange = (0x00, 0x9E, 0x73), (0xD5, 0x5E, 0x00)
    for truth, there, missing in ((1, green, orange), (0, orange, green)):
        found = colours(truth)
        assert (found == there).all(axis=1).sum() > 500
        assert not (found == missing).all(axis=1).any()


def test_a_normalised_image_is_stretched_by_channel() -> None:
    grey = displayed(IMAGE)
    assert grey.shape == (24, 20)
    assert (grey.min(), grey.max()) == (0, 1)
    colour = np.repeat(IMAGE, 3, axis=0) * np.array([1, 2, 3])[:, None, None] + np.array([0, 5, -9])[:, None, None]
    shown = displayed(colour)
    assert shown.shape == (24, 20, 3)
    np.testing.assert_allclose(shown, grey[..., None].repeat(3, axis=2), atol=1e-5)  # a grey image stays grey
    assert displayed(np.zeros((5, 8, 8))).shape == (8, 8)
    assert not displayed(np.full((1, 4, 4), 7)).any()
