"""Entries of a state dict by kind, on a real network with every kind."""

import json

import pytest
import torch
from monai.networks.nets import UNet
from torch import nn

from fedmed.core.entries import Entries, Part, Parts, only


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


def test_each_entry_is_of_one_part_by_its_name_and_its_layer(network: UNet) -> None:
    def part(name: str, layer: nn.Module) -> Part:
        if isinstance(layer, nn.BatchNorm2d):
            return "private"
        return "frozen" if name.endswith("bias") else "shared"

    entries, parts = Entries.of(network), Parts.of(network, part)
    assert parts.private.statistics == entries.statistics
    assert parts.private.counters == entries.counters
    assert set(parts.frozen.trainable) == {n for n in entries.trainable if n.endswith("bias") and ".N." not in n}
    assert sorted(parts.shared.names + parts.unshared) == sorted(entries.names)


def test_one_parameter_of_two_names_is_of_one_part() -> None:
    tied = nn.ModuleDict({"one": nn.Linear(2, 2), "other": nn.Linear(2, 2)})
    tied["other"].weight = tied["one"].weight
    with pytest.raises(ValueError, match=r"other.weight and one.weight are one parameter"):
        Parts.of(tied, lambda name, layer: "private" if name.startswith("one") else "shared")


def test_they_travel_as_json(network: UNet) -> None:
    entries = Entries.of(network)
    assert Entries.from_plain(json.loads(json.dumps(entries.plain()))) == entries


def test_only_takes_what_there_is_of_some_names() -> None:
    assert only({"a": 1, "b": 2}, ["b", "c"]) == {"b": 2}
