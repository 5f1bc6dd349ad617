"""Weights from a file: names of timm and torchvision, what is fitted and what is listed, and files that are refused."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fedmed.core.errors import InputError
from fedmed.networks.convolutional_stem import ResNet50Stem
from fedmed.networks.grid_transformer import GridTransformer
from fedmed.networks.pretrained_encoder import load_encoder, pretrained_encoder
from model import ImageDenseNet, ImageResNet, TransUNet

State = dict[str, torch.Tensor]


class SmallHybrid(nn.Module):
    """The published stem with a transformer of two narrow blocks on a grid of ``edge`` places."""

    ENCODER = ("encoder.",)

    def __init__(self, in_channels: int = 3, edge: int = 4) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.backbone = ResNet50Stem(in_channels)
        self.encoder.transformer = GridTransformer(1024, edge, 24, 2, 3, 0.0)
        self.head = nn.Linear(24, 1)


def of_timm(model: SmallHybrid) -> State:
    """The state of a hybrid as timm names it, with a class token and a head."""
    backbone, transformer = model.encoder.backbone.state_dict(), model.encoder.transformer.state_dict()
    assert isinstance(transformer, dict)
    plain = {name.replace("attn.out_proj", "attn.proj").replace("mlp.linear", "mlp.fc"): values
             for name, values in transformer.items() if not name.startswith(("proj.", "pos_embed"))}  # fmt: skip
    return {
        "cls_token": torch.zeros(1, 1, 24),
        "pos_embed": torch.cat([torch.full((1, 1, 24), 7.0), transformer["pos_embed"]], 1),
        **{f"patch_embed.backbone.{name}": values for name, values in backbone.items()},
        **{f"patch_embed.proj.{name}": transformer[f"proj.{name}"] for name in ("weight", "bias")},
        **plain,
        "head.weight": torch.zeros(1000, 24),
    }


def written(path: Path, state: Mapping[str, Any]) -> Path:
    torch.save(dict(state), path)
    return path


def test_torchvisions_resnet_gives_everything_but_the_head(tmp_path: Path) -> None:
    """For one channel: grey pictures give what the same grey in red, green and blue gave."""
    published, mine = ImageResNet(18, 3, 1000).eval(), ImageResNet(18, 1, 4).eval()
    found = pretrained_encoder(mine, written(tmp_path / "resnet18.pth", published.state_dict()))
    assert (found.left_out, found.missing) == (("fc.bias", "fc.weight"), ())
    assert found.adapted == ("conv1.weight summed over RGB for one channel",)
    head = mine.fc.weight.clone()  # type: ignore[union-attr]
    load_encoder(mine, found)
    assert torch.equal(mine.fc.weight, head)  # type: ignore[union-attr]
    grey = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        mine.fc = published.fc = nn.Identity()  # type: ignore[assignment]
        assert torch.allclose(mine(grey), published(grey.expand(-1, 3, -1, -1)), atol=1e-4)


def of_torchvision(model: ImageDenseNet, between: str) -> State:
    """The state of a DenseNet as torchvision names it; ``between`` stands between ``norm`` and its number."""
    of_layers = [(f".layers.{kind}{n}.", f".{kind}{between}{n}.") for kind in ("norm", "conv") for n in (1, 2)]
    state = {}
    for name, values in model.state_dict().items():
        for mine, theirs in [*of_layers, ("class_layers.out.", "classifier.")]:
            name = name.replace(mine, theirs)
        state[name] = values
    return state


@pytest.mark.parametrize("between", ["", "."], ids=["a state dict", "the published file"])
def test_torchvisions_densenet_gives_everything_but_the_head(tmp_path: Path, between: str) -> None:
    published, mine = ImageDenseNet(3, 5).eval(), ImageDenseNet(1, 14).eval()
    state = of_torchvision(published, between)
    assert f"features.denseblock4.denselayer16.conv{between}2.weight" in state
    assert not any(".layers." in name for name in state)
    found = pretrained_encoder(mine, written(tmp_path / "densenet121.pth", state))
    assert (found.left_out, found.missing) == (("classifier.bias", "classifier.weight"), ())
    assert found.adapted == ("features.conv0.weight summed over RGB for one channel",)
    load_encoder(mine, found)
    grey = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(mine.features(grey), published.features(grey.expand(-1, 3, -1, -1)), atol=1e-4)


def test_a_densenet_of_another_depth_and_a_resnet_are_refused(tmp_path: Path) -> None:
    deeper = of_torchvision(ImageDenseNet(), "")
    deeper["features.denseblock3.denselayer25.norm1.weight"] = torch.ones(1024)
    with pytest.raises(InputError, match=r"another depth: it has 25 blocks where .*denseblock3 has 24"):
        pretrained_encoder(ImageDenseNet(), written(tmp_path / "densenet.pth", deeper))
    with pytest.raises(InputError, match="holds no entry of ImageDenseNet's encoder"):
        pretrained_encoder(ImageDenseNet(), written(tmp_path / "resnet.pth", ImageResNet().state_dict()))


def test_one_channel_is_shared_out_among_three(tmp_path: Path) -> None:
    one, three = ImageResNet(18, 1), ImageResNet(18, 3)
    load_encoder(three, pretrained_encoder(three, written(tmp_path / "w.pt", {"model": one.state_dict()})))
    grey = torch.randn(1, 1, 64, 64)
    assert torch.allclose(three.conv1(grey.expand(-1, 3, -1, -1)), one.conv1(grey), atol=1e-5)


def test_a_resnet_gives_the_small_transunet_its_stem(tmp_path: Path) -> None:
    network = TransUNet(image_size=64)
    found = pretrained_encoder(network, written(tmp_path / "resnet18.pth", ImageResNet(18, 3, 1000).state_dict()))
    stem = {name for name in network.state_dict() if name.startswith("encoder.backbone.")}
    assert set(found.entries) == stem
    assert all(name.startswith(("layer4.", "fc.")) for name in found.left_out)
    assert set(found.missing) == {name for name in network.state_dict() if name.startswith("encoder.transformer.")}


def test_timms_hybrid_gives_the_published_encoder_everything(tmp_path: Path) -> None:
    source, network = SmallHybrid(), SmallHybrid()
    state = of_timm(source)
    assert {"patch_embed.backbone.stem.conv.weight", "patch_embed.backbone.stages.2.blocks.8.norm3.bias",
            "patch_embed.backbone.stages.0.blocks.0.downsample.conv.weight", "blocks.1.attn.qkv.bias",
            "blocks.1.attn.proj.weight", "blocks.0.mlp.fc2.weight", "norm.weight"} <= set(state)  # fmt: skip
    found = pretrained_encoder(network, written(tmp_path / "hybrid.pth", {"state_dict": state, "epoch": 3}))
    load_encoder(network, found)
    expected = source.encoder.state_dict()
    assert all(torch.equal(values, expected[name]) for name, values in network.encoder.state_dict().items())
    assert found.left_out == ("cls_token", "head.weight")
    assert found.missing == ()
    assert found.adapted == ("pos_embed without the class token",)


def test_positions_are_interpolated_for_another_size(tmp_path: Path) -> None:
    source, network = SmallHybrid(edge=4), SmallHybrid(edge=6)
    rows = torch.arange(4.0).repeat_interleave(4)[None, :, None].expand(1, 16, 24)
    path = written(tmp_path / "hybrid.pth", {**of_timm(source), "pos_embed": rows})
    found = pretrained_encoder(network, path)
    assert found.adapted == ("pos_embed interpolated from 4x4 places to 6x6",)
    grid = found.entries["encoder.transformer.pos_embed"].reshape(6, 6, 24)
    assert torch.allclose(grid, grid[:, :1, :1].expand(6, 6, 24), atol=1e-6)  # each row has one value,
    assert (grid[1:, 0, 0] > grid[:-1, 0, 0]).all()  # and they grow downwards


def test_a_plain_vision_transformer_gives_its_blocks_and_not_its_patches_of_pixels(tmp_path: Path) -> None:
    state = {name: values for name, values in of_timm(SmallHybrid()).items() if "patch_embed" not in name}
    network = SmallHybrid()
    path = written(tmp_path / "vit.pth", {**state, "patch_embed.proj.weight": torch.zeros(24, 3, 16, 16)})
    found = pretrained_encoder(network, path)
    assert "patch_embed.proj.weight" in found.left_out
    assert {name.split(".")[1] for name in found.missing} == {"backbone", "transformer"}
    assert [name for name in found.missing if ".transformer." in name] == [
        f"encoder.transformer.proj.{name}" for name in ("bias", "weight")
    ]


def test_attention_splits_its_weights_as_everybody_elses(tmp_path: Path) -> None:
    """timm's and PyTorch's lie as queries, keys and values, each head after head."""
    transformer = GridTransformer(8, 2, 12, 1, 3, 0.0).eval()
    theirs = nn.TransformerEncoderLayer(12, 3, 48, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    mine: Any = transformer.blocks[0]
    pairs = {
        theirs.self_attn.in_proj_weight: mine.attn.qkv.weight,
        theirs.self_attn.in_proj_bias: mine.attn.qkv.bias,
        theirs.self_attn.out_proj.weight: mine.attn.out_proj.weight,
        theirs.self_attn.out_proj.bias: mine.attn.out_proj.bias,
        **{getattr(getattr(theirs, f"linear{n}"), kind): getattr(getattr(mine.mlp, f"linear{n}"), kind)
           for n in (1, 2) for kind in ("weight", "bias")},
    }  # fmt: skip
    tokens = torch.randn(2, 4, 12)
    with torch.no_grad():
        for one, other in pairs.items():
            one.copy_(other)
        assert torch.allclose(mine(tokens), theirs(tokens), atol=1e-5)


def test_safetensors_and_half_precision_are_read(tmp_path: Path) -> None:
    state = {name: values.half() if values.is_floating_point() else values
             for name, values in ImageResNet(18).state_dict().items()}  # fmt: skip
    save_file(state, tmp_path / "w.safetensors")
    found = pretrained_encoder(ImageResNet(18), tmp_path / "w.safetensors")
    assert found.entries["conv1.weight"].dtype == torch.float32
    assert torch.equal(found.entries["conv1.weight"], state["conv1.weight"].float())
    assert len(found.sha256) == 64


class Running:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def deeper(state: State) -> State:
    return ImageResNet(34).state_dict()


def wider(state: State) -> State:
    return {name: torch.cat([values, values]) if "layer2" in name and values.ndim == 4 else values
            for name, values in state.items()}  # fmt: skip


def not_a_number(state: State) -> State:
    return {**state, "bn1.weight": torch.full((64,), torch.nan)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (deeper, "another depth: it has 3 blocks where the network's layer1 has 2;"),
        (wider, "another architecture: layer2.0.conv1.weight is (256, 64, 3, 3) in the file and (128, 64, 3, 3)"),
        (not_a_number, "NaN or infinite values in bn1.weight"),
        (lambda state: {"a": torch.zeros(1), "b": torch.zeros(1)}, "no entry of ImageResNet's encoder: found (a, b)"),
        (lambda state: {"epoch": 3}, "no tensors by name"),
    ],
    ids=["depth", "width", "nan", "strange", "none"],
)
def test_other_networks_are_refused(tmp_path: Path, change: Callable[[State], State], words: str) -> None:
    path = written(tmp_path / "w.pt", change(ImageResNet(18).state_dict()))
    with pytest.raises(InputError) as error:
        pretrained_encoder(ImageResNet(18), path)
    assert words in str(error.value)
    assert str(path) in str(error.value)


def test_another_stage_of_the_published_stem_is_refused(tmp_path: Path) -> None:
    """timm's resnetv2_50 has six blocks in its third stage, the hybrid's nine."""
    state = ResNet50Stem(3).state_dict()
    beyond = tuple(f"stages.2.blocks.{number}." for number in (6, 7, 8))
    fewer = {name: values for name, values in state.items() if not name.startswith(beyond)}
    with pytest.raises(InputError, match=r"has 6 blocks where the network's encoder.backbone.stages.2.blocks has 9"):
        pretrained_encoder(SmallHybrid(), written(tmp_path / "resnetv2_50.pth", fewer))


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04"], ids=["empty", "text", "cut"])
@pytest.mark.parametrize("ending", [".pth", ".safetensors", ".npz"])
def test_broken_files_are_refused(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"w{ending}"
    with pytest.raises(InputError, match="is no file"):
        pretrained_encoder(ImageResNet(18), path)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged or holds more than weights|no whole file"):
        pretrained_encoder(ImageResNet(18), path)


def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    path = written(tmp_path / "w.pt", {**ImageResNet(18).state_dict(), "evil": Running(ran)})
    with pytest.raises(InputError, match="could run code"):
        pretrained_encoder(ImageResNet(18), path)
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"conv1.weight": Running(ran)}, protocol=2))
    with pytest.raises(InputError, match="could run code"):
        pretrained_encoder(ImageResNet(18), tmp_path / "w.pkl")
    assert not ran.exists()
