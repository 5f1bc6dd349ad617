"""The networks. A run folder rebuilds its own by class name and arguments, and so does FLARE."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from monai.networks.nets import DenseNet, ResNet, SegResNet, UNet
from torch import nn

from fedmed.networks.four_level_unet import FourLevelUNet
from fedmed.networks.group_normalization import Norm, normalize_by_groups
from fedmed.networks.transformer_unet import TransformerUNet


class Rebuildable:
    """A network that stores its constructor arguments, by which FLARE and run folders build it anew.

    ``arguments`` are JSON values by name, each of them an attribute of that name too, because FLARE reads attributes.
    ``DIVISOR`` and ``LEAST_EDGE`` hold for the default arguments: every edge of an input must be divisible by the one,
    and the longest edge be no shorter than the other. ``ENCODER`` names the entries of the state dict, by how they
    begin, that may come pretrained and train apart from the rest; a network without such a part has none.
    """

    DIVISOR: ClassVar[int]
    LEAST_EDGE: ClassVar[int]
    ENCODER: ClassVar[tuple[str, ...]] = ()

    arguments: dict[str, Any]

    def _store(self, arguments: Mapping[str, Any]) -> None:
        """To be called after the network's own constructor, with ``_arguments(locals())``."""
        self.arguments = dict(arguments)
        for name, value in arguments.items():
            setattr(self, name, value)


def _arguments(local_variables: Mapping[str, Any]) -> dict[str, Any]:
    """A constructor's arguments, from its ``locals()`` before any other assignment."""
    return {name: value for name, value in local_variables.items() if name not in ("self", "__class__")}


class BratsSegResNet(Rebuildable, SegResNet):
    """SegResNet for BraTS: (B, 4, D, H, W) t1ce, t1, t2, flair -> (B, 3, D, H, W) logits of TC, WT, ET.

    The encoder-decoder of Myronenko 2018 (arXiv 1810.11654) without the autoencoder branch, in the size of
    Li et al. 2019: 4,702,227 parameters, GroupNorm only. D, H and W must be divisible by 8.
    """

    DIVISOR = LEAST_EDGE = 8  # the grid is halved three times

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 3,
        init_filters: int = 16,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] = (1, 1, 1),
        dropout_prob: float = 0.2,
    ) -> None:
        arguments = _arguments(locals())
        super().__init__(spatial_dims=3, **arguments)
        self._store(arguments)


