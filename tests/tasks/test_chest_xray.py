"""The chest X-ray task: what its items hold, how it scores, and that a site of it trains."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.core.names import STATE_VARIABLE
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.data.datalist import Datalist, load_datalist
from fedmed.data.phantoms.chest_xray_phantom import demo_chest_xray
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.runs import console
from fedmed.site.local_training import LocalSite
from fedmed.tasks.base import Batches, ImageClassifier, Pictures
from fedmed.tasks.chest_xray import WEIGHTS_TELL, ChestXray

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chest") / "set"
    demo_chest_xray(folder, sites=2, cases=6, validation=3, test=1)
    return folder


@pytest.fixture
def datalist(demo: Path) -> Datalist:
    return load_datalist(demo / "datalist" / "site-1.json", demo)


def experiment(demo: Path, *arguments: str) -> Experiment:
    data = ["--dataset_base_dir", str(demo), "--datalist_json_path", str(demo / "datalist"), "--n_clients", "2"]
    short = ["--num_rounds", "1", "--image_size", "64", "--batch_size", "4", "--network", "resnet18"]
    return read_experiment(["--task", "chest_xray", *data, *short, *arguments])


class Oracle(nn.Module):
    """Logits of the findings that stand in the film's first row of pixels, 1 or 0, times ``sure``."""

    def __init__(self, sure: float = 5.0) -> None:
        super().__init__()
        self.sure = sure

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.sure * (2 * image[:, 0, 0, : len(FINDINGS)] - 1)


def of_their_truth(task: ChestXray, datalist: Datalist) -> list[dict[str, Any]]:
    """Validation items whose first row of pixels holds their truth."""
    items = task.eval_set(datalist.validation, None, Caching())
    made = [items[place] for place in range(len(datalist.validation))]
    return [{**item, "image": item["label"].expand(1, len(FINDINGS), len(FINDINGS))} for item in made]


@pytest.mark.parametrize(("channels", "size"), [(1, 64), (3, 96)])
@pytest.mark.parametrize("network", ["resnet34", "resnet18", "densenet121"])
def test_the_networks_take_the_items(datalist: Datalist, channels: Any, size: int, network: str) -> None:
    task = ChestXray(channels=channels, image_size=size, network=network)
    items = task.train_set(datalist, Caching())
    items.transform.set_random_state(0)  # type: ignore[attr-defined]
    item = items[0]
    assert item["image"].shape == (channels, size, size)
    assert [name for name, has in zip(FINDINGS, item["label"], strict=True) if has] == [*datalist.training[0].target]  # type: ignore[misc]
    made = task.build_model().eval()
    with torch.inference_mode():
        assert made(item["image"][None]).shape == (1, len(FINDINGS))
    assert task.saliency_layer in dict(made.named_modules())


def test_the_first_network_is_a_resnet34() -> None:
    assert ChestXray().build_model().arguments["depth"] == 34  # type: ignore[union-attr, index]


def test_films_are_evaluated_as_they_are(datalist: Datalist) -> None:
    items = ChestXray(image_size=64).eval_set(datalist.validation, None, Caching())
    assert torch.equal(torch.as_tensor(items[0]["image"]), torch.as_tensor(items[0]["image"]))


def test_a_model_that_knows_the_truth_has_every_area_and_no_loss(datalist: Datalist) -> None:
    task = ChestXray(image_size=64)
    items = of_their_truth(task, datalist)
    report = task.metrics(task.evaluate(Oracle(), items, CPU))  # type: ignore[arg-type]
    assert report["val_auroc"] == report["val_average_precision"] == 1
    assert report["val_loss"] == pytest.approx(math.log1p(math.exp(-5)), rel=1e-3)
    sure_of_the_wrong = task.metrics(task.evaluate(Oracle(-5), items, CPU))  # type: ignore[arg-type]
    assert sure_of_the_wrong["val_auroc"] == 0
    share = sum(float(item["label"].sum()) for item in items) / len(items) / len(FINDINGS)
    assert report["val_prevalence"] == pytest.approx(share)


def test_a_finding_that_a_site_lacks_has_no_figure_there(datalist: Datalist) -> None:
    task = ChestXray(image_size=64)
    report = task.metrics(task.evaluate(Oracle(), of_their_truth(task, datalist), CPU))  # type: ignore[arg-type]
    present = {name for case in datalist.validation for name in case.target}  # type: ignore[union-attr]
    assert 0 < len(present) < len(FINDINGS)
    assert {name for name in FINDINGS if task.key_score.of(name) in report} == present
    assert set(report) - set(task.figure_forms()) == {
        name for name in report if name.endswith("_values") or "_sum_" in name
    }


def test_films_score_alike_alone_and_together(datalist: Datalist) -> None:
    task = ChestXray(image_size=64, network="resnet18")
    network = task.first_model(0).eval()
    items = task.eval_set(datalist.validation, None, Caching())
    with torch.inference_mode():
        together = task.evaluate(network, items, CPU)
        alone = [row for place in range(len(datalist.validation)) for row in task.measure(network, items[place], CPU)]
    assert [row[:3] for row in together] == [row[:3] for row in alone]
    assert [row.value for row in together] == pytest.approx([row.value for row in alone], abs=1e-5)


