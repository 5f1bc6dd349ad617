"""The quick group norm gives PyTorch's numbers, in whatever layout, and a network keeps its names and values."""

import copy

import pytest
import torch
from monai.networks.nets import ResNet
from torch import nn
from torch.nn import functional as F

from fedmed.core.cpu_convolution import CPUConv3d
from fedmed.core.memory_format import ChannelsLastGroupNorm, channels_last, prepare_network, use_channels_last
from fedmed.core.settings import Performance
from model import BratsSegResNet, BratsUNet

SIZES = [(1, 16, 12, 8, 4), (2, 8, 5, 7, 3), (1, 64, 2, 2, 2), (3, 24, 1, 1, 1), (1, 8, 33, 17, 9)]
GPU, CPU = torch.device("cuda"), torch.device("cpu")


def norm(channels: int) -> nn.GroupNorm:
    made = nn.GroupNorm(8, channels)
    nn.init.uniform_(made.weight, -1, 1)
    nn.init.uniform_(made.bias, -1, 1)
    return made


def gradients(layer: nn.Module, x: torch.Tensor, upstream: torch.Tensor) -> list[torch.Tensor]:
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    return [y.detach(), *torch.autograd.grad(y, [x, *layer.parameters()], upstream)]


def drawn(size: tuple[int, ...], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    x, upstream = 3 * torch.randn(size) + 1, torch.randn(size)
    return tuple(t.to(dtype).to(memory_format=torch.channels_last_3d) for t in (x, upstream))  # type: ignore[return-value]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
def test_it_is_the_group_norm(size: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    """Against PyTorch in float64; its own way back sums in float32 at least."""
    x, upstream = drawn(size, dtype)
    plain = norm(size[1])
    expected = gradients(copy.deepcopy(plain).double(), x.double().contiguous(), upstream.double().contiguous())
    layer = plain.double() if dtype == torch.float64 else plain
    found = gradients(ChannelsLastGroupNorm(layer), x, upstream)
    for one, other in zip(found, expected, strict=True):
        scale = max(float(other.norm()), 1e-3)
        assert float((one.double() - other).norm()) < tolerance * scale


def test_its_gradient_is_the_slope_of_its_output() -> None:
    x, _ = drawn((2, 8, 3, 2, 4), torch.float64)
    layer = ChannelsLastGroupNorm(norm(8).double())
    assert torch.autograd.gradcheck(layer, (x.requires_grad_(),), eps=1e-4, atol=1e-4)


def test_the_gradient_keeps_the_layout() -> None:
    x, upstream = drawn((1, 16, 4, 4, 4), torch.float32)
    for values in gradients(ChannelsLastGroupNorm(norm(16)), x, upstream)[:2]:
        assert values.is_contiguous(memory_format=torch.channels_last_3d)


def test_in_another_layout_pytorchs_own_computes() -> None:
    x, upstream = (values.contiguous() for values in drawn((1, 16, 4, 4, 4), torch.float32))
    plain = norm(16)
    for one, other in zip(
        gradients(ChannelsLastGroupNorm(plain), x, upstream), gradients(plain, x, upstream), strict=True
    ):
        assert torch.equal(one, other)


def test_a_network_keeps_its_parameters_and_its_output() -> None:
    torch.manual_seed(0)
    plain = BratsSegResNet(init_filters=8, dropout_prob=0.0)
    quick = copy.deepcopy(plain)
    parameters = list(quick.parameters())
    use_channels_last(quick)
    assert [id(parameter) for parameter in quick.parameters()] == [id(parameter) for parameter in parameters]
    assert list(quick.state_dict()) == list(plain.state_dict())
    quick.load_state_dict(plain.state_dict())
    assert not any(type(module) is nn.GroupNorm for module in quick.modules())
    x = torch.randn(1, 4, 16, 16, 16)
    torch.testing.assert_close(quick(x), plain(x), rtol=1e-3, atol=1e-4)
    F.mse_loss(quick(x), torch.ones(1, 3, 16, 16, 16)).backward()
    F.mse_loss(plain(x), torch.ones(1, 3, 16, 16, 16)).backward()
    for (name, one), other in zip(quick.named_parameters(), plain.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert float((one.grad - other.grad).norm()) < 1e-2 * max(float(other.grad.norm()), 1e-5), name


def outputs_in_both_layouts(network: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    plain, quick = network.eval(), copy.deepcopy(network).eval()
    use_channels_last(quick)
    assert list(quick.state_dict()) == list(plain.state_dict())
    return quick(x), plain(x)


def test_a_2d_network_has_the_format_of_pictures() -> None:
    torch.manual_seed(0)
    network = ResNet("basic", [1, 1, 1, 1], [8, 16, 16, 16], spatial_dims=2, n_input_channels=1, num_classes=2)
    found, expected = outputs_in_both_layouts(network, torch.randn(2, 1, 32, 32))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    use_channels_last(network)
    assert network.conv1.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv1d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv1d(8, 2, 1)),
        nn.Sequential(nn.Linear(12, 6), nn.ReLU()),
        nn.ModuleList([nn.Conv2d(1, 2, 1), nn.Conv3d(1, 2, 1), nn.GroupNorm(1, 2)]),
    ],
    ids=["1D", "no convolution", "mixed"],
)
def test_a_network_of_one_dimension_or_of_several_is_left_alone(network: nn.Module) -> None:
    before = [(type(module), id(module)) for module in network.modules()]
    use_channels_last(network)
    assert [(type(module), id(module)) for module in network.modules()] == before
    assert all(parameter.is_contiguous() for parameter in network.parameters())


@pytest.mark.parametrize("network", [BratsSegResNet, BratsUNet])
def test_every_network_of_the_project_takes_it(network: type[nn.Module]) -> None:
    torch.manual_seed(0)
    found, expected = outputs_in_both_layouts(network(), torch.randn(1, 4, 32, 16, 16))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("speed", "device", "expected"),
    [
        (Performance(), CPU, True),
        (Performance(), GPU, False),
        (Performance(memory_format="contiguous"), CPU, False),
        (Performance(memory_format="channels_last"), GPU, True),
    ],
)
def test_where_it_is_used(speed: Performance, device: torch.device, expected: bool) -> None:
    assert channels_last(speed, device) is expected


@pytest.mark.parametrize(("device", "layer"), [(CPU, CPUConv3d), (GPU, nn.Conv3d)], ids=str)
def test_a_network_is_prepared_for_its_device(device: torch.device, layer: type) -> None:
    network = BratsSegResNet()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    prepare_network(network, Performance(), device)
    assert {type(each) for each in network.modules() if isinstance(each, nn.Conv3d)} == {layer}
    assert any(isinstance(each, ChannelsLastGroupNorm) for each in network.modules()) == (device == CPU)
    assert before.keys() == network.state_dict().keys()
    assert all(torch.equal(values, network.state_dict()[name]) for name, values in before.items())