class HippocampusSegResNet(BratsSegResNet):
    """A small SegResNet: (B, 1, D, H, W) MR -> (B, 3, D, H, W) logits of background, anterior, posterior.

    1,176,195 parameters. D, H and W must be divisible by 8.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 3,
        init_filters: int = 8,
        blocks_down: Sequence[int] = (1, 2, 2, 4),
        blocks_up: Sequence[int] = (1, 1, 1),
        dropout_prob: float = 0.0,
    ) -> None:
        super().__init__(**_arguments(locals()))


class BratsUNet(Rebuildable, UNet):
    """U-Net for BraTS, of the inputs and outputs of :class:`BratsSegResNet`.

    MONAI's residual U-Net (Kerfoot et al. 2018, doi 10.1007/978-3-030-12029-0_40). Its instance norm has no running
    statistics, so that every privacy mechanism covers it. D, H and W must be divisible by 16 and one of them be 32 or
    more, because instance norm needs two voxels at the bottom. 4,810,074 parameters.
    """

    DIVISOR = 16  # the grid is halved four times
    LEAST_EDGE = 32

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 3,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        strides: Sequence[int] = (2, 2, 2, 2),
        num_res_units: int = 2,
        dropout: float = 0.0,
    ) -> None:
        arguments = _arguments(locals())
        super().__init__(spatial_dims=3, norm="instance", **arguments)
        self._store(arguments)


class HippocampusUNet(BratsUNet):
    """A small U-Net of the inputs and outputs of :class:`HippocampusSegResNet`.

    1,187,766 parameters. D, H and W must be divisible by 8 and one of them be 16 or more.
    """

    DIVISOR = 8  # the grid is halved three times
    LEAST_EDGE = 16

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 3,
        channels: Sequence[int] = (16, 32, 64, 128),
        strides: Sequence[int] = (2, 2, 2),
        num_res_units: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(**_arguments(locals()))


class ImageResNet(Rebuildable, ResNet):
    """ResNet for pictures (He et al. 2016, arXiv 1512.03385): (B, in_channels, H, W) -> (B, num_classes) logits.

    Its layers have torchvision's shapes, so that weights from there fit. ``norm`` is ``batch``, with running
    statistics, or ``group``: 32 groups, which every privacy mechanism covers. Depth 18 with one channel and four
    classes has 11,172,292 parameters.
    """

    DIVISOR, LEAST_EDGE = 1, 64  # the grid is halved five times, and batch norm needs two pixels at the bottom
    ENCODER = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")

    BLOCKS: ClassVar[Mapping[int, Sequence[int]]] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}

    def __init__(self, depth: int = 18, in_channels: int = 1, num_classes: int = 4, norm: Norm = "batch") -> None:
        arguments = _arguments(locals())
        super().__init__(
            block="basic",
            layers=list(self.BLOCKS[depth]),
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
        self._store(arguments)


class ImageDenseNet(Rebuildable, DenseNet):
    """DenseNet121 for pictures (Huang et al. 2017, arXiv 1608.06993), with the inputs and outputs of ImageResNet.

    Its layers have torchvision's shapes, so that weights from there fit. ``norm`` is as of :class:`ImageResNet`. With
    one channel and fourteen classes it has 6,961,934 parameters.
    """

    DIVISOR, LEAST_EDGE = 1, 64  # the grid is halved five times, and batch norm needs two pixels at the bottom
    ENCODER = ("features.",)

    def __init__(self, in_channels: int = 1, num_classes: int = 14, norm: Norm = "batch") -> None:
        arguments = _arguments(locals())
        super().__init__(spatial_dims=2, in_channels=in_channels, out_channels=num_classes)
        self.class_layers.relu = nn.ReLU()  # MONAI's overwrites what a saliency map must see
        if norm == "group":
            normalize_by_groups(self)
        self._store(arguments)


class LggUNet(Rebuildable, FourLevelUNet):
    """The U-Net of Buda et al. 2019 (arXiv 1906.03720): (B, 3, H, W) slices -> (B, 1, H, W) logits of the tumour.

    7,763,041 parameters with 32 features at the finest grid, 1,942,577 with 16. ``norm`` is ``batch``, as published, or
    ``group``, which every privacy mechanism covers. H and W must be divisible by 16, and one of them be 32 or more.
    """

    DIVISOR, LEAST_EDGE = 16, 32  # the grid is halved four times, and batch norm needs two pixels at the bottom

    def __init__(self, in_channels: int = 3, out_channels: int = 1, features: int = 32, norm: Norm = "batch") -> None:
        arguments = _arguments(locals())
        super().__init__(**arguments)
        self._store(arguments)


class TransUNet(Rebuildable, TransformerUNet):
    """TransUNet (Chen et al. 2021, arXiv 2102.04306): (B, 3, H, W) slices -> (B, 1, H, W) logits of the tumour.

    ``r50_b16`` is the published form, R50-ViT-B/16: 105,322,001 parameters at 256 pixels. ``small`` has the first three
    quarters of a ResNet18 and six blocks of ViT-Ti: 6,785,105 parameters at 256 pixels. ``norm`` is of
    the decoder and of the small stem; with ``group`` every privacy mechanism covers the network. H and W must be
    divisible by 16, and one of them be 32 or more; ``image_size`` is the edge for which positions are learnt.
    """

    DIVISOR, LEAST_EDGE = 16, 32  # the stem halves the grid four times, and batch norm needs two pixels at the bottom
    ENCODER = ("encoder.",)

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        size: Literal["small", "r50_b16"] = "small",
        image_size: int = 256,
        norm: Norm = "batch",
        dropout: float = 0.0,
    ) -> None:
        arguments = _arguments(locals())
        super().__init__(**arguments)
        self._store(arguments)
