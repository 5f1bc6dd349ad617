"""The task: what the network sees of a case, what it is scored by, and which sizes are refused."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import monai.transforms as mt
import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from torch import nn

from fedmed.core.errors import InputError
from fedmed.data.brats.brats_layout import PHANTOM_MARKER
from fedmed.data.datalist import Case, Datalist
from fedmed.data.prepared.cache import Cache, Caching
from fedmed.data.windows import Size
from fedmed.tasks.base import Flips, NativeGrid, Pictures, Row
from fedmed.tasks.brats18 import Brats18
from model import BratsSegResNet, BratsUNet

CPU = torch.device("cpu")


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def make_case(
    folder: Path, images: Sequence[np.ndarray], label: np.ndarray | None = None, affine: np.ndarray | None = None
) -> Case:
    label = np.zeros(images[0].shape, np.uint8) if label is None else label
    paths = [save(folder / f"{n}.nii", image, affine) for n, image in enumerate(images)]
    return Case(tuple(paths), save(folder / "seg.nii", label.astype(np.uint8), affine), {})


def noise(shape: tuple[int, int, int], seed: int = 0) -> list[np.ndarray]:
    """Four images with a background of exact zeros."""
    rng = np.random.default_rng(seed)
    images = [rng.integers(1, 1000, shape).astype(np.int16) for _ in range(4)]
    for image in images:
        image[:2] = 0
    return images


def listed(*cases: Case, scheme: str | None = None) -> Datalist:
    return Datalist(Path("site-1.json"), cases, cases[:1], scheme)


def seen(case: Case, scheme: str | None = None) -> dict[str, Any]:
    item: dict[str, Any] = Brats18().eval_set([case], scheme, Caching())[0]
    return item


@pytest.mark.parametrize(("scheme", "enhancing"), [(None, 4), ("brats2018", 4), ("brats2023", 3)])
def test_labels_become_the_three_regions(tmp_path: Path, scheme: str | None, enhancing: int) -> None:
    label = np.zeros((8, 8, 8), np.uint8)
    label[0, 0, :4] = (0, 1, 2, enhancing)
    item = seen(make_case(tmp_path / "c", noise((8, 8, 8)), label), scheme)
    core, whole, enhanced = item["label"].bool()
    assert core[0, 0, :4].tolist() == [False, True, False, True]
    assert whole[0, 0, :4].tolist() == [False, True, True, True]
    assert enhanced[0, 0, :4].tolist() == [False, False, False, True]
    assert item["label"].sum() == 2 + 3 + 1
    assert item["label"].dtype == torch.uint8
    assert item["case"] == "c"


def test_each_modality_is_normalised_over_its_brain(tmp_path: Path) -> None:
    images = noise((12, 10, 8))
    item = seen(make_case(tmp_path, images))
    assert item["image"].dtype == torch.float32
    for channel, image in zip(item["image"], images, strict=True):
        inside = torch.from_numpy(image != 0)
        assert channel[inside].mean() == pytest.approx(0, abs=1e-4)
        assert channel[inside].std(correction=0) == pytest.approx(1, abs=1e-4)
        assert not channel[~inside].any()
        expected = (image[image != 0] - image[image != 0].mean()) / image[image != 0].std()
        np.testing.assert_allclose(channel[inside].numpy(), expected, rtol=2**-11, atol=1e-6)  # float16's rounding


def test_regions_made_at_the_end_are_those_made_at_the_beginning(tmp_path: Path) -> None:
    """Also where a case is resampled and turned: nearest neighbours of labels and of regions are the same voxels."""
    affine = np.array([[0, 1.3, 0, 5], [-0.9, 0, 0, 2], [0, 0, 2.0, -7], [0, 0, 0, 1]])
    label = np.random.default_rng(1).choice([0, 1, 2, 4], (12, 10, 8))
    case = make_case(tmp_path, noise((12, 10, 8)), label, affine)
    first = mt.Compose(
        [
            mt.LoadImaged("label"),
            mt.ConvertToMultiChannelBasedOnBratsClassesd("label"),
            mt.Spacingd("label", pixdim=(1.0, 1.0, 1.0), mode="nearest"),
            mt.Orientationd("label", axcodes="RAS", labels=None),
        ]
    )({"label": case.target})["label"]
    assert torch.equal(seen(case)["label"].bool(), first.as_tensor().bool())


def test_cropped_to_the_brain_nothing_of_brain_or_truth_is_lost(tmp_path: Path) -> None:
    images = noise((24, 20, 16))
    for image in images:
        image[:, :5], image[:, :, 12:] = 0, 0
    label = np.zeros((24, 20, 16), np.uint8)
    label[8, 3, 14] = 4  # outside the brain
    case = make_case(tmp_path, images, label)
    whole = seen(case)
    cropped: dict[str, Any] = Brats18(crop_to_brain=True).eval_set([case], None, Caching())[0]
    assert cropped["image"].shape == (4, 22, 17, 15)
    for name in ("image", "label"):
        assert torch.equal(cropped[name], whole[name][:, 2:, 3:, :15])
        assert cropped[name].count_nonzero() == whole[name].count_nonzero()


def test_cropped_to_the_brain_training_crops_are_of_the_size_that_was_asked_for(tmp_path: Path) -> None:
    datalist = listed(make_case(tmp_path, noise((24, 20, 16))))
    item = Brats18(crop_to_brain=True, roi_size=(24, 16, 16)).train_set(datalist, Caching())[0]
    assert item["image"].shape == (4, 24, 16, 16)
    assert item["label"].shape == (3, 24, 16, 16)


def drawn(datalist: Datalist, foreground: float, *cachings: Caching) -> list[list[dict[str, torch.Tensor]]]:
    """Six training items each, from one random state."""
    every = []
    for caching in cachings:
        dataset = Brats18(roi_size=(16, 16, 8), foreground_crops=foreground).train_set(datalist, caching)
        dataset.transform.set_random_state(5)
        items = [dataset[n % 2] for n in range(6)]
        every.append([item[0] if isinstance(item, list) else item for item in items])
    return every


@pytest.mark.parametrize("foreground", [0.0, 1.0])
def test_where_cases_are_held_changes_no_number(tmp_path: Path, foreground: float) -> None:
    label = np.random.default_rng(3).choice([0, 1, 2, 4], (24, 20, 16))
    datalist = listed(*(make_case(tmp_path / str(n), noise((24, 20, 16), n), label) for n in range(2)))
    disk = Cache(tmp_path / "cache", 10**9)
    ways = Caching(), Caching(1.0), Caching(0, disk), Caching(0, disk), Caching(1.0, disk), Caching(0.5, disk)
    plain, *others = drawn(datalist, foreground, *ways)
    assert len(list(disk.folder.iterdir())) == 2
    for other in others:
        for one, another in zip(plain, other, strict=True):
            assert one["case"] == another["case"]
            assert torch.equal(one["image"], another["image"])
            assert torch.equal(one["label"], another["label"])
    scored = [Brats18().eval_set(datalist.training, None, caching)[1] for caching in ways]
    assert all(torch.equal(scored[0][name], other[name]) for other in scored for name in ("image", "label"))


def test_memory_holds_cases_in_their_compact_form(tmp_path: Path) -> None:
    dataset = Brats18().eval_set([make_case(tmp_path, noise((24, 20, 16)))], None, Caching(1.0))
    assert isinstance(dataset, CacheDataset)
    held = dataset._cache[0]
    assert held["image"].dtype == torch.float16
    assert held["label"].shape == (1, 22, 20, 16)


def test_one_entry_serves_every_label_scheme(tmp_path: Path) -> None:
    label = np.full((8, 8, 8), 3, np.uint8)
    case = make_case(tmp_path, noise((8, 8, 8)), label)
    caching = Caching(disk=Cache(tmp_path / "cache", 10**9))
    enhancing = [
        float(Brats18().eval_set([case], scheme, caching)[0]["label"][2].sum()) for scheme in ("brats2018", "brats2023")
    ]
    assert enhancing == [0, 8**3]


def test_the_number_of_threads_changes_no_case(tmp_path: Path) -> None:
    """It is no part of what a kept case is found by, and differs between a run's sites and its evaluation."""
    case = make_case(tmp_path, noise((64, 64, 64)))
    threads = torch.get_num_threads()
    try:
        items = []
        for number in (1, 2, 5):
            torch.set_num_threads(number)
            items.append(seen(case)["image"])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(items[0], item) for item in items)


