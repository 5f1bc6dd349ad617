"""Mechanisms and clips see trainable entries only; buffers of a BatchNorm pass a heuristic and stop a formal one."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet

from fedmed.core.entries import Entries, only
from fedmed.core.errors import InputError
from fedmed.core.weights import l2_norm
from fedmed.experiment import Experiment
from fedmed.privacy.base import Mechanism, PrivateUpdate
from fedmed.privacy.exclude_vars import ExcludeVars
from fedmed.privacy.gaussian import Gaussian
from fedmed.privacy.ledger import site_ledger
from fedmed.privacy.percentile import Percentile
from fedmed.privacy.svt import SVT
from fedmed.tasks.brats18 import Brats18

Send = Callable[..., SimpleNamespace]
HEURISTIC = [SVT(dp_fraction=0.5), Percentile(percentile=50), ExcludeVars(exclude_vars="bias")]


def network() -> UNet:
    return UNet(spatial_dims=2, in_channels=1, out_channels=2, channels=(4, 8), strides=(2,), norm="batch")


ENTRIES = Entries.of(network())


@pytest.fixture
def update() -> PrivateUpdate:
    """The difference of a real network with BatchNorm after a step in training."""
    torch.manual_seed(0)
    model = network().train()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(3, 1, 8, 8)).square().mean().backward()
    optimizer.step()
    return {name: (values - before[name]).detach().numpy() for name, values in model.state_dict().items()}


def released(mechanism: Mechanism, given: PrivateUpdate, send: Send) -> SimpleNamespace:
    site_ledger("site-1", "job").unlink(missing_ok=True)
    return send(mechanism, given, statistics=ENTRIES.statistics)


@pytest.mark.parametrize("mechanism", HEURISTIC, ids=lambda m: m.name)
def test_buffers_pass_a_heuristic_as_they_are_and_are_booked(
    mechanism: Mechanism, update: PrivateUpdate, send: Send
) -> None:
    sent = released(mechanism, update, send)
    buffers = ENTRIES.statistics + ENTRIES.counters
    for name in buffers:
        assert np.array_equal(sent.update[name], update[name])
        assert sent.update[name].dtype == update[name].dtype
    assert sent.told["facts"]["passed_as_they_are"] == sorted(buffers)
    assert any(not np.array_equal(sent.update[name], update[name]) for name in ENTRIES.trainable)


@pytest.mark.parametrize("mechanism", HEURISTIC[1:], ids=lambda m: m.name)
@pytest.mark.parametrize("factor", [0.0, 1e6])
def test_the_trainable_entries_leave_the_same_whatever_the_buffers_hold(
    mechanism: Mechanism, factor: float, update: PrivateUpdate, send: Send
) -> None:
    other = {**update, **{name: update[name] * np.float32(factor) for name in ENTRIES.statistics}}
    one, two = released(mechanism, update, send), released(mechanism, other, send)
    assert all(np.array_equal(one.update[name], two.update[name]) for name in ENTRIES.trainable)
    assert one.ledger.entries[0].diagnostics == two.ledger.entries[0].diagnostics


def test_svt_neither_counts_nor_selects_buffers(update: PrivateUpdate, send: Send) -> None:
    sent = released(HEURISTIC[0], update, send)
    values = sum(update[name].size for name in ENTRIES.trainable)
    assert sent.ledger.entries[0].epsilon_total == SVT(dp_fraction=0.5).epsilon_of_round(values)


def test_a_formal_mechanisms_clip_sees_trainable_entries_only(update: PrivateUpdate, send: Send) -> None:
    trainable = only(update, ENTRIES.trainable)
    norm = l2_norm(trainable)
    counters = {name: update[name] + 10**9 for name in ENTRIES.counters}
    sent = send(Gaussian(dp_clip=norm * 2, dp_noise_multiplier=1e-9), {**trainable, **counters})
    assert sent.ledger.entries[0].diagnostics["update_norm"] == pytest.approx(norm)
    assert sent.ledger.entries[0].diagnostics["clip_fraction"] == 0
    for name in trainable:
        np.testing.assert_allclose(sent.update[name], trainable[name], atol=1e-6)
    assert all(np.array_equal(sent.update[name], counters[name]) for name in counters)


def test_running_statistics_stop_a_formal_mechanism_also_where_no_check_was_made(
    update: PrivateUpdate, send: Send
) -> None:
    with pytest.raises(InputError, match="is computed from patients, and no noise covers it"):
        send(Gaussian(dp_noise_multiplier=1.0), update, statistics=ENTRIES.statistics)
    assert not site_ledger("site-1", "job").exists()


def after(update: PrivateUpdate) -> UNet:
    """The network that the fixture began with and an update came to, as it predicts."""
    torch.manual_seed(0)
    model = network()
    start = model.state_dict()
    model.load_state_dict({name: values + torch.as_tensor(update[name]) for name, values in start.items()})
    return model.eval()


def is_sound(model: UNet) -> bool:
    """True where every running variance is at least 0 and the predictions are numbers."""
    with torch.inference_mode():
        predicted = model(torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(3)))
    variances = [values for name, values in model.state_dict().items() if name.endswith("running_var")]
    return all(bool((each >= 0).all()) for each in variances) and bool(torch.isfinite(predicted).all())


@pytest.mark.parametrize("mechanism", HEURISTIC, ids=lambda m: m.name)
def test_behind_a_heuristic_every_variance_stays_one_and_predictions_are_numbers(
    mechanism: Mechanism, update: PrivateUpdate, send: Send
) -> None:
    assert is_sound(after(released(mechanism, update, send).update))


def test_formal_noise_reaches_no_buffer_and_on_one_it_would_end_all_predictions(
    update: PrivateUpdate, send: Send
) -> None:
    noisy = Gaussian(dp_clip=1.0, dp_noise_multiplier=5.0)
    trainable = only(update, ENTRIES.trainable)
    own = {**update, **send(noisy, trainable).update}  # of a site whose statistics are its own
    assert is_sound(after(own))
    assert all(np.array_equal(own[name], update[name]) for name in ENTRIES.statistics)
    source = np.random.default_rng(0)
    without_the_rule = {
        name: values + source.normal(0, 5, values.shape).astype(np.float32) if name in ENTRIES.statistics else values
        for name, values in own.items()
    }
    assert not is_sound(after(without_the_rule))


@pytest.mark.parametrize("privacy", ["gaussian", "dpsgd"])
def test_formal_mechanisms_refuse_a_network_with_batch_norm_before_the_run(
    privacy: str, small_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Brats18, "build_model", lambda self: network())
    with pytest.raises(InputError, match=f"--privacy {privacy} cannot .* UNet: .*GroupNorm"):
        small_experiment("--privacy", privacy, "--dp_noise_multiplier", "1")
    small_experiment("--privacy", "svt")
