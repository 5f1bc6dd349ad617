"""The toy task as one of findings, any number of which a picture may show; for predictions, with untrained networks.

That a picture is brighter than black on the whole is what the task knows of how its pictures should look.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fedmed.data.audit.case_findings import Rules
from fedmed.data.picture_pixels import picture_pixels
from tests.toy.toy_task import CLASSES, ToyTask

DARK = 0.25
"""Mean of the pixels, from 0 to 1, below which a picture is dark."""


@dataclass(frozen=True)
class ToyFindings(ToyTask):
    """Stripes that lie flat, stand upright, both or neither."""

    def rules(self, label_scheme: str | None) -> Rules:
        return Rules(("picture",), dimensions=2, classes=CLASSES, several=True)

    def class_probabilities(self, model: nn.Module, image: torch.Tensor) -> torch.Tensor:
        return model(image).float().sigmoid()

    def oddities(self, path: Path) -> tuple[str, ...]:
        return ("seems to be dark",) if picture_pixels(path, channels=1).mean() < DARK else ()

    def label_map(self) -> dict[str, Any]:
        return {**super().label_map(), "prediction": "each finding alone"}


PLUGIN = ToyFindings