def test_normalisation_comes_before_the_crop(tmp_path: Path) -> None:
    """One half is 100 and the other 300, so that the whole volume's normalisation makes them -1 and 1.

    Normalised inside a crop, they would be closer or further apart by the crop's share of each half, and a crop in
    one half would be 0.
    """
    image = np.full((48, 16, 16), 100, np.int16)
    image[24:] = 300
    task = Brats18(roi_size=(16, 16, 16))
    dataset = task.train_set(listed(make_case(tmp_path, [image] * 4)), Caching())
    dataset.transform.set_random_state(0)
    gaps, levels = [], []
    for _ in range(30):
        values = dataset[0]["image"][0].unique()
        if len(values) > 1:
            gaps.append(float(values.max() - values.min()))
        else:
            levels.append(abs(float(values)))
    assert gaps
    assert levels
    assert all(1.79 <= gap <= 2.21 for gap in gaps)  # the random scale is within a tenth
    assert all(0.79 <= level <= 1.21 for level in levels)  # and so is the random shift


def test_the_orientation_of_the_file_does_not_matter(tmp_path: Path) -> None:
    images = noise((12, 10, 8))
    label = np.random.default_rng(1).choice([0, 1, 2, 4], (12, 10, 8))
    plain = seen(make_case(tmp_path / "ras", images, label))
    flipped = np.diag([-1.0, -1.0, 1.0, 1.0])
    flipped[:2, 3] = (11, 9)
    turned = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], float)
    for name, change, affine in (
        ("lps", lambda a: a[::-1, ::-1].copy(), flipped),
        ("ars", lambda a: a.swapaxes(0, 1).copy(), turned),
    ):
        other = seen(make_case(tmp_path / name, [change(i) for i in images], change(label), affine))
        torch.testing.assert_close(other["image"], plain["image"])
        assert torch.equal(other["label"], plain["label"])


