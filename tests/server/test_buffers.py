"""Buffers of a real network with BatchNorm: statistics are means by cases, counters exact, variances at least 0."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.nets import UNet
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.client.utils import numerical_params_diff

from fedmed.algorithms.averaging import weighted_mean
from fedmed.algorithms.fedavg import FedAvg
from fedmed.algorithms.local import Local
from fedmed.core.entries import Entries, only
from fedmed.core.weights import Update
from fedmed.server.aggregation import Aggregation, UnusableUpdate
from fedmed.server.buffers import combined_buffers

Arrays = dict[str, np.ndarray]

few = settings(deadline=None, max_examples=25)


def network() -> UNet:
    torch.manual_seed(0)
    return UNet(spatial_dims=2, in_channels=1, out_channels=2, channels=(4, 8), strides=(2,), norm="batch")


def arrays(model: torch.nn.Module) -> Arrays:
    return {name: values.detach().numpy().copy() for name, values in model.state_dict().items()}


ENTRIES, START = Entries.of(network()), arrays(network())


def trained(seed: int, steps: int, scale: float = 1.0) -> Arrays:
    """What a site's network holds after some real steps on its own noise."""
    model = network().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        model(scale * torch.randn(3, 1, 8, 8, generator=generator)).square().mean().backward()
        optimizer.step()
    return arrays(model)


def update_of(model: Arrays, start: Arrays = START) -> Arrays:
    """The difference that FLARE's client makes."""
    diff: Arrays = numerical_params_diff(start, model)
    return diff


def way_back(start: Arrays, update: Update) -> Arrays:
    """The global model that FLARE's server makes of its last one and an update."""
    model = FLModel(params=dict(start), params_type=ParamsType.FULL)
    made: Arrays = FLModelUtils.update_model(model, FLModel(params=dict(update), params_type=ParamsType.DIFF)).params
    return made


def combined(models: Sequence[Arrays], steps: Sequence[int], cases: Sequence[Any], start: Arrays = START) -> Arrays:
    made = Aggregation(FedAvg(), ENTRIES, rounds=1, sites=2)
    made.begin(start)
    for number, model in enumerate(models):
        made.add(f"site-{number}", update_of(model, start), steps[number], cases[number], {})
    return way_back(start, made.combined())


@few
@given(
    sites=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 1000), st.floats(0.1, 5.0)), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
)
def test_each_kind_follows_its_rule_on_a_real_network(sites: list[tuple[int, int, float]], seed: int) -> None:
    models = [trained(seed + number, steps, scale) for number, (steps, _, scale) in enumerate(sites)]
    steps, cases = [each[0] for each in sites], [each[1] for each in sites]
    found = combined(models, steps, cases)
    assert set(found) == set(START)
    for name in START:
        assert (found[name].dtype, found[name].shape) == (START[name].dtype, START[name].shape)
        values = np.stack([model[name].astype(np.float64) for model in models])
        if name in ENTRIES.counters:
            assert found[name] == max(steps)
        elif name.endswith("running_var"):  # of all sites' cases together: E[x^2] - E[x]^2
            means = np.stack([model[name.replace("_var", "_mean")].astype(np.float64) for model in models])
            pooled = (
                np.average(values + means**2, axis=0, weights=cases) - np.average(means, axis=0, weights=cases) ** 2
            )
            np.testing.assert_allclose(found[name], pooled, rtol=1e-4, atol=1e-6)
        elif name in ENTRIES.statistics:
            np.testing.assert_allclose(found[name], np.average(values, axis=0, weights=cases), rtol=1e-5, atol=1e-7)
        else:
            np.testing.assert_allclose(found[name], np.average(values, axis=0, weights=steps), rtol=1e-4, atol=1e-6)
        if name.endswith("running_var"):
            assert (found[name] >= 0).all()
    network().load_state_dict({name: torch.as_tensor(values) for name, values in found.items()})


@few
@given(
    weights=st.lists(st.integers(1, 10**6), min_size=1, max_size=5),
    before=st.integers(0, 2**40),
    more=st.integers(0, 2**40),
)
def test_equal_counters_are_never_truncated_whatever_the_weights(weights: list[int], before: int, more: int) -> None:
    start = {**START, ENTRIES.counters[0]: np.asarray(before, np.int64)}
    model = {**start, ENTRIES.counters[0]: np.asarray(before + more, np.int64)}
    found = combined([model] * len(weights), weights, weights, start)
    assert found[ENTRIES.counters[0]] == before + more
    assert found[ENTRIES.counters[0]].dtype == np.int64


def test_a_counter_of_124_is_not_123_by_weights_that_no_float_divides() -> None:
    name = ENTRIES.counters[0]
    model = {**START, name: np.asarray(124, np.int64)}
    assert combined([model] * 3, (3, 7, 11), (3, 7, 11))[name] == 124
    mean = sum(124 * (weight / 21) for weight in (3, 7, 11))  # as the mean of weights in floats was made
    assert int(mean) == 123
    with pytest.raises(ValueError, match="int64"):
        weighted_mean([{name: np.asarray(124)}] * 3, (3, 7, 11))


variances = st.one_of(st.floats(0, 2**-100, width=32), st.floats(0, 1, width=32), st.floats(0, 2**60, width=32))


