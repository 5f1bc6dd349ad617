"""Residual networks that end at a sixteenth of the image's edge and give the grids on the way there too."""

from typing import ClassVar

import torch
from monai.networks.nets.resnet import ResNet
from torch import nn
from torch.nn import functional as F

from fedmed.networks.group_normalization import Norm, normalize_by_groups
from fedmed.networks.standardized_convolution import StandardizedConv2d, same_margin


class ResNet18Stem(ResNet):
    """ResNet18 (arXiv 1512.03385) without its last quarter: (B, C, H, W) -> grids of 1/2, 1/4, 1/8 and 1/16.

    Its entries have torchvision's names and shapes.
    """

    CHANNELS: ClassVar[tuple[int, ...]] = (64, 64, 128, 256)

    def __init__(self, in_channels: int, norm: Norm) -> None:
        super().__init__(
            block="basic",
            layers=[2, 2, 2, 1],
            block_inplanes=[64, 128, 256, 512],
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_size=7,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        del self.layer4
        if norm == "group":
            normalize_by_groups(self)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:  # type: ignore[override]
        half = self.act(self.bn1(self.conv1(x)))
        quarter = self.layer1(self.maxpool(half))
        eighth = self.layer2(quarter)
        return [half, quarter, eighth, self.layer3(eighth)]


class ResNet50Stem(nn.Module):
    """The ResNet50 of hybrid vision transformers (arXiv 2010.11929): (B, C, H, W) -> grids of 1/2, 1/4, 1/8 and 1/16.

    Three stages of 3, 4 and 9 bottlenecks, with standardised weights and group norm. Its entries have the names and
    shapes of timm's ``vit_base_r50_s16``.
    """

    CHANNELS: ClassVar[tuple[int, ...]] = (64, 256, 512, 1024)
    BLOCKS: ClassVar[tuple[int, ...]] = (3, 4, 9)

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential()
        self.stem.add_module("conv", StandardizedConv2d(in_channels, 64, 7, stride=2))
        self.stem.add_module("norm", _group_norm(64))
        steps = zip(self.CHANNELS, self.CHANNELS[1:], self.BLOCKS, strict=False)
        self.stages = nn.ModuleList(_Stage(below, above, count, 1 if place == 0 else 2)
                                    for place, (below, above, count) in enumerate(steps))  # fmt: skip

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        grids = [F.relu(self.stem(x))]
        x = F.max_pool2d(F.pad(grids[0], same_margin(3, 2)), 3, 2)  # zeros pad like -inf, as nothing is below 0
        for stage in self.stages:
            x = stage(x)
            grids.append(x)
        return grids


class _Stage(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, count: int, stride: int) -> None:
        super().__init__()
        first = _Bottleneck(in_channels, out_channels, stride)
        self.blocks = nn.Sequential(first, *(_Bottleneck(out_channels, out_channels) for _ in range(count - 1)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(x)


class _Bottleneck(nn.Module):
    """Convolutions of 1, 3 and 1 pixels with a quarter of the channels in the middle, and a way past them."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        middle = out_channels // 4
        self.conv1, self.norm1 = StandardizedConv2d(in_channels, middle, 1), _group_norm(middle)
        self.conv2, self.norm2 = StandardizedConv2d(middle, middle, 3, stride), _group_norm(middle)
        self.conv3, self.norm3 = StandardizedConv2d(middle, out_channels, 1), _group_norm(out_channels)
        self.downsample = nn.Sequential()
        if in_channels != out_channels:
            self.downsample.add_module("conv", StandardizedConv2d(in_channels, out_channels, 1, stride))
            self.downsample.add_module("norm", _group_norm(out_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        way_past = self.downsample(x)
        x = F.relu(self.norm1(self.conv1(x)))
        x = F.relu(self.norm2(self.conv2(x)))
        return F.relu(self.norm3(self.conv3(x)) + way_past)


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels)
