"""The brain MRI task: what its items hold, how it scores, and that a site of it trains."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.names import STATE_VARIABLE
from fedmed.data.brain_mri.classes import CLASSES
from fedmed.data.datalist import Datalist, load_datalist
from fedmed.data.phantoms.brain_mri_phantom import demo_brain_mri
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite
from fedmed.tasks.base import ImageClassifier, Pictures
from fedmed.tasks.brain_mri import BrainMri

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brain") / "set"
    demo_brain_mri(folder, sites=2, cases=2, validation=1, test=1)
    return folder


@pytest.fixture
def datalist(demo: Path) -> Datalist:
    return load_datalist(demo / "datalist" / "site-1.json", demo)


def experiment(demo: Path, *arguments: str) -> Experiment:
    data = ["--dataset_base_dir", str(demo), "--datalist_json_path", str(demo / "datalist"), "--n_clients", "2"]
    short = ["--num_rounds", "1", "--image_size", "64", "--batch_size", "4", "--aggregation_epochs", "2"]
    return read_experiment(["--task", "brain_mri", *data, *short, *arguments])


class Oracle(nn.Module):
    """Logits of the class whose number stands in the picture's first pixel, with a mistake for each in ``wrong``."""

    def __init__(self, wrong: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        number = image[:, 0, 0, 0].round().long()
        for each in self.wrong:
            number = torch.where(number == each, (number + 1) % len(CLASSES), number)
        return 20 * F.one_hot(number, len(CLASSES)).float()


def items_of_their_truth(task: BrainMri, datalist: Datalist) -> list[dict[str, Any]]:
    """Validation items whose pictures hold the number of their class."""
    items = task.eval_set(datalist.validation, None, Caching())
    made = [items[place] for place in range(len(datalist.validation))]
    return [{**item, "image": torch.full((1, 8, 8), float(item["label"]))} for item in made]


@pytest.mark.parametrize(("channels", "size"), [(1, 64), (3, 96)])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_network_takes_the_items(demo: Path, datalist: Datalist, channels: Any, size: int, norm: Any) -> None:
    task = BrainMri(channels=channels, image_size=size, norm=norm)
    items = task.train_set(datalist, Caching())
    items.transform.set_random_state(0)  # type: ignore[attr-defined]
    item = items[0]
    assert item["image"].shape == (channels, size, size)
    assert CLASSES[item["label"]] == datalist.training[0].target
    network = task.build_model().eval()
    assert network(item["image"][None]).shape == (1, len(CLASSES))
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules()) == (norm == "batch")


def without(datalist: Datalist, *classes: str) -> Datalist:
    return replace(datalist, training=tuple(case for case in datalist.training if case.target not in classes))


def test_a_site_that_lacks_a_class_pushes_it_less_but_no_image_decides_anothers_gradient(datalist: Datalist) -> None:
    """Labels tell of missing classes where sites are the unit, and never where a patient or an image is."""
    task, fewer = BrainMri(image_size=64, missing_class_scale=0.5), without(datalist, "no_tumor")
    label = task.train_set(fewer, Caching())[0]["label"]
    assert torch.as_tensor(label).isnan().tolist() == [False, False, True, False]
    by_image = task.train_set_by_patient(fewer, Caching())
    assert all(isinstance(by_image[place]["label"], int) for place in range(len(fewer.training)))  # type: ignore[arg-type]
    usual = BrainMri(image_size=64).train_set(fewer, Caching())
    assert usual[0]["label"] == CLASSES.index(str(fewer.training[0].target))


def test_pictures_are_evaluated_as_they_are(datalist: Datalist) -> None:
    items = BrainMri(image_size=64).eval_set(datalist.validation, None, Caching())
    first, again = items[0]["image"], items[0]["image"]
    assert torch.equal(torch.as_tensor(first), torch.as_tensor(again))


