"""What a split is kept as, besides the lists: ``split.json`` with who got what and why, and the list of test cases."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fedmed.core.options import to_plain
from fedmed.data.brats.brats_layout import CaseFiles, institution_of
from fedmed.data.splits.partition import Split
from fedmed.data.splits.partition_options import SplitOptions
from fedmed.data.splits.partition_ways import Volumes


def split_document(split: Split, options: SplitOptions, volumes: Volumes) -> dict[str, Any]:
    """The parameters, and the cases of each site and of the test, as JSON values.

    A case has ``case`` (its name) and ``patient``, and where known ``grade``, ``institution`` and ``volume_ml``, the
    volume of the whole tumour. Shared validation cases are named at every site.
    """
    sites = {}
    for site, training in split.sites.items():
        facts = {"institution": split.institutions[site]} if site in split.institutions else {}
        parts = {"training": training, "validation": split.validation_of(site)}
        sites[site] = {**facts, **{part: _facts(cases, volumes) for part, cases in parts.items()}}
    return {"options": to_plain(options.completed()), "sites": sites, "test": _facts(split.test, volumes)}


def holdout_document(split: Split, root: Path) -> dict[str, Any]:
    """The list of test cases, in the Decathlon form with the cases under ``testing``; there must be some."""
    return {"label_scheme": split.test[0].scheme, "testing": [case.entry(root) for case in split.test]}


def as_json(document: dict[str, Any]) -> bytes:
    """The file's content."""
    return (json.dumps(document, indent=2) + "\n").encode()


def _facts(cases: Iterable[CaseFiles], volumes: Volumes) -> list[dict[str, Any]]:
    return [{key: value for key, value in _row(case, volumes).items() if value is not None} for case in cases]


def _row(case: CaseFiles, volumes: Volumes) -> dict[str, Any]:
    volume = volumes.get(case.name)
    return {
        "case": case.name,
        "patient": case.patient,
        "grade": case.grade,
        "institution": institution_of(case.name),
        "volume_ml": None if volume is None else round(volume, 3),
    }
