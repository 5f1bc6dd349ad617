"""A trained BraTS model as a MONAI bundle: a folder that MONAI runs by itself, wherever it is installed."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import SegResNet
from torch import nn

from fedmed.analysis.bundle.bundle_inference import inference
from fedmed.analysis.bundle.bundle_metadata import SCHEMA, bundle_metadata
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.core.errors import InputError
from fedmed.core.files import staging_folder
from fedmed.tasks.brats18 import Brats18

METADATA = Path("configs/metadata.json")


def export_bundle(model: TrainedModel, out: Path, force: bool = False) -> None:
    """Write ``model`` as a bundle, whole or not at all.

    Args:
        out: the folder to make.
        force: replace a bundle that is there. What is no bundle is never replaced.

    Raises:
        InputError: ``out`` is there, or the network is none that MONAI can build by itself.
        OSError: it cannot be written.
    """
    _refuse_present(out, force)
    config = inference(_brats(model), _arguments(model.network))
    metadata = bundle_metadata(model)
    with staging_folder(out) as stage:
        for folder in ("configs", "models", "docs"):
            (stage / folder).mkdir()
        (stage / METADATA).write_text(_as_json(metadata), encoding="utf-8")
        (stage / "configs/inference.json").write_text(_as_json(config), encoding="utf-8")
        (stage / "models/model.pt").write_bytes(_weights(model.network))
        (stage / "docs/README.md").write_text(readme(metadata), encoding="utf-8")
        _put(stage, out)


def readme(metadata: Mapping[str, Any]) -> str:
    """The README.md of a bundle."""
    format_ = metadata["network_data_format"]
    channels = {side: ", ".join(format_[side][name]["channel_def"].values()) for side, name in SIDES.items()}
    packages = {"monai": metadata["monai_version"], **metadata["required_packages_version"]}
    scores = "".join(f"| {name} | {value:.4g} |\n" for name, value in metadata.get("eval_metrics", {}).items())
    return README.format(
        **{name: metadata[name] for name in ("name", "description", "intended_use", "pred_classes", "data_source")},
        **channels,
        packages=" ".join(f"{name}=={number}" for name, number in packages.items()),
        scores=f"| measure | value |\n|---|---|\n{scores}" if scores else "This model was not evaluated.\n",
        schema=SCHEMA,
    )


README = """# {name}

{description}

**{intended_use}**

## Input and output

A case is four NIfTI files, in this order: {inputs}. They must be skull-stripped and lie on one grid. The output of a
case is `<case>_regions.nii.gz` on the grid of its files, with a mask a channel, in this order: {outputs}. As
{pred_classes}.

## Run it

```bash
python -m pip install {packages}
python -m monai.bundle run --config_file configs/inference.json --dataset_dir /path/of/cases --output_dir /path/of/masks
```

Cases are found below `dataset_dir` by BraTS 2018's names, `<case>_t1ce.nii.gz` and so on; files of the later years need
`--suffixes "['-t1c','-t1n','-t2w','-t2f']"`. It computes in float32, on a GPU where there is one.

## Check it

```bash
python -m monai.bundle verify_net_in_out --net_id network_def --meta_file configs/metadata.json \\
    --config_file configs/inference.json
python -m monai.bundle verify_metadata --meta_file configs/metadata.json --filepath schema.json
```

The second line needs the package jsonschema and fetches the schema from {schema}
unless `schema.json` is there already: without a network, bring it from elsewhere.

## Scores

{scores}
Data: {data_source}.

## Licence

The export states no licence for the weights: they are subject to the terms of the data they were trained on, and
whoever passes them on states theirs. MONAI, which runs them, is under the Apache License 2.0.
"""

SIDES = {"inputs": "image", "outputs": "pred"}


def _brats(model: TrainedModel) -> Brats18:
    if not isinstance(model.task, Brats18):
        raise InputError(f"The task of {model.label} is {model.task.name}; a bundle can be made of brats18 alone.")
    return model.task


def _arguments(network: nn.Module) -> dict[str, Any]:
    """The arguments with which MONAI builds the network by itself."""
    if not isinstance(network, SegResNet):
        raise InputError(f"The network is a {type(network).__name__}; a bundle can be made of a SegResNet alone.")
    arguments: dict[str, Any] = network.arguments  # type: ignore[assignment]
    return {"spatial_dims": 3, **arguments}


def _weights(network: nn.Module) -> bytes:
    """A plain state dict, laid out as PyTorch does by default."""
    file = io.BytesIO()
    torch.save({name: values.cpu().contiguous() for name, values in network.state_dict().items()}, file)
    return file.getvalue()


def _as_json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=4) + "\n"


def _refuse_present(out: Path, force: bool) -> None:
    if not out.exists():
        return
    if not force:
        raise InputError(f"{out} is there already; choose another folder, or use --force to replace a bundle.")
    if not (out / METADATA).is_file():
        raise InputError(f"{out} is no bundle, so it is not replaced even with --force; choose another folder.")


def _put(stage: Path, out: Path) -> None:
    """Move the finished folder to its place; what was there goes when the stage's own folder does."""
    replaced = stage.with_name("replaced")
    if out.exists():
        os.replace(out, replaced)
    try:
        os.replace(stage, out)
    except OSError:
        if replaced.exists():
            os.replace(replaced, out)
        raise
