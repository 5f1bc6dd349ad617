"""The transforms of brain MR pictures: squares that keep the proportions, comparable intensities, mild deformations."""

from pathlib import Path

import monai.transforms as mt
import numpy as np
import pytest
import torch
from PIL import Image

from fedmed.data.brain_mri import brain_mri_transforms
from fedmed.data.brain_mri.brain_mri_transforms import NormalizePicture, SquarePicture
from fedmed.data.prepared.cache import Cache, Caching


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
    plain = mt.Compose(brain_mri_transforms.deterministic(64, 1, Caching()))(item)
    disk = Caching(disk=Cache(tmp_path / "cache", 10**9))
    cached = [mt.Compose(brain_mri_transforms.deterministic(64, 1, disk))(item) for _ in range(2)]
    assert len([*(tmp_path / "cache").glob("*.case")]) == 1
    for each in cached:
        assert torch.equal(each["image"], plain["image"])
        assert (each["label"], each["case"]) == (2, "a")


def test_random_transforms_keep_shape_and_most_of_the_picture() -> None:
    image = torch.zeros(1, 64, 64)
    image[:, 16:48, 16:48] = 1
    transform = mt.Compose(brain_mri_transforms.training(64))
    made = []
    for seed in range(20):
        transform.set_random_state(seed)
        made.append(torch.as_tensor(transform({"image": image.clone()})["image"]))
    assert all(each.shape == (1, 64, 64) and each.dtype == torch.float32 for each in made)
    assert len({tuple(each.flatten().tolist()) for each in made}) > 15
    inside = [float(each[0, 24:40, 24:40].mean() - each[0, :4].mean()) for each in made]
    assert min(inside) > 0.5
