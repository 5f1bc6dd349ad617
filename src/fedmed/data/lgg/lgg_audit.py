"""The audit of a lower-grade glioma set before it is split: its table, sentences on what is odd, and JSON values."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from fedmed.core.errors import InputError, counted
from fedmed.data.lgg.head_volume import CHANNELS
from fedmed.data.lgg.institutions import INSTITUTIONS
from fedmed.data.lgg.lgg_layout import TABLE, LggPatient, LggTree
from fedmed.data.lgg.scan_facts import ScanFacts, sizes_of

PATIENT = "Patient"
"""The column of the table that names a patient."""

MOST_NAMES = 8
"""Patients that are named on the screen; the JSON has all."""


@dataclass(frozen=True)
class LggAudit:
    """A set, the facts of its scans by the folder's name, and the patients that its table names, if it has one."""

    tree: LggTree
    facts: Mapping[str, ScanFacts]
    listed: tuple[str, ...] | None

    def warnings(self) -> list[str]:
        """A sentence on each oddity."""
        return [*self.tree.odd, *self._unknown(), *self._empty(), *self._copied(), *self._sizes(), *self._table()]

    def _unknown(self) -> Iterator[str]:
        for code in self.tree.institutions:
            if code not in INSTITUTIONS:
                yield (
                    f"{code} is none of the set's institutions ({', '.join(INSTITUTIONS)}); its list will state the "
                    "code in place of a name."
                )

    def _empty(self) -> Iterator[str]:
        empty = [patient.patient for patient in self.tree.patients if not self.facts[patient.name].tumour_pixels]
        if empty:
            found = f"{counted(len(empty), 'patient')} whose masks are all empty: {named(empty)}"
            yield f"{found}; look whether that is so."

    def _copied(self) -> Iterator[str]:
        for channel in (each for each in CHANNELS if any(each in facts.copied for facts in self.facts.values())):
            lack = [each.patient for each in self.tree.patients if channel in self.facts[each.name].copied]
            yield f"{counted(len(lack), 'patient')} without {channel}, which is a copy of FLAIR: {named(lack)}."

    def _sizes(self) -> Iterator[str]:
        sizes = sizes_of([*self.facts.values()])
        if len(sizes) > 1:
            shown = ", ".join(f"{size} ({count})" for size, count in sizes.most_common())
            yield f"Scans of {len(sizes)} sizes: {shown}."

    def _table(self) -> Iterator[str]:
        if self.listed is None:
            return
        here = {patient.patient for patient in self.tree.patients}
        for names, what in (
            (sorted(here - {*self.listed}), f"with a folder that {TABLE} does not name"),
            (sorted({*self.listed} - here), f"of {TABLE} without a folder"),
        ):
            if names:
                yield f"{counted(len(names), 'patient')} {what}: {named(names)}."

    def document(self) -> dict[str, Any]:
        """The whole audit as JSON values."""
        return {
            "tree": str(self.tree.root),
            "institutions": {code: self.counts(patients) for code, patients in self.tree.institutions.items()},
            "warnings": self.warnings(),
            "patients": {
                patient.patient: {
                    "folder": patient.name,
                    "institution": patient.institution,
                    **asdict(self.facts[patient.name]),
                }
                for patient in self.tree.patients
            },
        }

    def counts(self, patients: Sequence[LggPatient]) -> dict[str, Any]:
        """The numbers of some of the patients."""
        facts = [self.facts[patient.name] for patient in patients]
        missing = Counter(channel for each in facts for channel in each.copied)
        return {
            "patients": len(patients),
            "slices": sum(each.slices for each in facts),
            "tumour_slices": sum(each.tumour_slices for each in facts),
            "tumour_pixels": sum(each.tumour_pixels for each in facts),
            "median_tumour_percent": median(each.tumour_percent for each in facts),
            "without_tumour": sum(not each.tumour_pixels for each in facts),
            "sequences_missing": dict(missing),
            "sizes": dict(sizes_of(facts).most_common()),
        }


def table_patients(root: Path) -> tuple[str, ...] | None:
    """The patients that the set's table names, once each; None where there is no table.

    Raises:
        InputError: it cannot be read, or names no patients.
    """
    path = root / TABLE
    if not path.exists():
        return None
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise InputError(f"{path} cannot be read as a table with commas ({error}); copy it again.") from error
    if PATIENT not in table:
        found = ", ".join(map(str, table.columns)) or "(none)"
        raise InputError(
            f"{path} has the columns {found:.120}; expected {PATIENT} among them: correct it or take it out."
        )
    return tuple(dict.fromkeys(name.strip() for name in table[PATIENT] if name.strip()))


def lgg_audit_table(audit: LggAudit) -> str:
    """A row for each institution and one for all: patients, slices, tumour, missing sequences and sizes."""
    head = (
        "",
        "patients",
        "slices",
        "with tumour",
        "tumour px",
        "median % of head",
        "no pre",
        "no post",
        "sizes",
        "name",
    )
    rows: list[tuple[str, ...]] = [head]
    for code, patients in {**audit.tree.institutions, "all": [*audit.tree.patients]}.items():
        counts = audit.counts(patients)
        missing = (counts["sequences_missing"].get(channel, 0) for channel in (CHANNELS[0], CHANNELS[-1]))
        numbers = (counts["patients"], counts["slices"], counts["tumour_slices"], counts["tumour_pixels"])
        rows.append((
            code, *map(str, numbers), f"{counts['median_tumour_percent']:.2f}", *map(str, missing),
            ", ".join(counts["sizes"]), INSTITUTIONS.get(code, "-"),
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    left = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {left} more" if left > 0 else "")
