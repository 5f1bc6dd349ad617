"""One chest film: its place, its findings, and what is known of the patient."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Film:
    """One film.

    Attributes:
        path: of the file.
        file: the same relative to the set's folder.
        findings: in the order of ``FINDINGS``; none where nothing was found.
        patient: all of whose films stay together.
        view: PA or AP; "" where it is not known.
        age: in years, None where it is not known.
        follow_up: the number of the examination, from 0; None where it is not known.
        sex: M or F; "" where it is not known.
        part: the published list that names it: train_val, train, val or test; "" for none.
    """

    path: Path
    file: str
    findings: tuple[str, ...]
    patient: str
    view: str = ""
    age: int | None = None
    follow_up: int | None = None
    sex: str = ""
    part: str = ""

    @property
    def name(self) -> str:
        return self.path.stem

    def entry(self, root: Path) -> dict[str, Any]:
        """The film as an entry of a datalist, with its path relative to ``root``; what is not known is left out."""
        known = {"view": self.view, "age": self.age, "follow_up": self.follow_up, "sex": self.sex}
        stated = {key: value for key, value in known.items() if value not in (None, "")}
        image = self.path.relative_to(root).as_posix()
        return {"image": image, "label": list(self.findings), "patient": self.patient, **stated}
