"""A patient's volume of squares: comparable intensities, the head's frame, masks that stay, and the way back."""

from pathlib import Path
from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from fedmed.core.errors import InputError
from fedmed.data.lgg import lgg_transforms
from fedmed.data.lgg.head_volume import Frame, NormalizeVolume, ReadSlices, SquareSlices, frame_of, head_of
from fedmed.data.prepared.cache import Cache, Caching
from tests.data.lgg.written_scans import SIZE, slice_mask, slice_pixels, write_scan

NAME = "TCGA_CS_1_1"
INNER = (slice(6, SIZE[0] - 6), slice(8, SIZE[1] - 8))
"""The head in a slice."""


def item_of(folder: Path, slices: int = 3) -> dict[str, Any]:
    names = [str(folder / f"{folder.name}_{number}") for number in range(1, slices + 1)]
    return {"image": [f"{name}.tif" for name in names], "label": [f"{name}_mask.tif" for name in names], "case": NAME}


def prepared(item: dict[str, Any], edge: int = 64, caching: Caching | None = None) -> dict[str, Any]:
    made: dict[str, Any] = mt.Compose(lgg_transforms.deterministic(caching or Caching(), edge))(item)
    return made


def test_slices_are_read_in_their_order_with_channels_and_masks_of_0_and_1(tmp_path: Path) -> None:
    read = ReadSlices()(item_of(write_scan(tmp_path, NAME)))
    assert read["image"].shape == (3, 3, *SIZE)
    assert read["label"].shape == (1, 3, *SIZE)
    for place in range(3):
        assert np.array_equal(read["image"][:, place].numpy().transpose(1, 2, 0), slice_pixels(place + 1))
        assert np.array_equal(read["label"][0, place].numpy(), slice_mask(place > 0) // 255)


def test_gain_and_air_of_a_channel_change_nothing_and_the_head_has_mean_0_and_variance_1() -> None:
    image = torch.from_numpy(np.stack([slice_pixels(seed) for seed in (1, 2)]).transpose(3, 0, 1, 2)).float()
    one = NormalizeVolume()({"image": image})["image"]
    gains = torch.tensor([0.5, 1.0, 0.7])[:, None, None, None]
    assert torch.allclose(NormalizeVolume()({"image": gains * image})["image"], one, atol=1e-4)
    wide = torch.nn.functional.pad(image, (20, 20, 20, 20))
    assert torch.allclose(NormalizeVolume()({"image": wide})["image"][..., 20:-20, 20:-20], one, atol=1e-5)
    head = one[(slice(None), slice(None), *INNER)]
    assert torch.allclose(head.mean(dim=(1, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(head.std(dim=(1, 2, 3)), torch.ones(3), atol=1e-2)
    bright = image.clone()
    bright[0, 0, 20, 20] = 60_000  # a single wrong pixel
    others = torch.ones(2, *SIZE, dtype=torch.bool)
    others[0, 20, 20] = False
    assert torch.allclose(NormalizeVolume()({"image": bright})["image"][0][others], one[0][others], atol=0.05)


def test_a_volume_of_one_value_and_a_black_one_stay_finite() -> None:
    for value in (0.0, 7.0):
        item = NormalizeVolume()({"image": torch.full((3, 2, 40, 48), value)})
        found = SquareSlices(64)(item)["image"]
        assert found.shape == (3, 2, 64, 64)
        assert torch.isfinite(found).all()


def test_the_frame_is_around_the_head_in_flair_whatever_noise_and_the_other_channels_hold() -> None:
    volume = np.zeros((3, 4, 60, 50), dtype=np.float32)
    volume[1, 1:3, 10:40, 12:30] = 100
    volume[1, 0, 55, 45] = 90  # a speck
    volume[1, 3] = np.where(volume[1, 3] == 0, 5, 0)  # faint noise
    volume[0] = 80  # an inversion recovery, whose air is grey
    assert frame_of(head_of(volume[1])) == Frame(10, 12, 30, 18, 60, 50)
    assert frame_of(np.zeros((2, 9, 8), dtype=bool)) == Frame(0, 0, 9, 8, 9, 8)


@pytest.mark.parametrize("edge", [32, 64, 160])
def test_the_heads_longer_edge_fills_the_square_and_masks_keep_their_share(tmp_path: Path, edge: int) -> None:
    made = prepared(item_of(write_scan(tmp_path, NAME)), edge)
    image, label = made["image"], made["label"]
    assert (image.shape, image.dtype) == ((3, edge, edge, 3), torch.float32)
    assert (label.shape, label.dtype) == ((1, edge, edge, 3), torch.uint8)
    height, width = SIZE[0] - 12, SIZE[1] - 16
    margin = (edge - round(edge * width / height)) // 2
    beside = image[:, :, : margin - 1].flatten(1)
    assert torch.equal(beside.amin(dim=1), beside.amax(dim=1))
    assert (image[:, : edge // 8].amax(dim=(1, 2)) > 0).all()  # of each slice
    share = label.sum(dim=(0, 1, 2)) / (edge * edge * width / height)
    assert share.tolist() == pytest.approx([0, 100 / (height * width), 100 / (height * width)], rel=0.12)


def test_the_cache_changes_no_item(tmp_path: Path) -> None:
    item = item_of(write_scan(tmp_path / "set", NAME))
    disk = Caching(disk=Cache(tmp_path / "cache", 10**9))
    plain, *cached = prepared(item), prepared(item, caching=disk), prepared(item, caching=disk)
    assert len([*(tmp_path / "cache").glob("*.case")]) == 1
    for each in cached:
        assert torch.equal(each["image"], plain["image"])
        assert torch.equal(each["label"], plain["label"])
        assert each["case"] == NAME
    other = item_of(tmp_path / "set" / NAME, slices=2)
    prepared(other, caching=disk)
    assert len([*(tmp_path / "cache").glob("*.case")]) == 2


def test_a_new_patient_is_seen_as_in_an_evaluation(tmp_path: Path) -> None:
    item = item_of(write_scan(tmp_path, NAME))
    new = mt.Compose(lgg_transforms.new_volume(64))(ReadSlices(("image",))({"image": item["image"]}))["image"]
    assert torch.equal(torch.as_tensor(new), prepared(item)["image"])


def test_the_way_back_leads_a_prediction_to_the_slices_own_pixels(tmp_path: Path) -> None:
    item = item_of(write_scan(tmp_path, NAME))
    prepare = mt.Compose(lgg_transforms.new_volume(144))
    image = prepare(ReadSlices(("image",))({"image": item["image"]}))["image"]
    found = prepared(item, 144)["label"].float()
    back = mt.Invertd("found", transform=prepare, orig_keys="image", nearest_interp=False)(
        {"image": image, "found": MetaTensor(found)}
    )["found"]
    assert back.shape == (1, 3, *SIZE)
    truth = np.stack([slice_mask(place > 0) for place in range(3)]) > 0
    assert np.array_equal(back[0].numpy() > 0.5, truth)


def test_files_that_make_no_volume_are_one_sentence(tmp_path: Path) -> None:
    folder = write_scan(tmp_path, NAME)
    Image.fromarray(slice_pixels(1, (64, 64))).save(folder / f"{NAME}_2.tif")
    with pytest.raises(InputError, match=rf"{NAME}_2\.tif is 64 x 64 pixels, but .*{NAME}_1\.tif is 40 x 48"):
        ReadSlices()(item_of(folder))
    Image.fromarray(slice_pixels(1)[..., 0]).save(folder / f"{NAME}_2.tif")
    with pytest.raises(InputError, match=r"of the mode L; expected three channels"):
        ReadSlices()(item_of(folder))


def test_random_transforms_move_image_and_mask_together_and_are_seeded() -> None:
    mask = torch.zeros(1, 64, 64, dtype=torch.uint8)
    mask[:, 12:30, 36:50] = 1
    image = 4 * mask.repeat(3, 1, 1).half()
    transform = mt.Compose(lgg_transforms.training(64))
    made = []
    for seed in (*range(20), 0):
        transform.set_random_state(seed)
        item = transform({"image": image.clone(), "label": mask.clone()})
        found, label = (torch.as_tensor(item[key]) for key in ("image", "label"))
        assert (found.dtype, label.dtype) == (torch.float32, torch.float32)
        assert {*label.unique().tolist()} <= {0.0, 1.0}
        bright = found[1] > found[1].amax() / 2
        overlap = 2 * float((bright & (label[0] > 0)).sum()) / float(bright.sum() + label.sum())
        assert overlap > 0.9
        made.append((found, label))
    assert torch.equal(made[0][0], made[-1][0])
    assert len({tuple(label.flatten().tolist()) for _, label in made}) > 5
    assert {float(label[0, :, 32:].sum() > label[0, :, :32].sum()) for _, label in made} == {0.0, 1.0}  # flips
