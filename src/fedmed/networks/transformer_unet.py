"""TransUNet (Chen et al. 2021, arXiv 2102.04306): convolutions, a transformer on the coarsest grid, a decoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from monai.networks.blocks.convolutions import Convolution
from monai.networks.nets.basic_unet import UpCat
from torch import nn

from fedmed.networks.convolutional_stem import ResNet18Stem, ResNet50Stem
from fedmed.networks.grid_transformer import GridTransformer
from fedmed.networks.group_normalization import Norm, block_form

PATCH = 16
"""Pixels of the image's edge for one of the transformer's grid."""


@dataclass(frozen=True)
class TransformerSize:
    """A size of the network: its transformer's, and the channels of the decoder from the coarsest grid on."""

    width: int
    depth: int
    heads: int
    decoder: tuple[int, int, int, int, int]


SIZES: Mapping[str, TransformerSize] = {
    "small": TransformerSize(192, 6, 3, (256, 128, 64, 32, 16)),
    "r50_b16": TransformerSize(768, 12, 12, (512, 256, 128, 64, 16)),
}


class HybridEncoder(nn.Module):
    """(B, C, H, W) -> grids of 1/2, 1/4 and 1/8 of the stem's, and one of 1/16 of the transformer's."""

    def __init__(self, in_channels: int, size: str, edge: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        form = SIZES[size]
        self.backbone = ResNet18Stem(in_channels, norm) if size == "small" else ResNet50Stem(in_channels)
        channels = self.backbone.CHANNELS[-1]
        self.transformer = GridTransformer(channels, edge, form.width, form.depth, form.heads, dropout)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        *grids, coarsest = self.backbone(x)
        return [*grids, self.transformer(coarsest)]


class SkipDecoder(nn.Module):
    """A coarse grid, doubled four times by interpolation, with the encoder's grids beside it on the way."""

    def __init__(self, in_channels: int, skips: Sequence[int], widths: Sequence[int], norm: Norm) -> None:
        super().__init__()
        form = block_form(norm)
        self.first = Convolution(2, in_channels, widths[0], kernel_size=3, **form)
        self.up = nn.ModuleList(
            UpCat(2, below, beside, above, upsample="nontrainable", pre_conv=None, **form)
            for below, above, beside in zip(widths, widths[1:], (*skips, 0), strict=False)
        )

    def forward(self, coarsest: torch.Tensor, finer: Sequence[torch.Tensor]) -> torch.Tensor:
        x = self.first(coarsest)
        for up, beside in zip(self.up, (*reversed(finer), None), strict=True):
            x = up(x, beside)
        return x


class TransformerUNet(nn.Module):
    """(B, in_channels, H, W) -> (B, out_channels, H, W) logits; H and W must be divisible by 16.

    Args:
        size: of :data:`SIZES`.
        image_size: edge in pixels for which the position embeddings are learnt; for others they are interpolated.
        norm: of the decoder, and of the stem of ``small``; that of ``r50_b16`` has group norm always.
    """

    def __init__(
        self, in_channels: int, out_channels: int, size: str, image_size: int, norm: Norm, dropout: float
    ) -> None:
        super().__init__()
        form = SIZES[size]
        self.encoder = HybridEncoder(in_channels, size, image_size // PATCH, norm, dropout)
        skips = self.encoder.backbone.CHANNELS[-2::-1]
        self.decoder = SkipDecoder(form.width, skips, form.decoder, norm)
        self.head = nn.Conv2d(form.decoder[-1], out_channels, kernel_size=3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *finer, coarsest = self.encoder(x)
        return self.head(self.decoder(coarsest, finer))
