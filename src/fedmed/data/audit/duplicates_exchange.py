"""Finding the same images at several sites of a federation, where no site sees another's files.

Every site answers the server's question with keyed hashes of its images' fingerprints. The key is the sites' own
secret, the environment variable DUPLICATES_KEY, which the server does not need and should not have: it compares what
it cannot recompute. docs/data_audit.md states what this discloses all the same.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fedmed.data.audit.duplicates import across_sites
from fedmed.data.audit.finding import Finding
from fedmed.data.audit.fingerprint import keyed
from fedmed.data.audit.site_audit import SiteAudit

KEY_VARIABLE = "DUPLICATES_KEY"

QUESTION = "which_images"
"""In the meta of a message: a question by the server, an answer by a site."""

OVERLAPS = "dataset_overlap.json"
"""The file of the comparison, in the server's folder of the job and in the run folder."""

REFUSED_DATA = "The sites' data cannot be used together:"
"""Begins the server's sentence that ends a run because of overlapping data."""

SHARES = "validation_shares"
"""In the meta of a message to the sites: by site, which of how many parts of the validation cases it scores."""

Share = tuple[int, int]
"""(i, n): of the cases in the order of :func:`order_of`, every n-th from the i-th on."""

_SAME_KEY = "key"
_SCORED = "validation_cases"
_SPLITS = ("training", "validation", "test")


@dataclass(frozen=True)
class Comparison:
    """The server's comparison: its findings, and the sites that have no key and so were not compared."""

    findings: tuple[Finding, ...]
    compared: tuple[str, ...]
    silent: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The comparison as JSON values."""
        found = [finding.document() for finding in self.findings]
        return {"compared": list(self.compared), "without_key": list(self.silent), "findings": found}


def key_of_this_site() -> str | None:
    """The key that the sites share, None where this one has none."""
    return os.environ.get(KEY_VARIABLE) or None


def answer(audit: SiteAudit, key: str | None, allow_overlap: bool) -> dict[str, list[str]]:
    """A site's answer: keyed hashes of its images by split, in the order of the hashes; nothing without a key.

    A site without test cases says nothing of them. Where an overlap of training and validation is accepted, only those
    of training images are sent, as no others are compared.

    Raises:
        InputError: the key is too short.
    """
    if key is None:
        return {}
    splits = audit.splits(lambda value: keyed(value, key))
    sent = ("training",) if allow_overlap else ("training", "validation", *(("test",) if "test" in splits else ()))
    hashes = {split: sorted(splits.get(split, {})) for split in sent}
    return {_SAME_KEY: [keyed(_SAME_KEY, key)], **hashes, _SCORED: sorted(_cases(audit, key))}


def order_of(audit: SiteAudit) -> list[int]:
    """The places of the validation cases in the list, in an order that is the same at all sites that list them."""
    wholes = [case.whole or "" for case in audit.cases if case.split == "validation"]
    return sorted(range(len(wholes)), key=wholes.__getitem__)


def shares(answers: Mapping[str, Any]) -> dict[str, Share]:
    """Each site's share of the validation cases, where all sites list the same ones; else nothing.

    Only for answers in which :func:`compare` finds no error.
    """
    lists = [given.get(_SCORED) for given in answers.values()]
    same = len(lists) > 1 and bool(lists[0]) and all(each == lists[0] for each in lists)
    if not same or len(set(lists[0])) < len(lists[0]):
        return {}
    return parts_of(answers)


def parts_of(sites: Iterable[str]) -> dict[str, Share]:
    """The part of each of these sites, in the order of their names; one alone has all cases."""
    names = sorted(sites)
    return {site: (place, len(names)) for place, site in enumerate(names)}


def _cases(audit: SiteAudit, key: str) -> list[str]:
    """A keyed hash of each validation case and the label scheme, in the order of the list; none if one has no hash."""
    wholes = [case.whole for case in audit.cases if case.split == "validation"]
    return [keyed(f"{audit.rules.scheme} {whole}", key) for whole in wholes if whole] if all(wholes) else []


def of_another_key(answers: Mapping[str, Any]) -> list[str]:
    """The sites whose key is not that of more than half of the sites that have one; none where no key is."""
    keys = {site: given[_SAME_KEY][0] for site, given in answers.items() if given}
    usual = [key for key, times in Counter(keys.values()).items() if 2 * times > len(keys)]
    return sorted(site for site, key in keys.items() if usual and key != usual[0])


def compare(answers: Mapping[str, Any]) -> Comparison:
    """The images that the answers of all sites have in common; an answer in another form is an error by the site."""
    right = {site: given for site, given in sorted(answers.items()) if is_answer(given)}
    hashes = {site: given for site, given in right.items() if given}
    wrong = sorted(answers.keys() - right.keys())
    findings = [Finding("error", "exchange", f"{site} sent an answer of another form; update it.") for site in wrong]
    findings += _different_keys(hashes) or across_sites(
        {site: _named(given) for site, given in hashes.items()}, allow_overlap=False
    )
    silent = sorted(right.keys() - hashes.keys())
    return Comparison(tuple(findings), tuple(hashes), tuple(silent))


def _different_keys(hashes: Mapping[str, Mapping[str, list[str]]]) -> list[Finding]:
    """An error where the sites' keys differ, so that their hashes cannot be compared."""
    sites_of: dict[str, list[str]] = {}
    for site, given in hashes.items():
        sites_of.setdefault(given[_SAME_KEY][0], []).append(site)
    if len(sites_of) <= 1:
        return []
    groups = " and ".join(f"({', '.join(sites)})" for sites in sites_of.values())
    return [Finding("error", "exchange", f"{KEY_VARIABLE} differs between {groups}; set the same one at every site.")]


def _named(given: Mapping[str, list[str]]) -> dict[str, dict[str, str]]:
    """Each hash with the name by which a site finds the image again, by split."""
    return {split: {value: f"image {value[:12]}" for value in given.get(split, [])} for split in _SPLITS}


def is_answer(given: Any) -> bool:
    """True for what :func:`answer` makes."""
    if not isinstance(given, Mapping) or not all(isinstance(values, list) for values in given.values()):
        return False
    whole = not given or (set(given) <= {_SAME_KEY, _SCORED, *_SPLITS} and len(given.get(_SAME_KEY, [])) == 1)
    return whole and all(_is_hash(value) for values in given.values() for value in values)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None
