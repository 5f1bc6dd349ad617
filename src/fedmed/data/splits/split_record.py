"""The record of a split, besides the lists: ``split.json`` with the cases of each part, and the list of test cases."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fedmed.data.splits.partition import C, FactsOf, L, Split


def split_document(
    split: Split[C], options: Mapping[str, Any], facts_of: FactsOf[C], group: str = "group"
) -> dict[str, Any]:
    """The options, and the cases of each site and of the test, as JSON values.

    A case has ``case`` (its name), ``patient`` and those of its facts that are known, numbers to 3 places. Shared
    validation cases are named at every site, and so are the test cases of a site that has some of its own.

    Args:
        split: the split.
        options: the options by which it was made, as JSON values.
        facts_of: gives the facts of a case.
        group: the key of a site's group, where sites stand for groups.
    """
    sites = {}
    for site, training in split.sites.items():
        facts = {group: split.groups[site]} if site in split.groups else {}
        parts = {"training": training, "validation": split.validation_of(site)}
        if split.own_test is not None:
            parts["testing"] = split.own_test[site]
        sites[site] = {**facts, **{part: _rows(cases, facts_of) for part, cases in parts.items()}}
    return {"options": dict(options), "sites": sites, "test": _rows(split.test, facts_of)}


def holdout_document(test: Iterable[L], root: Path, label_scheme: str | None = None) -> dict[str, Any]:
    """The list of test cases, in the Decathlon form with the cases under ``testing``; there must be some."""
    scheme = {} if label_scheme is None else {"label_scheme": label_scheme}
    return {**scheme, "testing": [case.entry(root) for case in test]}


def as_json(document: Mapping[str, Any]) -> bytes:
    """The content of a JSON file."""
    return (json.dumps(document, indent=2) + "\n").encode()


def _rows(cases: Iterable[C], facts_of: FactsOf[C]) -> list[dict[str, Any]]:
    return [{"case": case.name, "patient": case.patient, **_known(case, facts_of)} for case in cases]


def _known(case: C, facts_of: FactsOf[C]) -> dict[str, Any]:
    known = {name: value for name, value in facts_of(case).items() if value is not None}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in known.items()}
