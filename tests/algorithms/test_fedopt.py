"""FedOpt: against a reference in NumPy and FLARE's own helper, and FedAvg to the bit at rate 1 without momentum."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nvflare.app_opt.pt.fedopt import PTFedOptModelShareableGenerator
from torch import nn

from fedmed.algorithms.base import Contribution, ServerSetup, ServerSide
from fedmed.algorithms.fedavg import FedAvg
from fedmed.algorithms.fedopt import DEFAULTS, FedOpt, ServerOptimizer
from fedmed.core.errors import InputError
from fedmed.core.weights import write_tensors
from fedmed.experiment import Experiment
from tests.algorithms.whole_federation import WholeFederation

Make = Callable[..., Experiment]
Arrays = dict[str, np.ndarray]

SHAPES: dict[str, tuple[int, ...]] = {"a": (2, 3), "b": (4,), "c": ()}
ROUNDS = 6
OPTIONS: dict[str, dict[str, Any]] = {
    "sgd": {"server_learning_rate": 0.7, "server_momentum": 0.8},
    "adam": {"server_learning_rate": 0.3, "server_beta1": 0.8, "server_beta2": 0.95, "server_tau": 0.02},
    "adagrad": {"server_learning_rate": 0.3, "server_tau": 0.05},
    "yogi": {"server_learning_rate": 0.3, "server_beta1": 0.8, "server_beta2": 0.95, "server_tau": 0.05},
}
OPTIMIZERS = pytest.mark.parametrize("name", ["sgd", "adam", "adagrad", "yogi"])


def side_of(name: ServerOptimizer, **options: Any) -> ServerSide:
    return FedOpt(server_optimizer=name, **options).server(ServerSetup(SHAPES, ROUNDS, 2))


def contributions(number: int, kind: type = np.float64) -> list[Contribution]:
    """Updates of two sites in a round, of unequal weights."""
    source = np.random.default_rng(number)
    drawn = [{name: np.asarray(source.normal(0, 0.1, shape), kind) for name, shape in SHAPES.items()} for _ in "12"]
    return [Contribution(f"site-{i}", drawn[i], steps, 1.0) for i, steps in enumerate((3.0, 5.0))]


def mean_of(number: int) -> Arrays:
    one, other = (each.update for each in contributions(number))
    return {name: (3 * one[name] + 5 * other[name]) / 8 for name in SHAPES}


def reference(name: str, options: dict[str, float], means: list[np.ndarray]) -> list[np.ndarray]:
    """The steps of Reddi et al. 2021, algorithm 2, with the stated differences, on one entry's mean updates."""
    rate, tau = options["server_learning_rate"], options.get("server_tau", 0.0)
    first, second = options.get("server_beta1", 0.0), options.get("server_beta2", 0.0)
    begin = 0.0 if name == "adam" else tau**2
    m, v, steps = np.zeros_like(means[0]), np.full_like(means[0], begin), []
    for t, mean in enumerate(means, 1):
        if name == "sgd":
            m = options["server_momentum"] * m + mean
            steps.append(rate * m)
            continue
        m = first * m + (1 - first) * mean
        if name == "adagrad":
            v = v + mean**2
        elif name == "yogi":
            v = v - (1 - second) * mean**2 * np.sign(v - mean**2)
        else:
            v = second * v + (1 - second) * mean**2
        corrected = (m / (1 - first**t), v / (1 - second**t)) if name == "adam" else (m, v)
        steps.append(rate * corrected[0] / (np.sqrt(corrected[1]) + tau))
    return steps


@OPTIMIZERS
def test_each_round_moves_the_model_as_the_reference_does(name: ServerOptimizer) -> None:
    side = side_of(name, **OPTIONS[name])
    found = [side.combine(contributions(number)) for number in range(ROUNDS)]
    for entry in SHAPES:
        expected = reference(name, OPTIONS[name], [mean_of(number)[entry] for number in range(ROUNDS)])
        for step, each in zip(found, expected, strict=True):
            assert step[entry].dtype == np.float64
            np.testing.assert_allclose(step[entry], each, rtol=1e-9, atol=1e-12)


FLARES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.7, "momentum": 0.8}),
    "adam": ("Adam", {"lr": 0.3, "betas": (0.8, 0.95), "eps": 0.02}),
    "adagrad": ("Adagrad", {"lr": 0.3, "eps": 0.05, "initial_accumulator_value": 0.05**2}),
}


@pytest.mark.parametrize("name", list(FLARES))
def test_it_goes_where_flares_own_helper_goes(name: ServerOptimizer) -> None:
    module = nn.Module()
    for entry, shape in SHAPES.items():
        module.register_parameter(entry, nn.Parameter(torch.zeros(shape, dtype=torch.float64)))
    kind, arguments = FLARES[name]
    flares = PTFedOptModelShareableGenerator(source_model=module, device="cpu")
    flares.model, flares.optimizer = module, getattr(torch.optim, kind)(module.parameters(), **arguments)
    side, model = side_of(name, **OPTIONS[name]), {entry: np.zeros(shape) for entry, shape in SHAPES.items()}
    for number in range(ROUNDS):
        model = {entry: model[entry] + step for entry, step in side.combine(contributions(number)).items()}
        theirs, updated = flares.server_update(mean_of(number))
        assert sorted(updated) == sorted(SHAPES)
        for entry in SHAPES:
            np.testing.assert_allclose(model[entry], theirs[entry].numpy(), rtol=1e-9, atol=1e-12)