@settings(deadline=None, max_examples=300)
@given(
    start=variances,
    sites=st.lists(st.tuples(variances, st.integers(1, 10**6)), min_size=1, max_size=4),
    kind=st.sampled_from([np.float32, np.float64]),
)
def test_variances_are_never_below_0_after_flares_way_there_and_back(
    start: float, sites: list[tuple[float, int]], kind: type
) -> None:
    entries = Entries(("w",), ("norm.running_var",))
    current: Arrays = {"norm.running_var": np.full(3, start, kind)}
    updates = [update_of({"norm.running_var": np.full(3, value, kind)}, current) for value, _ in sites]
    made = Aggregation(FedAvg(), entries, rounds=1, sites=2)
    made.begin({"w": np.zeros(1, kind), **current})
    for number, ((_, cases), update) in enumerate(zip(sites, updates, strict=True)):
        made.add(str(number), {"w": np.zeros(1, kind), **update}, 1, cases, {})  # and no site is refused for rounding
    after = way_back(current, combined_buffers(entries, current, updates, [cases for _, cases in sites]))
    assert (after["norm.running_var"] >= 0).all()
    assert (after["norm.running_var"] <= np.float64(max(start, *(value for value, _ in sites))) * (1 + 1e-6)).all()
    assert np.array_equal(made.combined()["norm.running_var"] + current["norm.running_var"], after["norm.running_var"])


def test_a_variance_below_0_is_refused_with_its_site_and_other_statistics_may_be() -> None:
    made = Aggregation(FedAvg(), ENTRIES, rounds=1, sites=2)
    made.begin(START)
    means = [name for name in ENTRIES.statistics if name.endswith("running_mean")]
    below = update_of({**START, means[0]: START[means[0]] - 9})
    made.add("site-1", below, 1, 1, {})
    variance = next(name for name in ENTRIES.statistics if name.endswith("running_var"))
    with pytest.raises(UnusableUpdate, match=rf"site-2 is refused: .*{variance} would be below 0"):
        made.add("site-2", update_of({**START, variance: START[variance] - 1.5}), 1, 1, {})
    assert made.usable == 1


@few
@given(cases=st.lists(st.integers(1, 10**9), min_size=1, max_size=4))
def test_equal_statistics_stay_as_they_are(cases: list[int]) -> None:
    model = trained(3, 2)
    found = combined([model] * len(cases), [1] * len(cases), cases)
    for name in ENTRIES.statistics:
        np.testing.assert_allclose(found[name], model[name], rtol=1e-6, atol=1e-12)


def test_where_one_site_states_no_cases_all_statistics_weigh_by_steps() -> None:
    models = [trained(1, 3), trained(2, 1)]
    mixed = combined(models, (3, 1), (1000, None))
    by_steps = combined(models, (3, 1), (3, 1))
    assert all(np.array_equal(mixed[name], by_steps[name]) for name in START)


def test_private_buffers_stay_at_the_site() -> None:
    made = Aggregation(FedAvg(), ENTRIES.among(ENTRIES.trainable), rounds=1, sites=2)
    made.begin(START)
    update = update_of(trained(1, 1))
    with pytest.raises(UnusableUpdate, match="unknown"):
        made.add("site-1", update, 1, 1, {})
    made.add("site-2", only(update, ENTRIES.trainable), 1, 1, {})
    assert set(made.combined()) == set(ENTRIES.trainable)


@pytest.mark.parametrize("kind", ["statistics", "counters"])
def test_norms_of_updates_see_trainable_entries_and_statistics_have_a_norm_of_their_own(kind: str) -> None:
    made = Aggregation(FedAvg(), ENTRIES, rounds=1, sites=2, max_update_ratio=10)
    made.begin(START)
    for number in range(3):
        update = update_of(trained(number, 1))
        if number == 0:
            large = {"statistics": np.float32(1e6), "counters": 10**9}[kind]
            update |= {name: update[name] + large for name in getattr(ENTRIES, kind)}
        made.add(f"site-{number}", update, 1, 1, {})
    made.settle()
    assert set(made.refused) == ({"site-0"} if kind == "statistics" else set())
    assert all("of its running statistics, its norm" in fault for fault in made.refused.values())


def counted(*differences: int, before: int = 0, kind: type = np.int64, max_ratio: float = 10.0) -> int:
    entries, current = Entries((), (), ("n",)), {"n": np.asarray(before, kind)}
    updates = [{"n": np.asarray(each)} for each in differences]
    change = combined_buffers(entries, current, updates, [1] * len(updates), max_ratio)["n"]
    assert change.dtype == kind
    return int(current["n"] + change)


def test_a_counter_grows_by_a_bounded_multiple_of_what_others_counted() -> None:
    assert counted(20, 21, 2**62) == 210
    assert counted(20, 2**62) == 200
    assert counted(4, 400, 60) == 400
    assert counted(20, 21, 2**50, max_ratio=0) == 2**50
    assert counted(20, 21, -(2**62)) == 21


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64])
def test_a_counter_ends_at_the_limit_of_its_type(kind: type) -> None:
    most = int(np.iinfo(kind).max)
    assert counted(100, before=most - 1, kind=kind) == most
    assert counted(1, before=most, kind=kind) == most


def test_means_of_statistics_of_opposite_extremes_stay_finite() -> None:
    entries, current = Entries((), ("m",)), {"m": np.full(2, -3e38, np.float32)}
    updates = [{"m": np.full(2, 6e38)}] * 2
    change = combined_buffers(entries, current, updates, [1, 1])["m"]
    assert change.dtype == np.float32
    assert np.isfinite(current["m"] + change).all()


def test_of_sites_that_train_alone_the_servers_buffers_stay_as_they_were() -> None:
    made = Aggregation(Local(), ENTRIES, rounds=1, sites=2)
    made.begin(START)
    for site in ("a", "b"):
        made.add(site, {name: np.zeros_like(values) for name, values in START.items()}, 1, 3, {})
    found = way_back(START, made.combined())
    assert all(np.array_equal(found[name], START[name]) for name in START)