def test_scores_count_right_classes(datalist: Datalist) -> None:
    task = BrainMri(image_size=64)
    items = items_of_their_truth(task, datalist)
    for wrong, right in (((), 1.0), ((0,), 0.75), ((1, 2), 0.5)):
        rows = task.evaluate(Oracle(wrong), items, CPU)  # type: ignore[arg-type]
        assert task.metrics(rows)[task.KEY_METRIC] == right
    alone = [row for item in items for row in task.measure(Oracle(), item, CPU)]
    assert alone == task.evaluate(Oracle(), items, CPU)  # type: ignore[arg-type]


def test_scores_of_pictures_do_not_depend_on_which_are_scored_together(datalist: Datalist) -> None:
    task = BrainMri(image_size=64)
    network = task.first_model(0).eval()
    items = task.eval_set(datalist.validation, None, Caching())
    with torch.inference_mode():
        together = task.evaluate(network, items, CPU)
        alone = [row for place in range(len(datalist.validation)) for row in task.measure(network, items[place], CPU)]
    assert [row[:3] for row in together] == [row[:3] for row in alone]
    assert [row.value for row in together] == pytest.approx([row.value for row in alone], abs=1e-5)


def test_a_network_that_gives_nan_is_named_with_its_cases(datalist: Datalist) -> None:
    class Broken(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.full((len(image), len(CLASSES)), float("nan"))

    task = BrainMri(image_size=64)
    item = task.eval_set(datalist.validation, None, Caching())[0]
    with pytest.raises(InputError, match=rf"{item['case']}.*holds NaN"):
        task.measure(Broken(), item, CPU)


def test_a_site_trains_and_scores(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    site = LocalSite(experiment(demo), "site-1")
    before = site.weights()
    trained = site.train(0)
    assert trained.steps == 4
    after = site.weights()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    scores = site.score()
    assert 0 <= scores["val_accuracy"] <= 1
    assert scores["val_cases"] == len(CLASSES)


def test_a_training_of_each_image_alone_is_formal_with_group_norm_and_refused_with_batch_norm(demo: Path) -> None:
    private = ["--privacy", "dpsgd", "--dp_delta", "0.01", "--dp_target_epsilon", "8"]
    experiment(demo, *private, "--norm", "group")
    with pytest.raises(InputError, match="with --norm group"):
        experiment(demo, *private)


@pytest.mark.parametrize("size", ["63", "1025"])
def test_sizes_that_no_network_takes_are_refused(demo: Path, size: str) -> None:
    with pytest.raises(InputError, match=f"image_size is {size}"):
        experiment(demo, "--image_size", size)


def test_the_published_preset_is_one_round_of_large_colour_pictures(demo: Path) -> None:
    found = read_experiment(["--task", "brain_mri", "--preset", "published", "--dataset_base_dir", str(demo)])
    task = found.task
    assert isinstance(task, BrainMri)
    assert (task.image_size, task.channels, task.norm) == (224, 3, "batch")
    assert (found.training.num_rounds, found.training.aggregation_epochs) == (1, 20)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_new_image_is_what_a_listed_one_would_be(datalist: Datalist, channels: Any) -> None:
    task = BrainMri(image_size=64, channels=channels)
    item = task.eval_set(datalist.validation, None, Caching())[0]
    found = task.new_image(datalist.validation[0].images[0])
    assert torch.equal(found, torch.as_tensor(item["image"]))
    assert isinstance(task, ImageClassifier)
    network = task.first_model(0).eval()
    assert isinstance(task, Pictures)
    with torch.inference_mode():
        assert float(task.class_probabilities(network, found[None]).sum()) == pytest.approx(1)
        assert task.picture(network, item, CPU).startswith(b"\x89PNG")


def test_the_label_map_names_each_output(demo: Path) -> None:
    found = BrainMri().label_map()
    assert [found[str(number)] for number in range(4)] == [*CLASSES]
    assert found["output_channels"]["pituitary"] == 3
