"""The network: the published size, GroupNorm only, and rebuilt from what it stores of itself."""

import inspect
import json

import pytest
import torch
from torch import nn

from model import BratsSegResNet

OTHER = {
    "in_channels": 2,
    "out_channels": 5,
    "init_filters": 8,
    "blocks_down": [1, 1, 2],
    "blocks_up": [1, 2],
    "dropout_prob": 0.5,
}


def test_it_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in BratsSegResNet().parameters()) == 4_702_227


def test_its_only_normalisation_is_by_groups() -> None:
    kinds = {type(module) for module in BratsSegResNet().modules() if "norm" in type(module).__name__.lower()}
    assert kinds == {nn.GroupNorm}
    assert not list(BratsSegResNet().buffers())  # no running statistics that a site could leak or a mean could spoil


@pytest.mark.parametrize("arguments", [{}, OTHER], ids=["published", "other"])
def test_it_is_rebuilt_from_its_stored_arguments(arguments: dict[str, object]) -> None:
    original = BratsSegResNet(**arguments)  # type: ignore[arg-type]
    rebuilt = BratsSegResNet(**json.loads(json.dumps(original.arguments)))
    shapes = {name: values.shape for name, values in original.state_dict().items()}
    assert {name: values.shape for name, values in rebuilt.state_dict().items()} == shapes
    assert [m.p for m in rebuilt.modules() if isinstance(m, nn.Dropout3d)] == [original.arguments["dropout_prob"]]


def test_every_argument_is_stored_under_its_own_name() -> None:
    names = set(inspect.signature(BratsSegResNet).parameters)
    assert names == set(OTHER)
    original = BratsSegResNet(**OTHER)  # type: ignore[arg-type]
    assert original.arguments == OTHER
    assert {name: getattr(original, name) for name in names} == OTHER


@pytest.mark.parametrize("size", [(16, 16, 16), (8, 24, 16)])
def test_its_output_has_a_channel_a_region_and_the_size_of_its_input(size: tuple[int, int, int]) -> None:
    network = BratsSegResNet(init_filters=8, blocks_down=(1, 1, 1, 1)).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 4, *size)).shape == (2, 3, *size)


def test_equal_seeds_give_equal_weights() -> None:
    def fresh(seed: int) -> list[torch.Tensor]:
        torch.manual_seed(seed)
        return list(BratsSegResNet(init_filters=8).parameters())

    assert all(torch.equal(a, b) for a, b in zip(fresh(1), fresh(1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(fresh(1), fresh(2), strict=True))
