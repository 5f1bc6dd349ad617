"""Gradient inversion on a small network, where it succeeds within seconds, and behind noise, where it does not."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from fedmed.analysis.evaluation.trained_model import initial_network
from fedmed.analysis.inversion.exposure import FAILED, Attempt, Exposure, attacked_image, expose
from fedmed.analysis.inversion.gradient_inversion import (
    Search,
    adam_update,
    correlation,
    from_adam,
    from_plain,
    gradient_of,
    mismatch,
    plain_update,
    psnr,
    reconstruct,
    saturated,
    total_variation,
)
from fedmed.analysis.inversion.inversion_picture import picture
from fedmed.analysis.inversion.protection import gaussian, of_run
from fedmed.core.errors import InputError
from fedmed.core.weights import l2_norm
from fedmed.data.datalist import load_datalist
from fedmed.data.prepared.cache import Caching
from fedmed.experiment import Experiment
from fedmed.tasks.brats18 import Brats18
from model import BratsSegResNet

EDGE = 8
SIZE = (EDGE, EDGE, EDGE)


@pytest.fixture(autouse=True)
def _small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Brats18, "build_model", lambda self: BratsSegResNet(init_filters=8, blocks_down=(1, 1, 1, 1)))


@pytest.fixture
def crop(small_experiment: Callable[..., Experiment]) -> Exposure:
    experiment = small_experiment()
    dataset, lists = experiment.data.resolved()
    case = load_datalist(lists / "site-1.json", dataset).training[0]
    return attacked_image(experiment, case, "brats2018", Caching(), EDGE)


@pytest.fixture
def model(small_experiment: Callable[..., Experiment]) -> nn.Module:
    return initial_network(small_experiment())


LOSS = Brats18().loss()


def test_the_crop_holds_tumour_and_brain(crop: Exposure) -> None:
    assert crop.image.shape == (1, 4, *SIZE)
    assert crop.label.shape == (1, 3, *SIZE)
    assert crop.label.any()
    assert (crop.image != 0).any()


def test_a_crop_larger_than_the_volume_is_padded(small_experiment: Callable[..., Experiment]) -> None:
    experiment = small_experiment()
    dataset, lists = experiment.data.resolved()
    case = load_datalist(lists / "site-1.json", dataset).training[0]
    assert attacked_image(experiment, case, "brats2018", Caching(), 48).image.shape == (1, 4, 48, 48, 48)


def test_the_true_image_has_no_mismatch_and_another_has(model: nn.Module, crop: Exposure) -> None:
    true = gradient_of(model, LOSS, crop.image, crop.label)
    other = gradient_of(model, LOSS, torch.randn_like(crop.image), crop.label)
    assert float(mismatch(true, true)) == pytest.approx(0, abs=1e-5)
    assert float(mismatch(true, [-g for g in true])) == pytest.approx(2, abs=1e-5)
    assert float(mismatch(other, true)) > 0.01


def test_updates_are_those_of_the_optimisers(model: nn.Module, crop: Exposure) -> None:
    before = {name: values.clone() for name, values in model.state_dict().items()}
    gradient = gradient_of(model, LOSS, crop.image, crop.label)
    plain, adam = plain_update(model, gradient, 0.1), adam_update(model, gradient, 1e-3, 0.0)
    for (name, _), values in zip(model.named_parameters(), gradient, strict=True):
        np.testing.assert_allclose(plain[name], -0.1 * values.numpy())
        strong = values.abs() > 1e-5  # where Adam's 1e-8 does not count
        np.testing.assert_allclose(adam[name][strong.numpy()], -1e-3 * values.sign()[strong].numpy(), rtol=0.05)
    assert all(torch.equal(before[name], values) for name, values in model.state_dict().items())


@pytest.mark.parametrize("decoupled", [False, True], ids=["adam", "adamw"])
def test_the_gradient_is_read_off_both_updates(decoupled: bool, model: nn.Module, crop: Exposure) -> None:
    gradient = gradient_of(model, LOSS, crop.image, crop.label)
    for values, shown in zip(gradient, from_plain(model, plain_update(model, gradient, 0.1), 0.1), strict=True):
        torch.testing.assert_close(shown, values)
    update = adam_update(model, gradient, 1e-4, 1e-5, decoupled=decoupled)
    pairs = zip(from_adam(model, update, 1e-4, 1e-5, decoupled=decoupled), gradient, strict=True)
    kept = [(a.flatten(), b.flatten()) for a, b in pairs if b.ndim == 5]  # rounding hides those of weights near 1
    shown, true = (torch.cat(each) for each in zip(*kept, strict=True))
    small = true.abs() < 1e-4  # Adam's epsilon gives them away, sizes and all
    assert float(torch.corrcoef(torch.stack([shown, true])[:, small])[0, 1]) > 0.95
    assert float((shown.sign() == true.sign())[~small].double().mean()) > 0.99


def test_what_is_beyond_reading_is_bounded() -> None:
    (seen,) = saturated((torch.tensor([-100.0, -1e-5, 1e-5, 0.1, 100.0]),))
    torch.testing.assert_close(seen, torch.tensor([-0.1, -1e-5, 1e-5, 0.1 * 0.5**0.5, 0.1]))


def test_total_variation_of_a_ramp_and_of_a_constant() -> None:
    ramp = torch.arange(4.0).reshape(1, 1, 4, 1, 1).expand(1, 1, 4, 4, 4)
    assert float(total_variation(ramp)) == 1
    assert float(total_variation(torch.ones(1, 1, 4, 4, 4))) == 0
    assert float(total_variation(ramp[..., 0])) == 1  # of an image, as of a volume


def test_likeness_is_measured_as_told() -> None:
    truth = torch.tensor([0.0, 1.0, 2.0, 4.0]).reshape(1, 1, 4, 1, 1)
    assert psnr(truth, truth + 0.4) == pytest.approx(20)  # a range of 4 against an error of 0.4
    assert correlation(truth, 3 * truth - 5) == pytest.approx(1)
    assert correlation(truth, -truth) == pytest.approx(-1)
    assert correlation(truth, torch.ones_like(truth)) == 0


def test_an_image_is_found_in_its_gradient_and_not_behind_noise(model: nn.Module, crop: Exposure) -> None:
    update = plain_update(model, gradient_of(model, LOSS, crop.image, crop.label), 1e-4)
    shown = [from_plain(model, each, 1e-4) for each in (update, gaussian(None, 1.0)(update))]
    found, guessed = (reconstruct(model, LOSS, each, crop.label, crop.image.shape, Search(steps=100)) for each in shown)
    assert correlation(crop.image, found) > 0.5
    assert correlation(crop.image, found) > correlation(crop.image, guessed) + 0.3


def test_an_image_with_a_class_is_found_where_the_first_layer_sees_every_pixel() -> None:
    """The gradient by the weights of such a layer is the image itself, scaled; as is known since Phong et al. 2018."""
    torch.manual_seed(0)
    model, criterion, label = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), nn.CrossEntropyLoss(), torch.tensor([1])
    image = torch.randn(1, 1, 8, 8)
    observed = gradient_of(model, criterion, image, label)
    search = Search(steps=200, total_variation=0)
    assert correlation(image, reconstruct(model, criterion, observed, label, image.shape, search)) > 0.9


def test_noise_has_the_size_that_was_asked_for() -> None:
    update = {"a": np.full(40_000, 0.03, np.float32), "b": np.zeros((200, 200), np.float32)}
    assert l2_norm(update) == pytest.approx(6, rel=1e-5)
    sent = gaussian(clip=2.0, noise=0.5, seed=1)(update)
    assert sent["b"].std() == pytest.approx(1.0, rel=0.02)
    assert sent["a"].mean() == pytest.approx(0.01, abs=0.02)
    assert sent["a"].dtype == np.float32
    unchanged = gaussian(clip=100.0, noise=1e-9)(update)
    np.testing.assert_allclose(unchanged["a"], update["a"], rtol=1e-4)


def test_a_runs_own_mechanism_acts_on_the_update(small_experiment: Callable[..., Experiment]) -> None:
    assert of_run(small_experiment()) is None
    assert of_run(small_experiment("--privacy", "dpsgd", "--dp_noise_multiplier", "1")) is None  # acts in every step
    quiet = ("--dp_epsilon", "1e12", "--dp_noise_var", "1e12", "--dp_fraction", "1", "--dp_gamma", "0.5")
    protect = of_run(small_experiment("--privacy", "svt", *quiet))
    assert protect is not None
    sent = protect({"a": np.full(50, -3.0, np.float32)})["a"]
    assert {round(float(value), 3) for value in sent} == {0.0, -0.5}  # dropped, or clipped and released
    target = of_run(small_experiment("--privacy", "gaussian", "--dp_target_epsilon", "8", "--dp_clip", "2"))
    assert target is not None
    assert target({"a": np.zeros(40_000, np.float32)})["a"].std() > 0.5  # the noise that was found for the target


def test_both_updates_are_tried_behind_every_protection_and_drawn(
    small_experiment: Callable[..., Experiment], crop: Exposure
) -> None:
    ways = {"no privacy": None, "noise": gaussian(None, 1.0)}
    exposure = expose(small_experiment(), crop, ways, Search(steps=3))
    tried = [(each.observed, each.protection) for each in exposure.attempts]
    assert tried == [(update, way) for update in ("gradient", "adam_update") for way in ways]
    assert picture(exposure, ["t1ce", "t1", "t2", "flair"], "caption").startswith(b"\x89PNG")


def test_of_sgd_the_gradient_is_all_there_is_to_see(
    small_experiment: Callable[..., Experiment], crop: Exposure
) -> None:
    exposure = expose(small_experiment("--optimizer", "sgd"), crop, {"no privacy": None}, Search(steps=2))
    assert [each.observed for each in exposure.attempts] == ["gradient"]
    assert picture(exposure, ["t1ce", "t1", "t2", "flair"], "caption").startswith(b"\x89PNG")


def test_a_crop_without_tumour_is_refused(small_experiment: Callable[..., Experiment], crop: Exposure) -> None:
    without = crop._replace(label=torch.zeros_like(crop.label))
    with pytest.raises(InputError, match="no gradient"):
        expose(small_experiment(), without, {"no privacy": None}, Search(steps=1))


def test_a_failure_without_privacy_is_said_to_prove_nothing(crop: Exposure) -> None:
    attempts = (
        Attempt("gradient", "no privacy", crop.image, 10.0, 0.2),
        Attempt("gradient", "noise", crop.image, 5, 0),
    )
    assert FAILED in crop._replace(attempts=attempts).verdict("no privacy")
    good = (attempts[0]._replace(correlation=0.9),)
    assert FAILED not in crop._replace(attempts=good).verdict("no privacy")
