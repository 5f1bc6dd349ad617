"""TransUNet: its parts' grids, positions for other image sizes, and the published sizes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fedmed.networks.convolutional_stem import ResNet18Stem, ResNet50Stem
from fedmed.networks.grid_transformer import GridTransformer, resized_positions
from fedmed.networks.group_normalization import Norm
from fedmed.networks.standardized_convolution import StandardizedConv2d
from fedmed.networks.transformer_unet import TransformerUNet


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("stem", [ResNet18Stem(1, "batch"), ResNet18Stem(1, "group"), ResNet50Stem(1)])
def test_a_stem_gives_the_grids_from_a_half_to_a_sixteenth(stem: ResNet18Stem | ResNet50Stem) -> None:
    with torch.inference_mode():
        grids = stem.eval()(torch.zeros(2, 1, 64, 96))
    edges = [(32, 48), (16, 24), (8, 12), (4, 6)]
    assert [grid.shape for grid in grids] == [
        (2, channels, *edge) for channels, edge in zip(stem.CHANNELS, edges, strict=True)
    ]


@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (3, 1), (1, 2), (1, 1)])
def test_standardized_kernels_have_mean_0_and_variance_1_and_pad_as_tensorflow_does(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = StandardizedConv2d(8, 4, kernel, stride)
    nn.init.normal_(layer.weight)  # far more variance than what keeps the division from 0
    image = torch.randn(1, 8, 8, 8)
    kernels = layer.weight.detach().double()
    kernels = torch.stack([(each - each.mean()) / each.std(correction=0) for each in kernels])
    total = max((8 // stride - 1) * stride + kernel - 8, 0)  # TensorFlow's rule
    padded = F.pad(image, (total // 2, total - total // 2, total // 2, total - total // 2)).double()
    assert torch.allclose(layer(image).double(), F.conv2d(padded, kernels, stride=stride), atol=1e-4)


def test_the_published_form_has_the_published_sizes() -> None:
    """timm states 97.9 million for the encoder at 224 pixels, with a class token; TransUNet's are 105.28 million."""
    with torch.device("meta"):
        network = TransformerUNet(3, 9, "r50_b16", 224, "batch", 0.1)
    assert count(network.encoder) + 768 == 97_889_344
    assert count(network) == 105_277_081


@pytest.mark.parametrize("size", ["small", "r50_b16"])
def test_every_weight_is_used(size: str) -> None:
    network = TransformerUNet(1, 2, size, 32, "group", 0.0)
    network(torch.randn(2, 1, 32, 32)).square().mean().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_group_norm_leaves_no_running_statistics(norm: Norm) -> None:
    assert bool(list(TransformerUNet(3, 1, "small", 32, norm, 0.0).buffers())) is (norm == "batch")


def test_it_takes_images_of_other_sizes_than_its_own() -> None:
    network = TransformerUNet(3, 1, "small", 64, "batch", 0.0).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 32, 96)).shape == (1, 1, 32, 96)


def test_positions_of_another_grid_keep_their_place() -> None:
    """A ramp along the rows stays one, and a grid's own size changes nothing."""
    rows = torch.arange(4.0).repeat_interleave(4)[None, :, None]
    larger = resized_positions(rows, (4, 4), (8, 8)).reshape(8, 8)
    assert torch.allclose(larger, larger[:, :1].expand(8, 8), atol=1e-6)
    assert (larger[1:, 0] > larger[:-1, 0]).all()
    assert torch.allclose(resized_positions(rows, (4, 4), (4, 4)), rows, atol=1e-6)


def test_a_token_knows_its_place_and_its_neighbours() -> None:
    transformer = GridTransformer(4, 2, 12, 1, 3, 0.0).eval()
    blank = torch.zeros(1, 4, 2, 2)
    touched = blank.clone()
    touched[..., 0, 0] = 1.0
    with torch.inference_mode():
        places, changed = transformer(blank)[0], transformer(touched)[0]
    assert not torch.allclose(places[:, 0, 0], places[:, 1, 1])
    assert not torch.allclose(places[:, 1, 1], changed[:, 1, 1])