def test_modalities_keep_their_order(tmp_path: Path) -> None:
    shape = (8, 8, 8)
    images = [np.zeros(shape, np.int16) for _ in range(4)]
    for number, image in enumerate(images):
        image[number, 0, 0], image[7, 7, 7] = 100, 200
    image = seen(make_case(tmp_path, images))["image"]
    assert [tuple(channel.nonzero()[0].tolist()) for channel in image] == [(n, 0, 0) for n in range(4)]


@pytest.mark.parametrize(
    ("shape", "crop"), [((240, 240, 155), (224, 224, 144)), ((40, 36, 32), (40, 40, 32)), ((9, 8, 7), (16, 8, 8))]
)
def test_the_crop_is_the_published_one_or_what_the_volumes_need(
    tmp_path: Path, shape: tuple[int, int, int], crop: tuple[int, int, int]
) -> None:
    case = make_case(tmp_path, [np.zeros(shape, np.uint8)])
    assert Brats18().crop_size([case]) == crop
    assert Brats18(roi_size=(8, 16, 24)).crop_size([case]) == (8, 16, 24)


@pytest.mark.parametrize("name", ["roi_size", "infer_roi_size"])
@pytest.mark.parametrize("size", [(64, 64, 60), (0, 64, 64), (-8, 64, 64), (64, 64)])
def test_a_size_that_the_network_cannot_halve_is_refused(name: str, size: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=f"--{name} is {' '.join(map(str, size))};.*divisible by 8"):
        Brats18(**{name: size})


def test_its_networks_are_chosen_by_name_and_the_published_one_is_the_default() -> None:
    assert isinstance(Brats18().build_model(), BratsSegResNet)
    assert isinstance(Brats18(network="segresnet").build_model(), BratsSegResNet)
    assert isinstance(Brats18(network="unet").build_model(), BratsUNet)
    with pytest.raises(InputError, match="--network is vnet; expected one of segresnet, unet"):
        Brats18(network="vnet")


@pytest.mark.parametrize(
    ("size", "found"), [((40, 40, 40), "divisible by 16"), ((16, 16, 16), "one edge of 32 voxels or more")]
)
@pytest.mark.parametrize("name", ["roi_size", "infer_roi_size"])
def test_sizes_are_those_of_the_chosen_network(name: str, size: tuple[int, ...], found: str) -> None:
    Brats18(**{name: size})
    with pytest.raises(InputError, match=f"--{name} is .*{found}"):
        Brats18(network="unet", **{name: size})