def test_a_network_that_gives_nan_is_named_with_its_films(datalist: Datalist) -> None:
    task = ChestXray(image_size=64)
    item = of_their_truth(task, datalist)[0]
    with pytest.raises(InputError, match=rf"{item['case']}.*holds NaN"):
        task.measure(Oracle(math.nan), item, CPU)


@pytest.mark.parametrize("weights", ["off", "site"])
def test_a_site_trains_and_scores(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    site = LocalSite(experiment(demo, "--positive_weights", weights), "site-1")
    before = site.weights()
    trained = site.train(0)
    assert math.isfinite(trained.epoch_losses[0])
    assert any(not torch.equal(before[name], values) for name, values in site.weights().items())
    scores = site.score()
    assert 0 <= scores["val_auroc"] <= 1
    assert scores["val_loss"] > 0


def test_weights_follow_the_sites_own_films_and_never_those_of_a_patient_alone(datalist: Datalist) -> None:
    task = ChestXray(image_size=64, positive_weights="site")
    labels = [torch.as_tensor(task.train_set(datalist, Caching())[place]["label"])  # type: ignore[index]
              for place in range(len(datalist.training))]  # fmt: skip
    truth = torch.stack([label[0] for label in labels])
    counts = truth.sum(dim=0)
    expected = torch.where(counts > 0, ((len(truth) - counts) / counts.clamp_min(1)).clamp_max(20), 1.0)
    assert all(torch.allclose(label[1], expected) for label in labels)
    by_patient = task.train_set_by_patient(datalist, Caching())
    assert by_patient[0]["label"].shape == (len(FINDINGS),)
    assert task.eval_set(datalist.validation, None, Caching())[0]["label"].shape == (len(FINDINGS),)


def test_weights_are_warned_of_and_refused_where_no_patient_may_decide_anothers_gradient(demo: Path) -> None:
    chosen = experiment(demo, "--positive_weights", "site")
    assert f"WARNING    {WEIGHTS_TELL}" in console.settings(chosen, {}, "phantom").splitlines()
    assert "WARNING" not in console.settings(experiment(demo), {}, "phantom")
    private = ["--privacy", "dpsgd", "--dp_delta", "0.01", "--dp_target_epsilon", "8", "--norm", "group"]
    experiment(demo, *private)
    with pytest.raises(InputError, match="--positive_weights site follows the counts"):
        experiment(demo, *private, "--positive_weights", "site")


@pytest.mark.parametrize("size", ["63", "1025"])
def test_sizes_that_no_network_takes_are_refused(demo: Path, size: str) -> None:
    with pytest.raises(InputError, match=f"image_size is {size}"):
        experiment(demo, "--image_size", size)


def test_the_published_preset_is_large_colour_films(demo: Path) -> None:
    found = read_experiment(["--task", "chest_xray", "--preset", "published", "--dataset_base_dir", str(demo)]).task
    assert isinstance(found, ChestXray)
    assert (found.image_size, found.channels, found.network) == (224, 3, None)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_new_film_is_what_a_listed_one_would_be(datalist: Datalist, channels: Any) -> None:
    task = ChestXray(image_size=64, channels=channels, network="resnet18")
    item = task.eval_set(datalist.validation, None, Caching())[0]
    found = task.new_image(datalist.validation[0].images[0])
    assert torch.equal(found, torch.as_tensor(item["image"]))
    assert isinstance(task, ImageClassifier)
    assert isinstance(task, Pictures)
    assert isinstance(task, Batches)
    with torch.inference_mode():
        assert task.picture(task.first_model(0).eval(), item, CPU).startswith(b"\x89PNG")


def test_findings_are_no_classes_of_which_one_applies() -> None:
    task = ChestXray()
    assert task.classes == ()
    assert task.findings == FINDINGS
    found = task.label_map()
    assert [found[str(number)] for number in range(14)] == [*FINDINGS]


def test_sites_do_not_share_out_cases_whose_rows_an_area_needs_together() -> None:
    assert not ChestXray().validation_can_be_split


@pytest.mark.parametrize("network", ["resnet18", "densenet121"])
def test_the_label_map_of_findings_names_each_output_of_the_network(network: str) -> None:
    task = ChestXray(network=network, image_size=64, channels=3)
    found = task.label_map()
    with torch.inference_mode():
        outputs = task.build_model().eval()(torch.zeros(1, len(found["input_channels"]), 64, 64))
    assert outputs.shape == (1, len(found["output_channels"]))
    assert found["output_channels"] == {name: number for number, name in enumerate(FINDINGS)}
    assert [found[str(number)] for number in range(14)] == list(FINDINGS)
    assert "softmax" not in found["prediction"]
    json.dumps(found, allow_nan=False)
