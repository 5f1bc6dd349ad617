"""A trained model as a MONAI bundle: a folder that MONAI runs by itself, wherever it is installed."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fedmed.analysis.bundle.brats_bundle import brats_bundle
from fedmed.analysis.bundle.bundle_metadata import SCHEMA, bundle_metadata
from fedmed.analysis.bundle.bundle_parts import BundleParts
from fedmed.analysis.bundle.picture_bundle import PictureTask, picture_bundle
from fedmed.analysis.bundle.slice_bundle import slice_bundle
from fedmed.analysis.evaluation.trained_model import TrainedModel
from fedmed.core.attack import UNDER_ATTACK
from fedmed.core.errors import InputError
from fedmed.core.files import staging_folder
from fedmed.tasks.brats18 import Brats18
from fedmed.tasks.lgg import Lgg

METADATA = Path("configs/metadata.json")


def export_bundle(model: TrainedModel, out: Path, force: bool = False) -> None:
    """Write ``model`` as a bundle, whole or not at all.

    Args:
        out: the folder to make.
        force: replace a bundle that is there. What is no bundle is never replaced.

    Raises:
        InputError: ``out`` is there, or no bundle can be made of the task, of the network, or of a model that some
            sites attacked.
        OSError: it cannot be written.
    """
    if UNDER_ATTACK in model.data:
        raise InputError(
            f"{model.label} was trained on {model.data}, so that no bundle is made of it; take another run."
        )
    _refuse_present(out, force)
    parts = _parts(model)
    metadata = bundle_metadata(model, parts)
    with staging_folder(out) as stage:
        for folder in ("configs", "models", "docs"):
            (stage / folder).mkdir()
        (stage / METADATA).write_text(_as_json(metadata), encoding="utf-8")
        (stage / "configs/inference.json").write_text(_as_json(parts.config), encoding="utf-8")
        (stage / "models/model.pt").write_bytes(_weights(model.network))
        (stage / "docs/README.md").write_text(readme(metadata, parts), encoding="utf-8")
        for path, text in parts.sources.items():
            (stage / path).parent.mkdir(parents=True, exist_ok=True)
            (stage / path).write_text(text, encoding="utf-8")
        _put(stage, out)


def readme(metadata: Mapping[str, Any], parts: BundleParts) -> str:
    """The README.md of a bundle."""
    packages = {"monai": metadata["monai_version"], **metadata["required_packages_version"]}
    scores = "".join(f"| {name} | {value:.4g} |\n" for name, value in metadata.get("eval_metrics", {}).items())
    return README.format(
        **{name: metadata[name] for name in ("name", "description", "intended_use", "data_source")},
        input_and_output=parts.input_and_output,
        cases=parts.cases,
        packages=" ".join(f"{name}=={number}" for name, number in packages.items()),
        scores=f"| measure | value |\n|---|---|\n{scores}" if scores else "This model was not evaluated.\n",
        schema=SCHEMA,
    )


README = """# {name}

{description}

**{intended_use}**

## Input and output

{input_and_output}

## Run it

```bash
python -m pip install {packages}
python -m monai.bundle run --config_file configs/inference.json --dataset_dir /path/of/cases --output_dir /path/of/out
```

{cases} It computes in float32, on a GPU where there is one.

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


def _parts(model: TrainedModel) -> BundleParts:
    """The parts of the task's bundle."""
    if isinstance(model.task, Brats18):
        return brats_bundle(model, model.task)
    if isinstance(model.task, Lgg):
        return slice_bundle(model, model.task)
    if isinstance(model.task, PictureTask):
        return picture_bundle(model, model.task)
    raise InputError(
        f"The task of {model.label} is {model.task.name}; a bundle can be made of brats18, lgg, brain_mri or "
        "chest_xray alone."
    )


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
