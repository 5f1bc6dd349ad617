"""DenseNet121 of Huang et al. 2017 (arXiv 1608.06993) for pictures, in torchvision's shapes, by MONAI."""

from monai.networks.nets import DenseNet
from torch import nn

from fedmed.networks.group_normalization import Norm, normalize_by_groups


class PictureDenseNet(DenseNet):
    """(B, in_channels, H, W) -> (B, num_classes) logits; the grid is halved five times."""

    def __init__(self, in_channels: int, num_classes: int, norm: Norm) -> None:
        super().__init__(spatial_dims=2, in_channels=in_channels, out_channels=num_classes)
        self.class_layers.relu = nn.ReLU()  # MONAI's overwrites what a saliency map must see
        if norm == "group":
            normalize_by_groups(self)
