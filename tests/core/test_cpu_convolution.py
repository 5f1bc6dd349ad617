"""Convolutions on CPUs give PyTorch's numbers in every form, and those of float32 where bfloat16 is wrong."""

import copy
import io
from itertools import product

import pytest
import torch
from monai.networks.nets import SegResNet, UNet
from torch import nn

from fedmed.core import cpu_convolution
from fedmed.core.cpu_convolution import (
    CPUConv2d,
    CPUConv3d,
    in_halves,
    is_wrong_in_bfloat16,
    pointwise,
    use_cpu_convolutions,
)

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last_3d}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}
KERNELS = [
    # kernel, stride, padding, dilation
    ((3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    ((3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1)),
    ((3, 3, 3), (1, 1, 1), (0, 0, 0), (1, 1, 1)),
    ((3, 3, 3), (1, 1, 1), (2, 2, 2), (2, 2, 2)),
    ((3, 3, 3), (3, 1, 2), (1, 0, 2), (1, 2, 1)),
    ((2, 2, 2), (2, 2, 2), (0, 0, 0), (1, 1, 1)),
    ((2, 3, 3), (1, 1, 1), (3, 1, 1), (1, 1, 1)),
    ((1, 3, 3), (1, 1, 1), (0, 1, 1), (1, 1, 1)),
    ((1, 3, 3), (2, 2, 2), (2, 1, 1), (1, 1, 1)),
    ((3, 1, 1), (1, 1, 1), (1, 0, 0), (1, 1, 1)),
    ((5, 5, 5), (1, 1, 1), (2, 2, 2), (1, 1, 1)),
    ((1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1)),
    ((1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    ((1, 1, 1), (2, 2, 2), (0, 0, 0), (1, 1, 1)),
]
VOLUMES = [(5, 6, 7), (6, 5, 5), (8, 8, 8), (9, 5, 5), (16, 5, 6)]


@pytest.fixture(autouse=True)
def one_thread() -> object:
    """As a site of several on few cores has it, where 1x1x1 is slow too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def numbers(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """The output and the gradients of x and the parameters, for an upstream gradient that depends on its size alone."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    upstream = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    return [y.detach(), *torch.autograd.grad(y, [x, *layer.parameters()], upstream)]


def assert_same(found: list[torch.Tensor], expected: list[torch.Tensor], tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert float((one - other).norm()) <= tolerance * float(other.norm())


def quick(layer: nn.Module) -> nn.Module:
    made = copy.deepcopy(layer)
    use_cpu_convolutions(made)
    return made


def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the forms that are taken from now on."""
    names: list[str] = []
    for form in (in_halves, pointwise):

        def noted(*args: object, form: object = form) -> object:
            names.append(form.__name__)  # type: ignore[attr-defined]
            return form(*args)  # type: ignore[operator]

        monkeypatch.setattr(cpu_convolution, form.__name__, noted)
    return names


def drawn(*size: int, dtype: torch.dtype = torch.float32, layout: str = "channels_last") -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(size, dtype=dtype).to(memory_format=FORMATS[layout])  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), KERNELS, ids=str)
def test_halves_are_the_whole(
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    dtype: torch.dtype,
    layout: str,
) -> None:
    for volume, bias in product(VOLUMES, (True, False)):
        x = drawn(1, 3, *volume, dtype=dtype, layout=layout)
        plain = nn.Conv3d(3, 4, kernel, stride, padding, dilation, bias=bias, dtype=dtype)
        halved = copy.deepcopy(plain)
        halved.forward = lambda x, own=halved: in_halves(  # type: ignore[method-assign, misc]
            x, own.weight, own.bias, own.stride, own.padding, own.dilation
        )
        assert_same(numbers(halved, x), numbers(plain, x), TOLERANCE[dtype])


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), KERNELS, ids=str)
def test_a_layer_keeps_its_numbers(
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    batch: int,
    layout: str,
) -> None:
    for channels, volume, bias in product((2, 16), VOLUMES[::2], (True, False)):
        x = drawn(batch, channels, *volume, layout=layout)
        plain = nn.Conv3d(channels, 8, kernel, stride, padding, dilation, groups, bias)
        assert_same(numbers(quick(plain), x), numbers(plain, x), TOLERANCE[torch.float32])


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_flat_volumes_keep_their_numbers(depth: int) -> None:
    plain, x = nn.Conv3d(4, 4, 3, padding=1), drawn(1, 4, depth, 6, 6)
    assert_same(numbers(quick(plain), x), numbers(plain, x), TOLERANCE[torch.float32])


@pytest.mark.parametrize(
    ("layer", "size", "form"),
    [
        (nn.Conv3d(16, 16, 3, padding=1), (1, 16, 8, 8, 8), ["in_halves"]),
        (nn.Conv3d(16, 16, 3, 2, padding=1), (1, 16, 8, 8, 8), ["in_halves"]),
        (nn.Conv3d(16, 4, 1), (1, 16, 8, 8, 8), ["pointwise"]),
        (nn.Conv3d(16, 4, 1), (2, 16, 8, 8, 8), ["pointwise"]),
        (nn.Conv3d(16, 16, 3, padding=1), (2, 16, 8, 8, 8), []),
        (nn.Conv3d(16, 16, 3, padding=1), (1, 16, 40, 40, 4), []),  # 16 * 40 * 40 are more than 20,480
        (nn.Conv3d(16, 16, 3, padding=1), (1, 16, 2, 8, 8), []),  # each half would see the whole
        (nn.Conv3d(16, 16, 3, padding=1, groups=2), (1, 16, 8, 8, 8), []),
        (nn.Conv3d(16, 4, 1, groups=2), (1, 16, 8, 8, 8), []),
        (nn.Conv3d(16, 16, (3, 1, 1), padding=(1, 0, 0)), (1, 16, 8, 8, 8), []),  # slow in a batch of two as well
        (nn.Conv3d(16, 16, 3, padding="same"), (1, 16, 8, 8, 8), []),
        (nn.Conv3d(16, 16, 3, padding=1, padding_mode="circular"), (1, 16, 8, 8, 8), []),
        (nn.Conv3d(16, 16, 3, padding=1, padding_mode="reflect"), (1, 16, 8, 8, 8), []),
        (nn.Conv3d(16, 16, 3, padding=1), (16, 8, 8, 8), []),  # without a batch
    ],
    ids=str,
)
def test_a_form_is_taken_only_where_pytorch_is_slow(
    layer: nn.Conv3d, size: tuple[int, ...], form: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names, x = taken(monkeypatch), torch.randn(size)
    x = x.to(memory_format=torch.channels_last_3d) if x.ndim == 5 else x
    assert_same(numbers(quick(layer), x), numbers(layer, x), TOLERANCE[torch.float32])
    assert names == form


def test_float64_is_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    names = taken(monkeypatch)
    quick(nn.Conv3d(4, 4, 3, dtype=torch.float64))(drawn(1, 4, 6, 6, 6, dtype=torch.float64))
    assert names == []


def test_autocast_is_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    names, plain, x = taken(monkeypatch), nn.Conv3d(16, 16, 3, padding=1), drawn(1, 16, 8, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = quick(plain)(x), plain(x)
    assert names == []
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)


def test_only_plain_3d_convolutions_change() -> None:
    class Own(nn.Conv3d):
        pass

    others = [nn.Conv1d(1, 1, 3), nn.ConvTranspose3d(1, 1, 3), Own(1, 1, 3), nn.Linear(1, 1)]
    model = nn.Sequential(nn.Conv3d(1, 1, 3), nn.Conv2d(1, 1, 3), *others)
    use_cpu_convolutions(model)
    assert [type(each) for each in model] == [CPUConv3d, CPUConv2d, *map(type, others)]


@pytest.mark.parametrize(("size", "stride"), [((2, 1, 1), 1), ((2, 4, 4), 1), ((1, 4), 1), ((4, 1), 2), ((7, 1, 4), 2)])
def test_gradients_of_what_is_shorter_than_the_kernel_are_those_of_float32(size: tuple[int, ...], stride: int) -> None:
    torch.manual_seed(0)
    kind = nn.Conv2d if len(size) == 2 else nn.Conv3d
    layer, x = kind(8, 8, 3, stride, padding=1), torch.randn(2, 8, *size)
    with torch.autocast("cpu", torch.bfloat16):
        y = quick(layer)(x)
        made = quick(layer)
        _, _, *found = numbers(made, x)
    assert y.dtype == torch.bfloat16
    upstream = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1)).double()
    exact = layer.double()
    expected = torch.autograd.grad(exact(x.double()), list(exact.parameters()), upstream)
    assert_same([each.double() for each in found], list(expected), 1e-6)


@pytest.mark.parametrize(("size", "stride"), [((3, 3, 3), 1), ((8, 8), 2)])
def test_what_is_as_long_as_the_kernel_stays_in_bfloat16(size: tuple[int, ...], stride: int) -> None:
    kind = nn.Conv2d if len(size) == 2 else nn.Conv3d
    layer, x = quick(kind(8, 8, 3, stride, padding=1)), torch.randn(2, 8, *size)
    assert not is_wrong_in_bfloat16(layer, x)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_wrong_in_bfloat16(layer, x)


def test_a_layer_on_another_device_is_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    names, layer = taken(monkeypatch), quick(nn.Conv3d(16, 16, 3, padding=1)).to("meta")
    assert layer(torch.empty(1, 16, 8, 8, 8, device="meta")).shape == (1, 16, 8, 8, 8)
    assert names == []


NETWORKS = {
    "SegResNet": lambda: SegResNet(3, 8, 4, 3, blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1)),
    "UNet": lambda: UNet(3, 4, 4, (8, 16, 32), (2, 2), num_res_units=2, norm=("group", {"num_groups": 2})),
}


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_its_loss_gradients_and_names(name: str, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    plain = NETWORKS[name]().to(memory_format=FORMATS[layout])
    model, x, names = quick(plain), drawn(1, 4, 16, 24, 16, layout=layout), taken(monkeypatch)
    assert_same(numbers(model, x), numbers(plain, x), 1e-4)  # rounding grows from layer to layer
    assert "in_halves" in names
    assert list(model.state_dict()) == list(plain.state_dict())
    losses = [each(x).sigmoid().mean().item() for each in (model, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_equal_inputs_give_equal_numbers() -> None:
    layer, x = quick(nn.Conv3d(16, 16, 3, padding=1)), drawn(1, 16, 8, 8, 8)
    assert all(torch.equal(one, other) for one, other in zip(numbers(layer, x), numbers(layer, x), strict=True))


@pytest.mark.parametrize(
    "layer", [nn.Conv3d(16, 8, 3, padding=1), nn.Conv3d(16, 8, 3, 2), nn.Conv3d(16, 8, 1)], ids=str
)
@pytest.mark.parametrize("depth", [7, 8, 9])
def test_the_layout_stays(layer: nn.Conv3d, depth: int) -> None:
    """To the strides, by which layers that follow choose their form."""
    y = quick(layer)(drawn(1, 16, depth, 8, 8))
    assert y.stride() == torch.empty(y.shape).to(memory_format=torch.channels_last_3d).stride()


def test_it_works_without_gradients_and_travels() -> None:
    plain, x = nn.Conv3d(16, 16, 3, padding=1), drawn(1, 16, 8, 8, 8)
    layer = copy.deepcopy(quick(plain))
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = nn.Conv3d(16, 16, 3, padding=1)
    other.load_state_dict(torch.load(file, weights_only=True))
    with torch.inference_mode():
        assert_same([layer(x), layer(x)], [plain(x), other(x)], TOLERANCE[torch.float32])
