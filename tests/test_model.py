"""The networks: of the published size, without running statistics, and rebuilt from the arguments they store."""

import inspect
import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from model import BratsSegResNet, BratsUNet, ImageDenseNet, ImageResNet, LggUNet, Rebuildable, TransUNet

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


OTHER_UNET = {
    "in_channels": 2,
    "out_channels": 5,
    "channels": [4, 8, 16],
    "strides": [2, 2],
    "num_res_units": 1,
    "dropout": 0.25,
}


def test_the_u_net_is_of_a_size_with_the_published_network_and_has_no_running_statistics() -> None:
    network = BratsUNet()
    assert sum(p.numel() for p in network.parameters()) == 4_810_074
    assert {type(module) for module in network.modules() if "norm" in type(module).__name__.lower()} == {
        nn.InstanceNorm3d
    }
    assert not list(network.buffers())


@pytest.mark.parametrize("arguments", [{}, OTHER_UNET], ids=["default", "other"])
def test_the_u_net_is_rebuilt_from_its_stored_arguments(arguments: dict[str, Any]) -> None:
    original = BratsUNet(**arguments)
    rebuilt = BratsUNet(**json.loads(json.dumps(original.arguments)))
    shapes = {name: values.shape for name, values in original.state_dict().items()}
    assert {name: values.shape for name, values in rebuilt.state_dict().items()} == shapes
    assert set(original.arguments) == set(inspect.signature(BratsUNet).parameters) == set(OTHER_UNET)
    assert {name: getattr(original, name) for name in original.arguments} == original.arguments


OF_SLICES = [
    (LggUNet, {}),
    (LggUNet, {"in_channels": 1, "out_channels": 2, "features": 16, "norm": "group"}),
    (TransUNet, {"image_size": 64}),
    (TransUNet, {"in_channels": 1, "out_channels": 2, "size": "small", "image_size": 32, "norm": "group",
                 "dropout": 0.1}),
    (TransUNet, {"size": "r50_b16", "image_size": 32}),
]  # fmt: skip


@pytest.mark.parametrize(("network", "arguments"), OF_SLICES)
def test_networks_of_slices_are_rebuilt_and_exported(network: Any, arguments: dict[str, Any]) -> None:
    """By their stored arguments, and as TorchScript, which gives the same numbers."""
    original = network(**arguments).eval()
    assert set(original.arguments) == set(inspect.signature(network).parameters)
    assert {name: getattr(original, name) for name in original.arguments} == original.arguments
    rebuilt = network(**json.loads(json.dumps(original.arguments))).eval()
    rebuilt.load_state_dict(original.state_dict())
    edge = original.LEAST_EDGE
    image = torch.randn(2, original.arguments["in_channels"], edge, edge)
    with torch.inference_mode():
        expected = original(image)
        assert expected.shape == (2, original.arguments["out_channels"], edge, edge)
        assert torch.equal(rebuilt(image), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls TorchScript old, and its tracer fixes the image's size
        exported = torch.jit.trace(original, image)
    assert torch.allclose(exported(image), expected, atol=1e-5)


@pytest.mark.parametrize("network", [LggUNet, TransUNet])
def test_networks_of_slices_train_on_the_smallest_image_that_they_state(network: Any) -> None:
    made = network().train()
    output = made(torch.randn(1, 3, made.LEAST_EDGE, made.DIVISOR))
    output.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.parameters())


@pytest.mark.parametrize(("network", "heads"), [
    (ImageResNet(), {"fc.weight", "fc.bias"}),
    (ImageDenseNet(), {"class_layers.out.weight", "class_layers.out.bias"}),
    (TransUNet(), {"head.weight", "head.bias"}),
    (LggUNet(), None),
    (BratsUNet(), None),
])  # fmt: skip
def test_a_network_says_which_of_its_entries_are_an_encoder(network: Any, heads: set[str] | None) -> None:
    encoder = {name for name in network.state_dict() if name.startswith(network.ENCODER)}
    rest = {name for name in set(network.state_dict()) - encoder if not name.startswith("decoder.")}
    assert (rest == heads and encoder) if heads else not encoder


@pytest.mark.parametrize("network", [BratsSegResNet, BratsUNet])
def test_every_network_takes_the_smallest_input_that_it_states(network: Callable[[], Rebuildable]) -> None:
    made: Any = network()
    edges = (made.LEAST_EDGE, made.DIVISOR, made.DIVISOR)
    output = made.train()(torch.randn(1, 4, *edges))
    assert output.shape == (1, 3, *edges)
    output.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.parameters())


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize(("depth", "parameters"), [(18, 11_172_292), (34, 21_280_452)])
def test_the_resnets_have_torchvisions_size_and_one_kind_of_norm(depth: int, parameters: int, norm: Any) -> None:
    """torchvision's have 11,689,512 and 21,797,672 with 3 channels and 1,000 classes: 2 * 3,136 and 996 * 513 more."""
    network = ImageResNet(depth, norm=norm)
    assert sum(p.numel() for p in network.parameters()) == parameters
    published = {18: 11_689_512, 34: 21_797_672}[depth]
    assert sum(p.numel() for p in ImageResNet(depth, 3, 1000).parameters()) == published
    kinds = {type(module) for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.GroupNorm)}
    assert kinds == {nn.BatchNorm2d if norm == "batch" else nn.GroupNorm}
    names = {name for name, _ in ImageResNet(depth).named_parameters()}
    assert {name for name, _ in network.named_parameters()} == names
    rebuilt = ImageResNet(**json.loads(json.dumps(network.arguments)))
    assert {n: v.shape for n, v in rebuilt.state_dict().items()} == {
        n: v.shape for n, v in network.state_dict().items()
    }


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_the_densenet_has_torchvisions_size_and_one_kind_of_norm(norm: Any) -> None:
    """torchvision's has 7,978,856 with 3 channels and 1,000 classes: 2 * 3,136 and 986 * 1,025 more."""
    network = ImageDenseNet(norm=norm)
    assert sum(p.numel() for p in network.parameters()) == 7_978_856 - 2 * 3_136 - 986 * 1_025 == 6_961_934
    kinds = {type(module) for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.GroupNorm)}
    assert kinds == {nn.BatchNorm2d if norm == "batch" else nn.GroupNorm}
    assert ImageDenseNet(**json.loads(json.dumps(network.arguments))).arguments == network.arguments
    with torch.inference_mode():
        assert network.train()(torch.zeros(1, 1, network.LEAST_EDGE, network.LEAST_EDGE)).shape == (1, 14)