def test_volumes_that_are_too_small_for_the_network_are_refused(tmp_path: Path) -> None:
    small = listed(make_case(tmp_path, noise((12, 12, 12))))
    assert Brats18().describe_data(small)["roi_size"] == (16, 16, 16)
    with pytest.raises(InputError, match=r"at most 12x12x12 voxels; .* needs 32 .* --network segresnet"):
        Brats18(network="unet").describe_data(small)


def test_a_small_volume_is_padded_to_a_crop_that_the_network_takes(tmp_path: Path) -> None:
    """Beside larger ones the list is not refused, and where a patient is a unit its crop is fitted to it alone."""
    datalist = listed(make_case(tmp_path / "small", noise((12, 12, 12))), make_case(tmp_path / "not", noise((40,) * 3)))
    task = Brats18(network="unet")
    assert task.describe_data(datalist)["roi_size"] == (48, 48, 48)
    sizes = [task.train_set_by_patient(datalist, Caching())[place]["image"].shape for place in range(2)]
    assert sizes == [(4, 32, 16, 16), (4, 48, 48, 48)]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_where_the_crop_is_given_patients_apart_have_the_same_items(tmp_path: Path, share: float) -> None:
    cases = [make_case(tmp_path / str(n), noise((24, 20, 16), n)) for n in range(3)]
    names = ("a", "b", "a")
    datalist = listed(*(Case(c.images, c.target, {"patient": n}) for c, n in zip(cases, names, strict=True)))
    task = Brats18(roi_size=(16, 16, 8))
    apart, together = task.train_set_by_patient(datalist, Caching(share)), task.train_set(datalist, Caching())
    for place in range(3):
        for dataset in (apart, together):
            dataset.transform.set_random_state(place)  # type: ignore[attr-defined]
        for name in ("image", "label"):
            assert torch.equal(apart[place][name], together[place][name])


def test_windows_fit_the_divisor_of_the_network() -> None:
    image = torch.zeros(1, 4, 40, 24, 33)
    windows: list[torch.Size] = []

    def network(part: torch.Tensor) -> torch.Tensor:
        windows.append(part.shape[2:])
        return part[:, :3]

    Brats18().infer(network, image)  # type: ignore[arg-type]
    Brats18(network="unet").infer(network, image)  # type: ignore[arg-type]
    assert [tuple(size) for size in windows] == [(40, 24, 40), (48, 32, 48)]


def test_it_can_mirror_draw_and_lead_back_to_the_files_grid() -> None:
    assert all(isinstance(Brats18(), capability) for capability in (Flips, Pictures, NativeGrid))


def test_its_demonstration_is_made_once_and_left_alone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Path] = []

    def make(folder: Path, lists: Path, size: Size) -> None:
        assert f"-{'x'.join(map(str, size))}" in Brats18.DEMO  # phantoms of another size lie elsewhere
        calls.append(lists)
        folder.mkdir()
        (folder / PHANTOM_MARKER).write_text("{}")

    monkeypatch.setattr("fedmed.data.phantoms.phantom.make_phantom", make)
    for _ in range(2):
        Brats18().demo_data(tmp_path / "demo")
    assert calls == [tmp_path / "demo" / "datalist"]


def test_a_demonstration_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"No phantoms can be made in .*file.*name a dataset"):
        Brats18().demo_data(tmp_path / "file" / "demo")


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_of_foreground_crops_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="--foreground_crops"):
        Brats18(foreground_crops=share)


@pytest.mark.parametrize("crop", [(48, 40, 32), (40, 40, 40), (64, 64, 64)])
def test_a_crop_that_would_be_padding_is_refused(tmp_path: Path, crop: Size) -> None:
    """The training volumes decide; one of the validation may be larger."""
    training, validation = (
        make_case(tmp_path / "t", noise((40, 36, 32))),
        make_case(tmp_path / "v", noise((64, 64, 64))),
    )
    datalist = Datalist(tmp_path, (training,), (validation,), None)
    assert Brats18(roi_size=(40, 40, 32)).describe_data(datalist)["roi_size"] == (40, 40, 32)
    expected = (
        f"--roi_size {' '.join(map(str, crop))} is larger than every training volume .at most 40x36x32 voxels.*40 40 32"
    )
    with pytest.raises(InputError, match=expected):
        Brats18(roi_size=crop).describe_data(datalist)


