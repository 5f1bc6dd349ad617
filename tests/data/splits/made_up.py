"""Made-up pictures of patients, to be split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmed.data.splits.partition import Fact


@dataclass(frozen=True)
class Picture:
    """A picture of a patient, with its class and an age."""

    name: str
    patient: str
    kind: str | None
    age: float | None = None

    def entry(self, root: Path) -> dict[str, Any]:
        return {"image": f"{self.name}.png", "label": self.kind, "patient": self.patient}


def facts_of(picture: Picture) -> dict[str, Fact]:
    return {"class": picture.kind, "age": picture.age}


def pictures(number: int, kind: str | None, each: int = 1, prefix: str = "p") -> list[Picture]:
    """``each`` pictures of ``number`` patients, of ages that differ."""
    found = []
    for i in range(number):
        patient = f"{prefix}{kind}{i:03d}"
        found += [Picture(f"{patient}_{visit}", patient, kind, 20.0 + i + visit) for visit in range(each)]
    return found