@OPTIMIZERS
def test_in_another_process_it_goes_on_with_the_same_bits(name: ServerOptimizer, tmp_path: Path) -> None:
    whole, cut = side_of(name), side_of(name)
    for number in range(ROUNDS):
        update = whole.combine(contributions(number, np.float32))
        same = cut.combine(contributions(number, np.float32))
        assert all(update[entry].tobytes() == same[entry].tobytes() for entry in SHAPES)
        write_tensors(tmp_path / "state.pt", cut.state())
        cut = side_of(name)
        cut.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    fresh = side_of(name).combine(contributions(ROUNDS - 1, np.float32))  # the state is what made them equal
    assert any(not np.array_equal(update[entry], fresh[entry]) for entry in SHAPES)


@pytest.mark.parametrize("name", ["adam", "adagrad", "yogi"])
def test_untuned_no_entry_moves_further_than_the_largest_mean_update(name: ServerOptimizer) -> None:
    side, largest = side_of(name), {entry: np.zeros(shape) for entry, shape in SHAPES.items()}
    for number in range(50):
        largest = {entry: np.maximum(largest[entry], np.abs(mean_of(number)[entry])) for entry in SHAPES}
        step = side.combine(contributions(number))
        assert all((np.abs(step[entry]) <= largest[entry] * (1 + 1e-9)).all() for entry in SHAPES)


def test_where_updates_agree_momentum_goes_as_far_as_its_sum() -> None:
    side = FedOpt(server_momentum=0.75).server(ServerSetup({"a": (1,)}, 1, 1))
    steps = [side.combine([Contribution("s", {"a": np.ones(1)}, 1.0, 1.0)])["a"][0] for _ in range(80)]
    assert all(earlier <= later for earlier, later in pairwise(steps))
    assert steps[-1] == pytest.approx(1 / (1 - 0.75))


def test_at_rate_1_and_momentum_0_it_is_fedavg_to_the_bit() -> None:
    setup = ServerSetup(SHAPES, ROUNDS, 2)
    side = FedOpt(server_optimizer="sgd", server_learning_rate=1.0, server_momentum=0.0).server(setup)
    for number in range(ROUNDS):
        found, usual = (each.combine(contributions(number, np.float32)) for each in (side, FedAvg().server(setup)))
        assert all(found[entry].tobytes() == usual[entry].tobytes() for entry in SHAPES)


@pytest.fixture
def run(toy_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WholeFederation]:
    """Runs a federation of the toy task with batch normalisation."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def made(place: str, *arguments: str) -> WholeFederation:
        experiment = toy_experiment("--batch_norm", "--num_rounds", "3", *arguments)
        return WholeFederation(experiment, tmp_path / place, monkeypatch).run()

    return made


def test_so_it_is_in_a_whole_federation(run: Callable[..., WholeFederation]) -> None:
    neutral = ("--server_optimizer", "sgd", "--server_learning_rate", "1", "--server_momentum", "0")
    found = run("neutral", "--algorithm", "fedopt", *neutral)
    assert found.bits == run("fedavg").bits
    assert found.bits != run("momentum", "--algorithm", "fedopt").bits


def test_running_statistics_are_none_of_the_optimisers_business(run: Callable[..., WholeFederation]) -> None:
    """After a round they are FedAvg's: a thousandth of the rate moves the weights alone."""
    trained = ("--num_rounds", "1", "--running_statistics", "trained")
    found = run("slow", "--algorithm", "fedopt", "--server_learning_rate", "0.001", *trained)
    usual, first = run("fedavg", *trained).model, found.first()
    for name, values in found.model.items():
        if name.startswith("layers.1.") and name.rpartition(".")[2] in ("running_mean", "running_var"):
            assert np.array_equal(values, usual[name])
        elif name.endswith("weight"):
            far, usually = np.abs(values - first[name].numpy()).max(), np.abs(usual[name] - first[name].numpy()).max()
            assert 0 < far < usually / 100


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"server_learning_rate": 0.0}, "--server_learning_rate is 0.0; expected a number above 0"),
        ({"server_learning_rate": -1.0}, "--server_learning_rate is -1.0; expected a number above 0"),
        ({"server_learning_rate": math.nan}, "--server_learning_rate is nan; expected"),
        ({"server_momentum": 1.0}, "--server_momentum is 1.0; expected a number from 0 to below 1"),
        ({"server_optimizer": "yogi", "server_beta2": 1.0}, "--server_beta2 is 1.0; expected"),
        ({"server_optimizer": "adam", "server_tau": 0.0}, "--server_tau is 0.0; expected a number above 0"),
        ({"server_optimizer": "adam", "server_momentum": 0.5}, "--server_momentum does nothing with .* adam"),
        ({"server_optimizer": "adagrad", "server_beta1": 0.5}, "--server_beta1 does nothing with .* adagrad"),
        ({"server_tau": 0.1}, "--server_tau does nothing with --server_optimizer sgd, which takes"),
    ],
)
def test_what_is_out_of_range_or_would_do_nothing_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        FedOpt(**options)


@OPTIMIZERS
def test_its_statement_has_every_value(name: ServerOptimizer) -> None:
    said = FedOpt(server_optimizer=name).statement()
    assert name in said
    assert all(f"{value:g}" in said for value in DEFAULTS[name].values())


NOISE = ("--dp_noise_multiplier", "1")


@pytest.mark.parametrize("privacy", [("gaussian", *NOISE), ("dpsgd", *NOISE), ("svt",), ("percentile",)])
def test_it_works_on_what_was_released_so_every_mechanism_takes_it(
    privacy: tuple[str, ...], toy_experiment: Make
) -> None:
    found = toy_experiment("--algorithm", "fedopt", "--privacy", *privacy)
    assert found.algorithm.name == "fedopt"
