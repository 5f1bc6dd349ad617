"""The compact form: nothing lost but float16's rounding, and the way back."""

from typing import Any

import pytest
import torch

from fedmed.data.prepared.compact import PARTS, Compact, Expand, pack, unpack

SHAPE = (9, 11, 7)


def volume(seed: int, shape: tuple[int, int, int] = SHAPE) -> dict[str, Any]:
    """Random values in a random box of zeros; the label may lie partly outside the image's box."""
    generator = torch.Generator().manual_seed(seed)
    image, label = torch.zeros(4, *shape), torch.zeros(1, *shape)
    for target, values in ((image, torch.randn(4, *shape, generator=generator)), (label, torch.ones(1, *shape) * 4)):
        corners = [sorted(torch.randint(0, edge + 1, (2,), generator=generator).tolist()) for edge in shape]
        box = (slice(None), *(slice(*corner) for corner in corners))
        target[box] = values[box]
    return {"image": image, "label": label, "case": f"c{seed}"}


@pytest.mark.parametrize("seed", range(25))
def test_there_and_back_only_float16_rounds(seed: int) -> None:
    item = volume(seed)
    compact = Compact()(item)
    back = Expand()(compact)
    assert torch.equal(back["image"], item["image"].to(torch.float16))
    assert torch.equal(back["label"], item["label"].to(torch.uint8))
    assert set(back) == set(item)
    if item["image"].any() or item["label"].any():
        for axis in range(3):  # the box is the smallest: its outer planes hold something
            for end in (0, -1):
                planes = [compact[name].select(axis + 1, end) for name in ("image", "label")]
                assert any(plane.any() for plane in planes)


@pytest.mark.parametrize("seed", range(5))
def test_the_box_alone_holds_everything(seed: int) -> None:
    item = volume(seed)
    kept = Expand(keep_box=True)(Compact()(item))
    assert set(kept) == set(item)
    for name in ("image", "label"):
        assert kept[name].count_nonzero() == item[name].count_nonzero()


def test_an_empty_volume_keeps_a_voxel() -> None:
    item = {"image": torch.zeros(4, *SHAPE), "label": torch.zeros(1, *SHAPE)}
    compact = Compact()(item)
    assert compact["image"].shape == (4, 1, 1, 1)
    assert torch.equal(Expand()(compact)["image"], item["image"].half())


@pytest.mark.parametrize("value", [7e4, -7e4, 1e30, float("inf"), float("-inf")])
def test_a_value_beyond_float16_stays_finite(value: float) -> None:
    item = volume(1)
    item["image"][0, 0, 0, 0] = value
    stored = Expand()(Compact()(item))["image"]
    assert stored.isfinite().all()
    assert stored[0, 0, 0, 0] == (65504 if value > 0 else -65504)


@pytest.mark.parametrize("seed", range(5))
def test_bytes_and_back(seed: int) -> None:
    compact = Compact()(volume(seed))
    back = unpack(pack(compact))
    assert set(back) == set(PARTS)
    for name in PARTS:
        assert torch.equal(back[name], compact[name])
        assert back[name].dtype == compact[name].dtype


def test_nothing_pickled_is_opened() -> None:
    import io

    import numpy as np

    file = io.BytesIO()
    np.save(file, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        unpack(file.getvalue())
