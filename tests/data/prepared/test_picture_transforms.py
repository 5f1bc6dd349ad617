"""A picture's deterministic transforms: squares that keep the proportions, and comparable intensities."""

from pathlib import Path

import monai.transforms as mt
import numpy as np
import pytest
import torch
from PIL import Image

from fedmed.data.prepared.cache import Cache, Caching
from fedmed.data.prepared.picture_transforms import NormalizePicture, SquarePicture, deterministic


@pytest.mark.parametrize("size", [(40, 80), (80, 40), (33, 33), (200, 100)])
def test_a_square_keeps_the_proportions_and_is_black_beside(size: tuple[int, int]) -> None:
    found = SquarePicture(64)({"image": torch.ones(1, *size)})["image"]
    assert found.shape == (1, 64, 64)
    rows, columns = found[0].amax(dim=1) > 0, found[0].amax(dim=0) > 0
    assert int(rows.sum()) == round(64 * size[0] / max(size))
    assert int(columns.sum()) == round(64 * size[1] / max(size))
    for line in (rows, columns):  # in the middle
        places = line.nonzero().flatten()
        assert abs(int(places[0]) - (63 - int(places[-1]))) <= 1


def test_grey_pictures_of_any_gain_are_alike_and_a_black_one_stays_finite() -> None:
    image = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    one, other = (NormalizePicture()({"image": gain * image})["image"] for gain in (1.0, 0.4))
    assert torch.allclose(one, other, atol=1e-4)
    assert float(one.mean()) == pytest.approx(0, abs=1e-5)
    assert float(one.std()) == pytest.approx(1, abs=1e-4)
    assert torch.isfinite(NormalizePicture()({"image": torch.zeros(1, 8, 8)})["image"]).all()


def test_colours_get_the_normalisation_of_pretrained_networks() -> None:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    image = (mean + std)[:, None, None].expand(3, 4, 4)
    assert torch.allclose(NormalizePicture()({"image": image})["image"], torch.ones(3, 4, 4), atol=1e-5)


def test_the_cache_changes_no_item_and_labels_pass_through(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    pixels = np.random.default_rng(0).integers(0, 255, (50, 70)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    item = {"image": [str(path)], "label": 2, "case": "a"}
    plain = mt.Compose(deterministic(64, 1, Caching()))(item)
    disk = Caching(disk=Cache(tmp_path / "cache", 10**9))
    cached = [mt.Compose(deterministic(64, 1, disk))(item) for _ in range(2)]
    assert len([*(tmp_path / "cache").glob("*.case")]) == 1
    for each in cached:
        assert torch.equal(each["image"], plain["image"])
        assert (each["label"], each["case"]) == (2, "a")
