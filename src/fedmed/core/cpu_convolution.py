"""Convolutions on CPUs: right in bfloat16 and quick in float32, where PyTorch's own way to oneDNN is not.

In bfloat16, oneDNN's gradient of the weights reads memory that nobody has written, and in some sizes writes beyond its
own, where a kernel's edge is longer than the output's: 3x3x3 over two slices is such a case. So what lands there is
computed in float32; it is small. Seen with PyTorch 2.13.0 on AVX512-BF16, for kernels of 3 and 5 and sizes to 9.

In float32, PyTorch unfolds a small volume into a matrix of every voxel's neighbours where oneDNN would be several times
faster: at a batch of 1, and where channels * depth * height is at most 20,480. A batch of two always goes to oneDNN,
and the two halves of a volume are one.
"""

import torch
from torch import nn
from torch.nn import functional as F


def use_cpu_convolutions(model: nn.Module) -> None:
    """Make every plain ``nn.Conv2d`` and ``nn.Conv3d`` of a network one of the two below. In place.

    The layers stay the same objects with the same parameters and hooks, so the state dict stays what it was.
    """
    kinds: dict[type[nn.Module], type[nn.Module]] = {nn.Conv2d: CPUConv2d, nn.Conv3d: CPUConv3d}
    for module in model.modules():
        if type(module) in kinds:
            module.__class__ = kinds[type(module)]


class CPUConv2d(nn.Conv2d):
    """An ``nn.Conv2d`` that computes in float32 what bfloat16 would get wrong under autocast."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return in_float32(self, x) if is_wrong_in_bfloat16(self, x) else super().forward(x)


class CPUConv3d(nn.Conv3d):
    """An ``nn.Conv3d`` with the same numbers, but for rounding, in whichever exact form is quick for its input.

    It is PyTorch's own layer wherever that is quick and right or no other form applies: on GPUs, under autocast, for
    batches, for groups, and for padding other than with a number of zeros.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if is_wrong_in_bfloat16(self, x):
            return in_float32(self, x)
        if not isinstance(self.padding, str) and self._known(x) and self._is_slow(x):
            if self._is_pointwise() and x.is_contiguous(memory_format=torch.channels_last_3d):
                return pointwise(x, self.weight, self.bias)
            if self._has_halves(x) and not self._is_slow(x.expand(2, -1, -1, -1, -1)):
                return in_halves(x, self.weight, self.bias, self.stride, self.padding, self.dilation)
        return super().forward(x)

    def _known(self, x: torch.Tensor) -> bool:
        """True for a case that the two forms below are made for; autocast goes to oneDNN by itself."""
        here = x.ndim == 5 and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        return here and self.groups == 1 and self.padding_mode == "zeros"

    def _is_slow(self, x: torch.Tensor) -> bool:
        """True where PyTorch would unfold ``x``; it is asked, because its rule differs between its versions."""
        backend = torch._C._select_conv_backend(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, False, (0, 0, 0), self.groups
        )
        return bool(backend.name == "Slow3d")

    def _has_halves(self, x: torch.Tensor) -> bool:
        """True where halving pays: of one or two slices each half would see all, and cost as much as the whole."""
        return x.shape[0] == 1 and x.shape[2] > 2

    def _is_pointwise(self) -> bool:
        """True where every output voxel comes from the one input voxel at its place."""
        return self.kernel_size == self.stride == (1, 1, 1) and self.padding == (0, 0, 0)


def is_wrong_in_bfloat16(layer: nn.Conv2d | nn.Conv3d, x: torch.Tensor) -> bool:
    """True where autocast on a CPU would have oneDNN convolve with a kernel that is longer than the output somewhere.

    The output's edges are taken as those of padding that keeps the size, the only one with which errors were seen.
    """
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return False
    edges = zip(x.shape[2:], layer.kernel_size, layer.stride, strict=True)
    return any(-(-size // stride) < kernel for size, kernel, stride in edges)


def in_float32(layer: nn.Conv2d | nn.Conv3d, x: torch.Tensor) -> torch.Tensor:
    """The layer's output in autocast's type, computed in float32."""
    with torch.autocast("cpu", enabled=False):
        y: torch.Tensor = layer._conv_forward(x.float(), layer.weight, layer.bias)
    return y.to(torch.get_autocast_dtype("cpu"))


def pointwise(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """A 1x1x1 convolution of (B, C, D, H, W) as one product of matrices, without a copy where x is channels-last."""
    return F.linear(x.permute(0, 2, 3, 4, 1), weight.flatten(1), bias).permute(0, 4, 1, 2, 3)


def in_halves(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> torch.Tensor:
    """A convolution of (1, C, D, H, W), computed as that of (2, C, span, H, W): what each half of the output sees.

    The halves of the output are equally deep and one lies behind the other, so what they see overlaps by what the
    kernel reaches. Where the output is odd in depth, the second half has a slice too many, which is cut off.
    """
    reach = dilation[0] * (weight.shape[2] - 1)
    depth = (x.shape[2] + 2 * padding[0] - reach - 1) // stride[0] + 1
    half = (depth + 1) // 2
    begin, span = half * stride[0], (half - 1) * stride[0] + reach + 1
    padded = F.pad(x, (0, 0, 0, 0, padding[0], max(0, begin + span - padding[0] - x.shape[2])))
    seen = torch.cat([padded[:, :, :span], padded[:, :, begin : begin + span]])
    y = F.conv3d(seen, weight, bias, stride, (0, *padding[1:]), dilation)
    return y.permute(0, 2, 3, 4, 1).flatten(0, 1)[:depth][None].permute(0, 4, 1, 2, 3)