def test_the_description_holds_the_sizes_of_the_data(tmp_path: Path) -> None:
    cases = [make_case(tmp_path / str(n), noise((10 + n, 10, 9))) for n in range(3)]
    found = Brats18().describe_data(listed(*cases, scheme="brats2023"))
    assert found == {
        "training": 3, "validation": 1, "label_scheme": "brats2023", "largest_volume": (12, 10, 9),
        "roi_size": (16, 16, 16), "crops": "16 16 16 voxels",
    }  # fmt: skip


def test_the_audit_knows_the_lists_own_scheme(tmp_path: Path) -> None:
    label = np.zeros((12, 12, 12), np.uint8)
    label[4, 4, 4] = 4
    case = make_case(tmp_path, noise((12, 12, 12)), label)
    assert not Brats18().audit("site-1", listed(case), allow_overlap=True).errors
    errors = Brats18().audit("site-1", listed(case, scheme="brats2023"), allow_overlap=True).errors
    assert [error.check for error in errors] == ["label values"]
    with pytest.raises(InputError, match="brats1999"):
        Brats18().audit("site-1", listed(case, scheme="brats1999"), allow_overlap=True)


@pytest.mark.parametrize("foreground", [0.0, 1.0])
def test_a_volume_smaller_than_the_crop_is_padded(tmp_path: Path, foreground: float) -> None:
    label = np.zeros((10, 9, 16), np.uint8)
    label[4:6, 4:6, 4:6] = 4
    task = Brats18(roi_size=(16, 16, 8), foreground_crops=foreground)
    item = task.train_set(listed(make_case(tmp_path, noise((10, 9, 16)), label)), Caching())[0]
    item = item[0] if isinstance(item, list) else item
    assert item["image"].shape == (4, 16, 16, 8)
    assert item["label"].shape == (3, 16, 16, 8)
    assert item["label"].dtype == torch.float32
    outside = (item["image"] == 0).all(dim=0)
    assert outside.sum() >= 16 * 16 * 8 - 10 * 9 * 8
    assert not item["label"][:, outside].any()


def test_image_and_label_are_cropped_and_flipped_together(tmp_path: Path) -> None:
    label = np.random.default_rng(3).choice([0, 1, 2, 4], (24, 20, 16))
    images = [np.where(label == 0, 100, 500).astype(np.int16)] * 4
    dataset = Brats18(roi_size=(16, 16, 8)).train_set(listed(make_case(tmp_path, images, label)), Caching())
    dataset.transform.set_random_state(0)
    items = [dataset[0] for _ in range(8)]
    for item in items:
        bright = item["image"][0] > item["image"][0].mean()
        assert torch.equal(bright, item["label"][1].bool())
    assert len({item["label"].numpy().tobytes() for item in items}) > 1


def test_foreground_crops_hold_tumour(tmp_path: Path) -> None:
    label = np.zeros((48, 48, 48), np.uint8)
    label[3, 4, 40] = 2
    datalist = listed(make_case(tmp_path, noise((48, 48, 48)), label))

    def holds(share: float) -> list[bool]:
        dataset = Brats18(roi_size=(8, 8, 8), foreground_crops=share).train_set(datalist, Caching(1.0))
        dataset.transform.set_random_state(0)
        items = [dataset[0] for _ in range(6)]
        return [bool((item[0] if isinstance(item, list) else item)["label"].any()) for item in items]

    assert all(holds(1.0))
    assert not all(holds(0.0))


class Oracle(nn.Module):
    """Reads the truth from its input's first channels; ``sign`` -1 is always wrong."""

    def __init__(self, sign: float = 1.0, blind: int | None = None) -> None:
        super().__init__()
        self.sign, self.blind = sign, blind

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits = self.sign * (20 * image[:, :3] - 10)
        if self.blind is not None:
            logits[:, self.blind] = -10
        return logits


