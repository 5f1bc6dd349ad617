"""Channels-last memory for 3D networks on CPUs, with a group norm whose backward pass is quick there.

PyTorch's own group norm walks that format voxel by voxel on its way back and eats what the convolutions gain. The
mathematics is the same, so both give the same numbers but for rounding.
"""

import math
from typing import Any

import torch
from torch import nn

from fedmed.core.cpu_convolution import use_cpu_convolutions
from fedmed.core.settings import Performance

_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""By the rank of a convolution's weight."""

_ROWS = 64  # summed up in the tensor's own type before float32 takes over, so that nothing is lost to bfloat16
_INNER = 1024  # elements of one row: long ones are worked on with vectors, channels alone may be but 16


def channels_last(speed: Performance, device: torch.device) -> bool:
    """True where these settings ask for the format; ``auto`` does on CPUs, where it was measured to be a gain."""
    if speed.memory_format == "auto":
        return device.type == "cpu"
    return speed.memory_format == "channels_last"


def prepare_network(model: nn.Module, speed: Performance, device: torch.device) -> None:
    """Give a network the forms of its layers that are quick on this device, with the same numbers. In place.

    Parameters, their names and so the state dict stay what they were.
    """
    if channels_last(speed, device):
        use_channels_last(model)
    if device.type == "cpu":
        use_cpu_convolutions(model)


def use_channels_last(model: nn.Module) -> None:
    """Lay out a 2D or 3D network's weights for channels-last input and give it the quick group norm. In place.

    Parameters, their names and so the state dict stay what they were. A network with weights of both ranks, or of
    neither as one of 1D convolutions, is left alone.
    """
    ranks = {values.ndim for values in (*model.parameters(), *model.buffers())} & set(_FORMATS)
    if len(ranks) != 1:
        return
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.GroupNorm and child.affine:
                setattr(module, name, ChannelsLastGroupNorm(child))
    model.to(memory_format=_FORMATS[ranks.pop()])  # type: ignore[call-overload]


class ChannelsLastGroupNorm(nn.GroupNorm):
    """Takes over ``norm``'s parameters; (B, C, D, H, W) in any memory format."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__(norm.num_groups, norm.num_channels, norm.eps, affine=False)
        self.affine, self.weight, self.bias = True, norm.weight, norm.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 5 and x.requires_grad and x.is_contiguous(memory_format=torch.channels_last_3d):
            return _GroupNorm.apply(x, self.weight, self.bias, self.num_groups, self.eps)
        return super().forward(x)


class _GroupNorm(torch.autograd.Function):
    """PyTorch's forward pass. The backward pass follows from y = (x - mean) * rstd * weight + bias.

    With s1 = sum(dy * weight) and s2 = sum(dy * weight * x) over a group of n values, dx is a sum of three terms with a
    coefficient a channel: rstd * weight * dy + k * x - (k * mean + rstd * s1 / n), k = rstd^3 * (mean * s1 - s2) / n.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, eps: float) -> Any:
        batch, channels, voxels = x.shape[0], x.shape[1], x[0, 0].numel()
        y, mean, rstd = torch.native_group_norm(x, weight, bias, batch, channels, voxels, groups, eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        x, weight, mean, rstd = ctx.saved_tensors
        channels, voxels = x.shape[1], x[0, 0].numel()
        groups = mean.shape[1]
        dy, rows = _rows(grads[0]), _rows(x)
        sum_dy, sum_dy_x = _by_group(_sums(dy), channels, groups), _by_group(_sums(dy * rows), channels, groups)
        gain = weight.float().reshape(1, groups, -1)
        mean, rstd = mean.float()[..., None], rstd.float()[..., None]
        n = voxels * channels // groups
        s1, s2 = ((gain * each).sum(-1, keepdim=True) for each in (sum_dy, sum_dy_x))
        slope = rstd**3 * (mean * s1 - s2) / n
        offset = -(slope * mean + rstd * s1 / n)
        of_dy, of_x, constant = (_per_element(each, dy, gain) for each in (rstd * gain, slope, offset))
        dx = torch.addcmul(torch.addcmul(constant, rows, of_x), dy, of_dy)
        d_weight = ((sum_dy_x - mean * sum_dy) * rstd).sum(0).flatten()
        d_bias = sum_dy.sum(0).flatten()
        return _volume(dx, x), d_weight.to(weight.dtype), d_bias.to(weight.dtype), None, None


def _rows(x: torch.Tensor) -> torch.Tensor:
    """(B, C, D, H, W) as (B, rows, voxels a row * C), without a copy where it is channels-last already."""
    batch, channels = x.shape[:2]
    voxels = math.gcd(x[0, 0].numel(), max(1, _INNER // channels))
    return x.permute(0, 2, 3, 4, 1).reshape(batch, -1, voxels * channels)


def _volume(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    batch, channels, *size = like.shape
    return rows.reshape(batch, *size, channels).permute(0, 4, 1, 2, 3)


def _sums(rows: torch.Tensor) -> torch.Tensor:
    """The sum over the rows, (B, voxels a row * C) float32."""
    batch, count, inner = rows.shape
    whole = count - count % _ROWS
    total = rows[:, whole:].sum(1, dtype=torch.float32)
    parts = rows[:, :whole].reshape(batch, -1, _ROWS, inner)
    return total + parts.sum(2).sum(1, dtype=torch.float32)


def _by_group(sums: torch.Tensor, channels: int, groups: int) -> torch.Tensor:
    """(B, groups, channels a group) from sums that still tell the voxels of a row apart."""
    return sums.reshape(len(sums), -1, channels).sum(1).reshape(len(sums), groups, -1)


def _per_element(coefficient: torch.Tensor, rows: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """A coefficient a group or channel for each element of a row, in the rows' type."""
    by_channel = coefficient.expand(-1, *gain.shape[1:]).flatten(1).to(rows.dtype)
    return by_channel.repeat(1, rows.shape[2] // by_channel.shape[1])[:, None]
