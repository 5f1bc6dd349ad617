"""Measured running statistics: those of the cases, of the model as it is, and of an averaged one where it matters."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fedmed.core.messages import Answer, Question
from fedmed.core.names import STATE_VARIABLE
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite
from fedmed.site.measured_statistics import CASES, batches_of, measure_statistics
from fedmed.site.site import Site
from fedmed.site.site_events import SiteEvents

BUFFERS = ("layers.1.running_mean", "layers.1.running_var")


@pytest.fixture(autouse=True)
def _kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "kept"))


def asked(experiment: Experiment, weights: dict[str, np.ndarray], *, times: int = 1) -> Answer:
    class Silent:
        def add_scalar(self, tag: str, scalar: float, global_step: int) -> None: ...

    site = Site(LocalSite(experiment, "site-1"), SiteEvents("site-1", "job", Silent()), lambda line: None)
    question = Question("statistics", 1, ("site-1", "site-2"), weights=weights)
    return [site.answer(question) for _ in range(times)][-1]


def first_weights(experiment: Experiment) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in experiment.task.first_model(3).state_dict().items()}


def test_they_are_the_mean_and_the_variance_of_what_reaches_the_layer() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3))
    torch.manual_seed(0)
    images = torch.randn(4, 8, 1, 5, 5)
    measure_statistics(model, images)
    reached = model[0](images.flatten(0, 1)).detach()
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d)
    torch.testing.assert_close(norm.running_mean, reached.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, reached.var((0, 2, 3)), rtol=0.1, atol=0.01)  # mean over four batches


def test_nothing_else_of_the_model_changes() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5)).eval()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    measure_statistics(model, torch.randn(2, 4, 1, 5, 5))
    changed = {name for name, values in model.state_dict().items() if not torch.equal(values, before[name])}
    assert changed == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert not any(module.training for module in model.modules())
    assert model[1].momentum == 0.1


def test_enough_batches_are_seen_whatever_their_size() -> None:
    assert [batches_of(size) for size in (1, 32, 500, 1000)] == [CASES, 16, 2, 1]


def test_a_site_answers_with_statistics_alone_and_the_same_ones_each_time(
    toy_experiment: Callable[..., Experiment],
) -> None:
    experiment = toy_experiment("--batch_norm")
    weights = first_weights(experiment)
    answer = asked(experiment, weights)
    assert set(answer.update) == set(BUFFERS)
    assert answer.cases == 8
    assert not answer.metrics
    again = asked(experiment, {**weights, **{name: weights[name] + 5 for name in BUFFERS}})
    for name in BUFFERS:  # whatever statistics were sent
        np.testing.assert_allclose(weights[name] + answer.update[name], weights[name] + 5 + again.update[name], 1e-5)


def test_a_model_is_measured_once(toy_experiment: Callable[..., Experiment]) -> None:
    experiment = toy_experiment("--batch_norm")
    assert asked(experiment, first_weights(experiment), times=2).withheld


@pytest.mark.parametrize(
    "options",
    [
        ("--running_statistics", "trained"),
        ("--privacy", "percentile"),
        ("--algorithm", "local"),
    ],
    ids=" ".join,
)
def test_a_site_answers_nothing_where_the_experiment_asks_for_none(
    toy_experiment: Callable[..., Experiment], options: tuple[str, ...]
) -> None:
    experiment = toy_experiment("--batch_norm", *options)
    answer = asked(experiment, first_weights(experiment))
    assert answer.withheld
    assert not answer.update


def test_with_fixed_statistics_a_network_trains_as_it_is_scored_and_leaves_them_as_they_are(
    toy_experiment: Callable[..., Experiment],
) -> None:
    experiment = toy_experiment("--batch_norm", "--fix_statistics_after", "1")
    free, fixed = LocalSite(experiment, "site-1", "free"), LocalSite(experiment, "site-1", "fixed")
    for local, rounds in ((free, 0), (fixed, 1)):
        before = local.weights()
        local.train(rounds)
        moved = [name for name in BUFFERS if not torch.equal(local.weights()[name], before[name])]
        assert moved == ([] if local is fixed else list(BUFFERS))
    assert fixed.model.training
    assert not torch.equal(fixed.weights()["layers.1.weight"], before["layers.1.weight"])  # it is trained all the same