def told(shape: tuple[int, int, int], empty: Sequence[int] = (), seed: int = 0) -> dict[str, Any]:
    """An item whose image holds its own truth."""
    truth = (torch.rand(3, *shape, generator=torch.Generator().manual_seed(seed)) > 0.7).to(torch.uint8)
    truth[list(empty)] = 0
    return {"image": torch.cat([truth, truth[:1]]).float(), "label": truth, "case": f"case-{seed}"}


@pytest.mark.parametrize("window", [(240, 240, 160), (16, 16, 16), (8, 16, 24)])
@pytest.mark.parametrize("shape", [(16, 16, 16), (21, 13, 30), (5, 8, 9)])
def test_a_perfect_prediction_scores_1_and_its_opposite_0(
    shape: tuple[int, int, int], window: tuple[int, int, int]
) -> None:
    task = Brats18(infer_roi_size=window)
    items = [told(shape), told(shape, seed=1)]
    good = task.evaluate(Oracle(), items, CPU)
    assert [(row.case, row.target, row.quantity) for row in good] == [
        (case, region, metric)
        for case in ("case-0", "case-1")
        for metric in ("dice", "challenge_dice")
        for region in ("TC", "WT", "ET")
    ]
    assert {row.value for row in good} == {1.0}
    assert {row.value for row in task.evaluate(Oracle(sign=-1), items, CPU)} == {0.0}


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_each_channel_is_scored_as_its_own_region(channel: int) -> None:
    rows = Brats18().evaluate(Oracle(blind=channel), [told((16, 16, 16))], CPU)
    wrong = {row.target for row in rows if row.value == 0}
    assert wrong == {Brats18.TARGETS[channel]}
    assert {row.value for row in rows if row.target not in wrong} == {1.0}


def test_the_published_order_normalises_what_was_cut_out(tmp_path: Path) -> None:
    """Over the crop's own voxels the spread is then 1, but for the random gain of at most a tenth."""
    volumes = [100 + np.arange(32 * 24 * 16, dtype=np.float32).reshape(32, 24, 16) * (n + 1) for n in range(4)]
    case = make_case(tmp_path, volumes, np.ones((32, 24, 16), np.uint8))
    caching = Caching(disk=Cache(tmp_path / "cache", 10**9))
    spreads = {}
    for normalize in ("crop", "volume"):
        task = Brats18(normalize=normalize, roi_size=(8, 8, 8))  # type: ignore[arg-type]
        item: Any = task.train_set(listed(case), caching)[0]
        assert item["image"].shape == (4, 8, 8, 8)
        spreads[normalize] = item["image"].std(dim=(1, 2, 3), correction=0)
        kept = len(list((tmp_path / "cache").glob("*.case")))
        assert kept == (0 if normalize == "crop" else 1)
    assert ((spreads["crop"] >= 0.89) & (spreads["crop"] <= 1.11)).all()
    assert (spreads["volume"] < 0.6).all()


def test_the_published_windows_are_laid_on_padded_volumes(tmp_path: Path) -> None:
    case = make_case(tmp_path, noise((20, 40, 33)), np.ones((20, 40, 33), np.uint8))
    item: Any = Brats18(windows="padded").eval_set([case], None, Caching())[0]
    assert item["image"].shape == (4, 32, 64, 64)
    assert item["label"].shape == (3, 32, 64, 64)
    assert item["label"].sum() == Brats18().eval_set([case], None, Caching())[0]["label"].sum()  # type: ignore[index]


def test_the_box_of_the_brain_needs_prepared_volumes() -> None:
    with pytest.raises(InputError, match="drop it or --normalize crop"):
        Brats18(crop_to_brain=True, normalize="crop")


def test_an_empty_region_is_left_out_by_one_rule_and_rewarded_by_the_other() -> None:
    rows = Brats18().evaluate(Oracle(), [told((16, 16, 16), empty=[2])], CPU)
    values = {(row.quantity, row.target): row.value for row in rows}
    assert math.isnan(values["dice", "ET"])
    assert values["challenge_dice", "ET"] == 1
    assert "val_dice_et" not in Brats18().metrics(rows)


