"""The networks. A run folder says by class name and arguments how to build its own again."""

from collections.abc import Sequence

from monai.networks.nets import SegResNet


class BratsSegResNet(SegResNet):
    """SegResNet for BraTS: (B, 4, D, H, W) t1ce, t1, t2, flair -> (B, 3, D, H, W) logits of TC, WT, ET.

    The encoder-decoder of Myronenko 2018 (arXiv 1810.11654) without the autoencoder branch, in the size of
    Li et al. 2019: 4,702,227 parameters, GroupNorm only. D, H and W must be divisible by 8.

    Every argument is kept under its own name, as class path and arguments say all of a network but its weights.
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 3,
        init_filters: int = 16,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] = (1, 1, 1),
        dropout_prob: float = 0.2,
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__(spatial_dims=3, **arguments)
        self.arguments = arguments
        for name, value in arguments.items():
            setattr(self, name, value)
