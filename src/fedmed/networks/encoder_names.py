"""Names of an encoder's entries in the files of timm and torchvision, and what these networks call them."""

import re
from collections.abc import Collection, Iterable
from itertools import islice

BACKBONE, TRANSFORMER = "encoder.backbone.", "encoder.transformer."

RENAMED = (
    (r"patch_embed\.backbone\.(.*)", rf"{BACKBONE}\1"),  # timm's hybrids, vit_base_r50_s16
    (r"((?:stem|stages)\..*)", rf"{BACKBONE}\1"),  # timm's resnetv2
    (r"((?:conv1|bn1|layer[1-4])\..*)", rf"{BACKBONE}\1"),  # torchvision's and timm's resnet
    (r"patch_embed\.(proj\..*)", rf"{TRANSFORMER}\1"),  # of here on timm's vision transformers
    (r"(pos_embed)", rf"{TRANSFORMER}\1"),
    (r"(blocks\.\d+\.attn)\.proj(\..*)", rf"{TRANSFORMER}\1.out_proj\2"),
    (r"(blocks\.\d+\.mlp)\.fc([12]\..*)", rf"{TRANSFORMER}\1.linear\2"),
    (r"(blocks\..*|norm\..*)", rf"{TRANSFORMER}\1"),
)
"""Patterns of whole names, the first that matches counts, and what becomes of them in an encoder of two parts."""

DENSE_LAYER = re.compile(r"(features\.denseblock\d+\.denselayer\d+)\.(norm|conv)\.?([12]\..*)")
"""The name of an entry of torchvision's DenseNet in a layer, also with the dot of its published files: ``norm.1``."""

SHOWN = 3
"""Names of a list that a sentence shows."""

BLOCK = re.compile(r"(?P<stage>(?:.*\.)?(?:layer\d+|blocks|denseblock\d+))\.(?:denselayer)?(?P<number>\d+)\.")


def own_names(names: Collection[str], encoder: tuple[str, ...]) -> dict[str, str]:
    """The encoder's name of each of a file's entries that could be of it; the others are left out.

    Args:
        encoder: how the encoder's own names begin.
    """
    hybrid = any(name.startswith(("patch_embed.backbone.", *encoder)) for name in names)
    renamed = {name: _dense(name) if name.startswith(encoder) else _renamed(name) for name in names}
    patches = {"patch_embed.proj.weight", "patch_embed.proj.bias"}  # of pixels, where no convolutions come before
    return {
        name: own
        for name, own in renamed.items()
        if own is not None and own.startswith(encoder) and (hybrid or name not in patches)
    }


def _dense(name: str) -> str:
    """The name of an entry of a dense layer as MONAI has it; any other name as it is."""
    return DENSE_LAYER.sub(r"\1.layers.\2\3", name)


def _renamed(name: str) -> str | None:
    for pattern, own in RENAMED:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, own, name, count=1)
    return None


def depths(names: Iterable[str]) -> dict[str, int]:
    """The number of blocks of each stage that has some, by the stage's name."""
    found: dict[str, set[str]] = {}
    for name in names:
        if match := BLOCK.match(name):
            found.setdefault(match["stage"], set()).add(match["number"])
    return {stage: len(numbers) for stage, numbers in found.items()}


def first_of(names: Collection[str]) -> str:
    """The first of some names in brackets, after a space; nothing of none."""
    shown = ", ".join([*islice(names, SHOWN), *(["..."] if len(names) > SHOWN else [])])
    return f" ({shown})" if shown else ""
