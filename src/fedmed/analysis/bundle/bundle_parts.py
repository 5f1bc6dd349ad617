"""The parts of a bundle that its task states; the rest of a bundle is the same for every task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class BundleParts:
    """The parts of a bundle that are of its task.

    Attributes:
        config: content of ``inference.json``.
        about: the entries of ``metadata.json`` that no other task has alike: ``name``, ``task``, ``description``,
            ``image_classes``, ``pred_classes``, ``data_type``, ``references`` and ``network_data_format``.
        packages: versions by name of what reads the files.
        input_and_output: a paragraph of the README.
        cases: a paragraph on which files are found.
        sources: texts of this project's files that the bundle needs, by their paths in it.
    """

    config: Mapping[str, Any]
    about: Mapping[str, Any]
    packages: Mapping[str, str]
    input_and_output: str
    cases: str
    sources: Mapping[Path, str] = field(default_factory=dict)


def made(target: str, **arguments: Any) -> dict[str, Any]:
    """An object of MONAI in a configuration."""
    return {"_target_": f"monai.{target}", **arguments}


def evaluator() -> dict[str, Any]:
    """The end of a configuration, from the weights' file to the run."""
    return {
        "handlers": [
            made(
                "handlers.CheckpointLoader",
                load_path="$@bundle_root + '/models/model.pt'",
                load_dict={"model": "@network"},
                map_location="@device",
            )
        ],
        "evaluator": made(
            "engines.SupervisedEvaluator",
            device="@device",
            val_data_loader="@dataloader",
            network="@network",
            inferer="@inferer",
            postprocessing="@postprocessing",
            val_handlers="@handlers",
            amp=False,
        ),
        "run": ["$@evaluator.run()"],
    }


def tensor_format(channels: Sequence[str], edges: Sequence[Any], **other: Any) -> dict[str, Any]:
    """The format of a float32 tensor in ``metadata.json``; ``other`` are further entries, or others in their place."""
    size = {"num_channels": len(channels), "spatial_shape": list(edges), "dtype": "float32", "value_range": []}
    named = {str(number): name for number, name in enumerate(channels)}
    return {"type": "image", **size, "is_patch_data": True, "channel_def": named, **other}
