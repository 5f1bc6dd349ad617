"""Single slices out of prepared volumes: in the list's order, the same wherever volumes lie, of their patient alone."""

from pathlib import Path

import torch

from fedmed.data.datalist import Case
from fedmed.data.lgg import lgg_transforms
from fedmed.data.lgg.lgg_layout import find_lgg
from fedmed.data.lgg.slice_dataset import SliceDataset, volume_item, weights_for_share
from fedmed.data.prepared.cache import Cache, Caching
from tests.data.lgg.written_scans import write_scan


def cases(root: Path) -> list[Case]:
    patients = find_lgg(root).patients
    return [Case((each.image,), each.mask, {"patient": each.patient}) for one in patients for each in one.slices]


def slices(some: list[Case], caching: Caching | None = None) -> SliceDataset:
    return SliceDataset(some, caching or Caching(1.0), 64, [])


def written(root: Path) -> list[Case]:
    write_scan(root, "TCGA_CS_1_1", slices=3)
    write_scan(root, "TCGA_DU_2_1", slices=2, seed=1)
    return cases(root)


def test_items_are_the_volumes_slices_in_the_order_of_the_cases(tmp_path: Path) -> None:
    listed = written(tmp_path)
    volumes = [volume_item(listed[:3], "a"), volume_item(listed[3:], "b")]
    fixed = lgg_transforms.deterministic(Caching(), 64)
    expected = []
    for item in volumes:
        for step in fixed:
            item = step(item)
        expected += [(item["image"][..., place], item["label"][..., place]) for place in range(item["image"].shape[-1])]
    found = slices(listed)
    assert len(found) == 5
    for place, (image, label) in enumerate(expected):
        assert torch.equal(found[place]["image"].float(), image)
        assert torch.equal(found[place]["label"], label)
    mixed = slices([listed[i] for i in (0, 3, 1, 4, 2)])
    assert torch.equal(mixed[1]["image"], found[3]["image"])
    assert torch.equal(mixed[4]["image"], found[2]["image"])


def test_the_place_of_the_volumes_changes_no_item(tmp_path: Path) -> None:
    listed = written(tmp_path / "set")
    places = (Caching(1.0), Caching(0.0), Caching(0.5, Cache(tmp_path / "cache", 10**9)))
    one, *others = (slices(listed, caching) for caching in places)
    for other in others:
        for place in range(len(one)):
            assert all(torch.equal(one[place][key], other[place][key]) for key in ("image", "label"))
    assert len([*(tmp_path / "cache").glob("*.case")]) == 2


def test_a_slice_depends_on_its_own_patient_alone(tmp_path: Path) -> None:
    listed = written(tmp_path)
    both, alone = slices(listed), slices(listed[3:])
    assert torch.equal(both[4]["image"], alone[1]["image"])


def test_random_transforms_are_seeded_through_the_set(tmp_path: Path) -> None:
    found = SliceDataset(written(tmp_path), Caching(1.0), 64, lgg_transforms.training(64))
    made = []
    for seed in (1, 2, 1):
        found.transform.set_random_state(seed)
        made.append(found[1])
    assert torch.equal(made[0]["image"], made[2]["image"])
    assert not torch.equal(made[0]["image"], made[1]["image"])
    assert (made[0]["image"].shape, made[0]["label"].shape) == ((3, 64, 64), (1, 64, 64))
    assert made[0]["label"].dtype == torch.float32


def test_black_slices_at_the_ends_are_there(tmp_path: Path) -> None:
    """The compact form cuts them off where they are 0."""
    from fedmed.data.lgg.slice_dataset import _compact_slice
    from fedmed.data.prepared.compact import Compact, Expand

    image, label = torch.zeros(3, 5, 8, 8), torch.zeros(1, 5, 8, 8)
    image[:, 2:4, 3:6, 2:7] = torch.arange(1.0, 91).reshape(3, 2, 3, 5)
    label[:, 3, 4, 4] = 1
    compact = Compact()({"image": image, "label": label})
    for place in range(5):
        found = Expand()(_compact_slice(compact, place))
        assert torch.equal(found["image"][:, 0].float(), image[:, place])
        assert torch.equal(found["label"][:, 0].float(), label[:, place])


def test_slices_with_tumour_are_known_and_get_their_share_of_the_weight(tmp_path: Path) -> None:
    shown = slices(written(tmp_path)).shows_tumour()
    assert shown == [False, True, True, False, True]  # the first of each scan has none
    weights = weights_for_share(shown, 0.75)
    assert weights == [0.125, 0.25, 0.25, 0.125, 0.25]
    assert weights_for_share([True, True], 0.75) is None
    assert weights_for_share([False], 0.75) is None
