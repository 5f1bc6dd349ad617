"""The blocks of a vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) on a grid; they are MONAI's."""

import torch
from monai.networks.blocks.transformerblock import TransformerBlock
from torch import nn
from torch.nn import functional as F


class GridTransformer(nn.Module):
    """(B, in_channels, h, w) -> (B, width, h, w): every place of the grid is a token.

    Args:
        edge: of the grid for which the position embeddings are learnt; for other grids they are interpolated.
    """

    def __init__(self, in_channels: int, edge: int, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.edge = edge
        self.proj = nn.Conv2d(in_channels, width, kernel_size=1)
        self.pos_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, edge * edge, width), std=0.02))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(_block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.proj(x)
        height, width = x.shape[-2:]
        tokens = self.dropout(x.flatten(2).transpose(1, 2) + self._positions(height, width))
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens).transpose(1, 2).unflatten(2, (height, width))

    def _positions(self, height: int, width: int) -> torch.Tensor:
        if height == self.edge and width == self.edge:
            return self.pos_embed
        return resized_positions(self.pos_embed, (self.edge, self.edge), (height, width))


def resized_positions(positions: torch.Tensor, grid: tuple[int, int], wanted: tuple[int, int]) -> torch.Tensor:
    """Position embeddings (1, places, width) of one grid, row by row, for another; bicubic."""
    as_image = positions.transpose(1, 2).unflatten(2, grid)
    return F.interpolate(as_image, wanted, mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)


def _block(width: int, heads: int, dropout: float) -> nn.Module:
    block = TransformerBlock(width, 4 * width, heads, dropout, qkv_bias=True)
    del block.norm_cross_attn  # weights that nothing uses, as there is no cross-attention
    return block
