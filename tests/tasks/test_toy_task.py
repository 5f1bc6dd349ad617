"""A task of classes in 2D runs through the same site as segmentation in 3D: its file is all that it needs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from fedmed.core import registry
from fedmed.core.errors import InputError
from fedmed.core.names import STATE_VARIABLE
from fedmed.core.site_scores import mean_over_sites
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite
from fedmed.tasks.base import Flips, ImageClassifier, NativeGrid, Pictures, Task

Make = Callable[..., Experiment]


@pytest.fixture(autouse=True)
def _state_of_sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))


def site(experiment: Experiment, name: str = "site-1") -> LocalSite:
    """A site that has received its own first weights, which follow from a fixed seed."""
    torch.manual_seed(0)
    made = LocalSite(experiment, name, "run")
    made.begin(made.weights(), 0)
    return made


def test_it_is_found_by_its_name_and_travels(toy_experiment: Make) -> None:
    assert "toy_task" in registry.names("task")
    experiment = toy_experiment("--network", "small")
    assert Experiment.from_json(experiment.to_json()) == experiment


def test_its_own_defaults_hold_where_nothing_else_is_given(toy_experiment: Make) -> None:
    training = toy_experiment().training
    assert (training.num_rounds, training.learning_rate, training.weight_decay, training.batch_size) == (3, 0.01, 0, 4)
    assert toy_experiment("--preset", "demo").training.num_rounds == 2
    assert toy_experiment("--preset", "demo", "--num_rounds", "7").training.num_rounds == 7


def test_a_preset_that_another_task_has_is_refused(toy_experiment: Make) -> None:
    with pytest.raises(InputError, match="--preset is published; expected one of demo, standard"):
        toy_experiment("--preset", "published")


def test_a_site_audits_trains_and_scores_it(toy_experiment: Make) -> None:
    local = site(toy_experiment("--aggregation_epochs", "8", "--learning_rate", "0.02"))
    assert not local.audit.errors
    before, losses = local.evaluate(), list[float]()
    for number in range(4):
        losses += local.train(number).epoch_losses
    after = local.evaluate()
    assert losses[-1] < 0.8 * losses[0]
    assert after["val_auroc"] > 0.85
    assert after["val_accuracy"] >= before["val_accuracy"]
    assert after["val_cases"] == after["val_auroc_values"] == after["val_accuracy_sum_cases"] == 6
    assert after["val_auroc_flat"] == pytest.approx(after["val_auroc_upright"])  # of two classes each is the other's


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_its_networks_are_chosen_by_name(toy_experiment: Make, name: str) -> None:
    assert site(toy_experiment("--network", name)).model.arguments["width"] == {"tiny": 4, "small": 8}[name]


def test_an_unknown_network_is_refused_with_the_names_of_those_there_are(toy_experiment: Make) -> None:
    with pytest.raises(InputError, match="--network is unet; expected one of tiny, small"):
        toy_experiment("--network", "unet")


def test_batch_norm_has_its_running_statistics_in_the_weights(toy_experiment: Make) -> None:
    local = site(toy_experiment("--batch_norm"))
    local.train(0)
    weights = local.weights()
    assert any(isinstance(module, nn.BatchNorm2d) for module in local.model.modules())
    assert int(weights["layers.1.num_batches_tracked"]) == 2  # batches of four of eight cases


def test_its_validation_is_not_split_as_an_area_under_a_curve_needs_all_rows(
    toy_task: type[Task], toy_experiment: Make
) -> None:
    assert not toy_task().validation_can_be_split
    assert registry.find("task", "brats18")().validation_can_be_split
    experiment = toy_experiment()
    parts = {
        name: site(experiment, name).evaluate({"site-1": (0, 2), "site-2": (1, 2)})
        for name in experiment.training.sites
    }
    whole = site(experiment).evaluate()
    together = mean_over_sites(parts, toy_task().figures())
    assert together["val_accuracy"] == pytest.approx(whole["val_accuracy"])  # from sums, whoever scored which case


def test_it_has_the_optional_capabilities_of_a_task_of_classes_alone(toy_task: type[Task]) -> None:
    brats = registry.find("task", "brats18")()
    for capability in (Flips, NativeGrid):
        assert isinstance(brats, capability)
        assert not isinstance(toy_task(), capability)
    assert isinstance(brats, Pictures)
    assert isinstance(toy_task(), Pictures)
    assert isinstance(toy_task(), ImageClassifier)
    assert not isinstance(brats, ImageClassifier)
