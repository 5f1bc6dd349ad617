"""ResNets of He et al. 2016 (arXiv 1512.03385) for pictures, in torchvision's shapes, by MONAI."""

from monai.networks.nets import ResNet

from fedmed.networks.group_normalization import Norm, normalize_by_groups

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""The blocks of each of the four layers, by depth."""


class PictureResNet(ResNet):
    """(B, in_channels, H, W) -> (B, num_classes) logits; the grid is halved five times."""

    def __init__(self, depth: int, in_channels: int, num_classes: int, norm: Norm) -> None:
        super().__init__(
            block="basic",
            layers=list(BLOCKS[depth]),
            block_inplanes=[64, 128, 256, 512],
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_size=7,
            conv1_t_stride=2,
            num_classes=num_classes,
            bias_downsample=False,
        )
        if norm == "group":  # MONAI's own argument reaches the first layer alone
            normalize_by_groups(self)
