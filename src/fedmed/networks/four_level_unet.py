"""The U-Net of Ronneberger et al. 2015 (arXiv 1505.04597) with normalised layers, in 2D, from MONAI's blocks."""

from itertools import pairwise

import torch
from monai.networks.nets.basic_unet import Down, TwoConv, UpCat
from torch import nn

from fedmed.networks.group_normalization import Norm, block_form


class FourLevelUNet(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, H, W) logits; H and W must be divisible by 16.

    Each level is two 3x3 convolutions. The grid is halved four times by maxima and doubled by transposed convolutions;
    the number of channels goes from ``features`` to 16 times as many.
    """

    def __init__(self, in_channels: int, out_channels: int, features: int, norm: Norm) -> None:
        super().__init__()
        widths = [features * 2**level for level in range(5)]
        steps = list(pairwise(widths))
        form = block_form(norm)
        self.first = TwoConv(2, in_channels, features, **form)
        self.down = nn.ModuleList(Down(2, above, below, **form) for above, below in steps)
        self.up = nn.ModuleList(UpCat(2, below, above, above, **form) for above, below in reversed(steps))
        self.head = nn.Conv2d(features, out_channels, kernel_size=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        levels = [self.first(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in self.up:
            x = up(x, levels.pop())
        return self.head(x)
