"""Entries of a state dict by kind, on a real network with every kind."""

import json

import pytest
import torch
from monai.networks.nets import UNet
from torch import nn

from fedmed.core.entries import Entries, only


@pytest.fixture(scope="module")
def network() -> UNet:
    return UNet(spatial_dims=2, in_channels=1, out_channels=2, channels=(4, 8), strides=(2,), norm="batch")


def test_every_entry_is_of_one_kind_and_in_the_networks_order(network: UNet) -> None:
    entries = Entries.of(network)
    state = network.state_dict()
    assert set(entries.names) == set(state)
    assert len(entries.names) == len(state)
    assert entries.trainable == tuple(name for name, _ in network.named_parameters())
    assert entries.statistics
    assert all(name.endswith(("running_mean", "running_var")) for name in entries.statistics)
    assert entries.counters
    assert all(name.endswith("num_batches_tracked") for name in entries.counters)


def test_a_buffer_that_the_state_dict_leaves_out_is_no_entry() -> None:
    layer = nn.Linear(2, 2)
    layer.register_buffer("scratch", torch.zeros(3), persistent=False)
    assert Entries.of(layer) == Entries(("weight", "bias"))


def test_tied_weights_count_as_the_state_dict_has_them() -> None:
    first = nn.Linear(3, 3, bias=False)
    tied = nn.Sequential(first, nn.Linear(3, 3, bias=False))
    tied[1].weight = first.weight
    assert set(Entries.of(tied).names) == set(tied.state_dict())


def test_private_entries_are_not_shared(network: UNet) -> None:
    entries = Entries.of(network)
    shared = entries.shared(lambda name: "running" in name or name.endswith("bias"))
    assert shared.statistics == ()
    assert shared.counters == entries.counters
    assert set(shared.trainable) == {name for name in entries.trainable if not name.endswith("bias")}


def test_they_travel_as_json(network: UNet) -> None:
    entries = Entries.of(network)
    assert Entries.from_plain(json.loads(json.dumps(entries.plain()))) == entries


def test_only_takes_what_there_is_of_some_names() -> None:
    assert only({"a": 1, "b": 2}, ["b", "c"]) == {"b": 2}
