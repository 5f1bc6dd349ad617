"""Named sets of values for options; whatever the command line gives comes before them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """What it is for, and the options in which it differs from the defaults."""

    what: str
    values: Mapping[str, Any] = field(default_factory=dict)


PRESETS = {
    "standard": Preset("the published hyper-parameters, which are the defaults"),
    "published": Preset(
        "the published arithmetic too: fp32, intensities normalised over each crop, padded windows",
        {"precision": "fp32", "normalize": "crop", "windows": "padded", "validation": "every"},
    ),
    "demo": Preset(
        "minutes on two cores, on phantoms",
        {
            "num_rounds": 5,
            "aggregation_epochs": 4,
            "learning_rate": 1.5e-3,
            "roi_size": (64, 64, 64),
            "infer_roi_size": (96, 96, 96),
            "crop_to_brain": True,
            "cache_dataset": 1.0,
        },
    ),
}