def test_metrics_are_means_over_all_pairs_that_are_not_empty() -> None:
    table = {"a": (0.9, 0.6, math.nan), "b": (0.3, 0.8, 0.2), "c": (math.nan, 0.7, math.nan)}
    rows = [
        Row(case, region, "dice", value)
        for case, values in table.items()
        for region, value in zip(Brats18.TARGETS, values, strict=True)
    ]
    rows += [Row("a", "TC", "challenge_dice", 1.0), Row("b", "TC", "challenge_dice", 0.5)]
    assert Brats18().metrics(rows) == {
        "val_dice": pytest.approx((0.9 + 0.6 + 0.3 + 0.8 + 0.2 + 0.7) / 6),  # and not the mean of the regions' means
        "val_dice_tc": pytest.approx(0.6),
        "val_dice_wt": pytest.approx(0.7),
        "val_dice_et": pytest.approx(0.2),
        "val_challenge_dice": pytest.approx(0.75),
        "val_dice_values": 6,
        "val_dice_tc_values": 2,
        "val_dice_wt_values": 3,
        "val_dice_et_values": 1,
        "val_challenge_dice_values": 2,
    }
    assert Brats18.KEY_METRIC in Brats18().metrics(rows)


def test_the_loss_is_dice_of_squares_averaged_over_regions() -> None:
    output = torch.tensor([[[[[0.5, -1.0]]], [[[2.0, 0.0]]], [[[-3.0, 1.0]]]]])
    label = torch.tensor([[[[[1.0, 0.0]]], [[[1.0, 1.0]]], [[[0.0, 0.0]]]]])
    p = output.sigmoid()
    parts = [1 - 2 * (p * label)[0, c].sum() / ((p**2 + label**2)[0, c].sum() + 1e-5) for c in range(3)]
    assert float(Brats18().loss()(output, label)) == pytest.approx(float(sum(parts)) / 3, abs=1e-6)


def test_the_network_has_an_input_a_modality_and_an_output_a_region() -> None:
    described = Brats18().label_map()
    model = Brats18().build_model()
    assert model.arguments["in_channels"] == len(described["input_channels"]) == 4
    assert model.arguments["out_channels"] == len(Brats18.TARGETS)
    assert tuple(described["output_channels"]) == Brats18.TARGETS
    assert described["enhancing_label"] == {"brats2018": 4, "brats2023": 3}


class Shifted(nn.Module):
    """Logits that grow along X, so that a mirrored image's are another's."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        steps = torch.linspace(-1, 1, image.shape[2])[None, None, :, None, None]
        return image[:, :3] + steps


def test_a_probability_is_the_sigmoid_of_the_logit() -> None:
    image = torch.randn(1, 4, 16, 16, 16)
    found = Brats18().probabilities(Shifted(), image)
    torch.testing.assert_close(found, Shifted()(image).sigmoid())


def test_with_flips_a_mirrored_image_has_the_mirrored_prediction() -> None:
    image = torch.randn(1, 4, 16, 16, 16)
    found = Brats18().probabilities(Shifted(), image, flips=True)
    mirrored = Brats18().probabilities(Shifted(), image.flip([2, 4]), flips=True)
    torch.testing.assert_close(found, mirrored.flip([2, 4]))
    assert not torch.allclose(found, Brats18().probabilities(Shifted(), image))


def test_gaussian_windows_trust_their_middle() -> None:
    """Where two windows overlap, the answer is nearer that of the window whose middle is nearer."""

    def by_window(image: torch.Tensor) -> torch.Tensor:
        return image[:, :3].mean(dim=(2, 3, 4), keepdim=True).repeat(1, 1, *image.shape[2:])

    image = torch.cat([torch.zeros(1, 4, 16, 16, 16), torch.ones(1, 4, 8, 16, 16)], dim=2)
    task = Brats18(infer_roi_size=(16, 16, 16))
    values = task.infer(by_window, image, "gaussian")[0, 0, :, 8, 8]  # type: ignore[arg-type]
    constant = task.infer(by_window, image)[0, 0, :, 8, 8]  # type: ignore[arg-type]
    assert constant[8] == constant[15]
    assert values[8] < constant[8]
    assert values[15] > constant[15]


def test_a_network_that_gives_nan_is_refused() -> None:
    with pytest.raises(InputError, match="holds NaN"):
        Brats18().probabilities(nn.Conv3d(4, 3, 1), torch.full((1, 4, 16, 16, 16), float("nan")))
