"""Convolution with standardised weights (Qiao et al. 2019, arXiv 1903.10520), as Big Transfer's networks have it."""

import torch
from torch import nn
from torch.nn import functional as F

EPSILON = 1e-8


class StandardizedConv2d(nn.Conv2d):
    """A square convolution without bias, each of whose kernels has mean 0 and variance 1.

    Padding is TensorFlow's ``SAME``, with the odd pixel on the right and below, as published weights of such networks
    were trained with it; the edges of an input must be divisible by the stride.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, bias=False)
        self.margin = same_margin(kernel_size, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        return F.conv2d(
            F.pad(x, self.margin), (self.weight - mean) * torch.rsqrt(variance + EPSILON), None, self.stride
        )


def same_margin(kernel_size: int, stride: int) -> tuple[int, int, int, int]:
    """Pixels to be added left, right, above and below an image, so that every ``stride`` pixels give one."""
    total = max(kernel_size - stride, 0)
    before = total // 2
    return before, total - before, before, total - before
