"""The hippocampus task: what its items hold, how it scores, and that a site of it trains."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.names import STATE_VARIABLE
from fedmed.data.datalist import Datalist, load_datalist
from fedmed.data.image_file import read_image
from fedmed.data.phantoms.hippocampus_phantom import demo_hippocampi
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite
from fedmed.tasks.base import Flips, NativeGrid, Pictures
from fedmed.tasks.hippocampus import Hippocampus, likeliest, masks_of
from model import HippocampusSegResNet, HippocampusUNet

CPU = torch.device("cpu")
WINDOW = (32, 48, 32)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hippocampus") / "set"
    demo_hippocampi(folder, sites=2, cases=2, validation=2)
    return folder


@pytest.fixture
def datalist(demo: Path) -> Datalist:
    return load_datalist(demo / "datalist" / "site-All.json", demo)


@pytest.fixture
def task() -> Hippocampus:
    return Hippocampus(window_size=WINDOW)


def experiment(demo: Path, *arguments: str) -> Experiment:
    data = ["--dataset_base_dir", str(demo), "--datalist_json_path", str(demo / "datalist"), "--n_clients", "2"]
    window = ["--window_size", *map(str, WINDOW)]
    return read_experiment(["--task", "hippocampus", *data, *window, "--aggregation_epochs", "1", *arguments])


class Oracle(nn.Module):
    """Logits of the true labels, which it reads off an image that holds them; only the label ``known`` if given."""

    def __init__(self, known: int | None = None) -> None:
        super().__init__()
        self.known = known

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        labels = image[:, 0].round().long()
        if self.known is not None:
            labels = labels * (labels == self.known)
        return 20 * F.one_hot(labels, 3).movedim(-1, 1).float()


def item_of_its_truth(task: Hippocampus, datalist: Datalist) -> dict[str, Any]:
    """A validation item whose image is its label."""
    item = task.eval_set(datalist.validation, None, Caching())[0]
    return {**item, "image": torch.as_tensor(item["label"]).float()}


@pytest.mark.parametrize("network", [HippocampusSegResNet, HippocampusUNet])
def test_networks_are_small_and_rebuilt_from_their_arguments(network: Any) -> None:
    original = network()
    rebuilt = network(**original.arguments)
    assert {k: v.shape for k, v in original.state_dict().items()} == {
        k: v.shape for k, v in rebuilt.state_dict().items()
    }
    assert sum(p.numel() for p in original.parameters()) < 1.2e6
    assert not list(original.buffers())
    edges = (network.LEAST_EDGE, network.DIVISOR, network.DIVISOR)
    assert original(torch.randn(2, 1, *edges)).shape == (2, 3, *edges)


def test_training_items_are_of_the_windows_size_and_hold_labels(task: Hippocampus, datalist: Datalist) -> None:
    for window in (WINDOW, (16, 16, 16)):  # larger and smaller than the volumes
        items = Hippocampus(window_size=window).train_set(datalist, Caching())
        items.transform.set_random_state(0)  # type: ignore[attr-defined]
        item = items[0]
        assert item["image"].shape == item["label"].shape == (1, *window)
        assert (item["image"].dtype, item["label"].dtype) == (torch.float32, torch.uint8)
        assert set(np.unique(item["label"])) <= {0, 1, 2}


def test_intensities_of_all_sources_are_comparable(task: Hippocampus, datalist: Datalist) -> None:
    ranges = [np.ptp(read_image(case.images[0]).voxels.astype(float)) for case in datalist.validation]
    assert max(ranges) > 5 * min(ranges)
    for item in (task.eval_set(datalist.validation, None, Caching())[i] for i in range(2)):
        assert float(torch.as_tensor(item["image"]).mean()) == pytest.approx(0, abs=0.01)
        assert float(torch.as_tensor(item["image"]).std()) == pytest.approx(1, abs=0.01)


def test_evaluation_items_are_whole_volumes_and_so_is_the_prediction(task: Hippocampus, datalist: Datalist) -> None:
    """No voxel is left out of a score, also where the window is smaller than the volume."""
    item = task.eval_set(datalist.validation, None, Caching())[0]
    shape = read_image(datalist.validation[0].images[0]).voxels.shape
    assert item["image"].shape == item["label"].shape == (1, *shape)
    image = torch.as_tensor(item["label"]).float()[None]
    for window in (WINDOW, (16, 16, 16)):
        found = Hippocampus(window_size=window).infer(Oracle(), image)
        assert torch.equal(found.argmax(dim=1), image[:, 0].long())


def test_the_truth_scores_perfectly_in_rounds_and_afterwards(task: Hippocampus, datalist: Datalist) -> None:
    item = item_of_its_truth(task, datalist)
    rows = task.measure(Oracle(), item, CPU)
    values = {(row.target, row.quantity): row.value for row in rows}
    assert {row.quantity for row in rows} == {metric.name for metric in task.METRICS}
    for target in ("anterior", "posterior"):
        assert values[target, "dice"] == values[target, "surface_dice"] == 1
        assert values[target, "hd95"] == values[target, "volume_error"] == 0
        assert values[target, "volume"] == pytest.approx(values[target, "predicted_volume"])
    quick = task.evaluate(Oracle(), [item], CPU)  # type: ignore[arg-type]
    assert task.metrics(quick)[task.KEY_METRIC] == 1


def test_a_part_that_is_missed_scores_nothing_and_the_other_is_not_harmed(
    task: Hippocampus, datalist: Datalist
) -> None:
    values = {
        (row.target, row.quantity): row.value
        for row in task.measure(Oracle(known=1), item_of_its_truth(task, datalist), CPU)
    }
    assert values["anterior", "dice"] == 1
    assert values["posterior", "dice"] == values["posterior", "predicted_volume"] == 0


def test_parts_are_the_likeliest_labels_not_those_above_one_half() -> None:
    probabilities = torch.tensor([[0.4, 0.25], [0.35, 0.1]]).reshape(1, 2, 2, 1, 1)  # background 0.25 and 0.65
    assert likeliest(probabilities).flatten().tolist() == [1, 0]
    labels = torch.tensor([[[[0, 1, 2]]]])
    assert masks_of(labels)[0].flatten(1).tolist() == [[False, True, False], [False, False, True]]


def test_the_loss_is_least_for_the_truth(task: Hippocampus, datalist: Datalist) -> None:
    label = torch.as_tensor(task.eval_set(datalist.validation, None, Caching())[0]["label"])[None]
    loss = task.loss()
    right, wrong = Oracle()(label.float()), Oracle(known=1)(label.float())
    assert float(loss(right, label)) < 0.01 < 0.3 < float(loss(wrong, label))


def test_mirrored_copies_are_those_of_the_other_side_alone(task: Hippocampus) -> None:
    seen: list[torch.Tensor] = []

    class Recorder(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(image.clone())
            return image.repeat(1, 3, 1, 1, 1)

    image = torch.randn(1, 1, *WINDOW)
    task.probabilities(Recorder(), image, flips=True)
    assert len(seen) == 2
    assert torch.equal(seen[1], seen[0].flip(2))


def test_nan_is_refused_and_names_the_case(task: Hippocampus, datalist: Datalist) -> None:
    class Broken(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.repeat(1, 3, 1, 1, 1) * float("nan")

    with pytest.raises(InputError, match="phantom_001: The network's prediction holds NaN"):
        task.measure(Broken(), item_of_its_truth(task, datalist), CPU)


def test_it_has_every_capability(task: Hippocampus, datalist: Datalist) -> None:
    assert isinstance(task, Flips)
    assert isinstance(task, Pictures)
    assert isinstance(task, NativeGrid)
    assert task.picture(Oracle(), item_of_its_truth(task, datalist), CPU).startswith(b"\x89PNG")
    case = datalist.validation[0]
    alone = task.new_patient()({"image": [str(case.images[0])]})["image"]
    item = task.eval_set([case], None, Caching())[0]
    assert torch.equal(torch.as_tensor(alone), torch.as_tensor(item["image"]))


def test_data_are_described_with_the_volumes_that_are_cut(datalist: Datalist) -> None:
    assert Hippocampus().describe_data(datalist)["larger_than_window"] == 0
    assert Hippocampus(window_size=(16, 16, 16)).describe_data(datalist)["larger_than_window"] == 6


@pytest.mark.parametrize("size", [(48, 64, 47), (0, 16, 16), (8, 8, 8)])
def test_a_window_that_the_network_cannot_take_is_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="--window_size"):
        Hippocampus(network="unet", window_size=size)


def test_a_list_of_another_label_scheme_is_refused(task: Hippocampus) -> None:
    with pytest.raises(InputError, match="brats2018"):
        task.rules("brats2018")


@pytest.mark.parametrize("network", ["segresnet", "unet"])
def test_a_site_trains_and_is_scored(demo: Path, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    site = LocalSite(experiment(demo, "--network", network), "site-1", "run")
    assert not site.audit.errors
    start = site.weights()
    site.begin(start, 0)
    trained = site.train(0)
    assert trained.steps == 1
    assert any(not torch.equal(values, start[name]) for name, values in site.weights().items())
    assert 0 <= site.evaluate()["val_dice"] <= 1


def test_without_a_dataset_it_runs_the_demonstration() -> None:
    found = read_experiment(["--task", "hippocampus"])
    assert found.task.window_size == WINDOW  # type: ignore[attr-defined]
    standard = read_experiment(["--task", "hippocampus", "--preset", "standard"])
    assert found.training.num_rounds < standard.training.num_rounds
