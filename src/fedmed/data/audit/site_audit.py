"""The audit of a site's data before any training: every case alone, then all of them against each other."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError
from fedmed.data.audit.case_facts import CaseFacts, FactsBook
from fedmed.data.audit.case_findings import Rules, case_findings
from fedmed.data.audit.duplicates import Listed, Splits, across_sites, within_a_site
from fedmed.data.audit.finding import Finding, errors_of
from fedmed.data.audit.fingerprint import keyed
from fedmed.data.audit.outliers import outliers
from fedmed.data.datalist import Case

THREADS = 4
"""Files are read and decompressed without Python's lock."""

Progress = Callable[[int, int], None]
"""Told how many cases are done, and of how many."""


@dataclass(frozen=True)
class AuditedCase:
    """One case of one split; ``facts`` is None when a file could not be read."""

    case: Case
    split: str
    patient: str
    facts: CaseFacts | None
    findings: tuple[Finding, ...]

    @property
    def fingerprints(self) -> frozenset[str]:
        images = self.facts.images.values() if self.facts else ()
        return frozenset(image.fingerprint for image in images if image.fingerprint)

    @property
    def whole(self) -> str | None:
        """What all the case's files hold, its label by how many voxels have which value; None if that is not known."""
        images = self.facts.images if self.facts else {}
        if not images or any(image.fingerprint is None for image in images.values()):
            return None
        label = sorted(self.facts.label.counts.items()) if self.facts and self.facts.label else []
        return json.dumps([sorted((name, image.fingerprint) for name, image in images.items()), label])


@dataclass(frozen=True)
class SiteAudit:
    """All that was found at one site."""

    site: str
    rules: Rules
    cases: tuple[AuditedCase, ...]
    findings: tuple[Finding, ...]  # of the cases and across them, errors first

    @property
    def errors(self) -> list[Finding]:
        return errors_of(self.findings)

    def with_findings(self, more: Sequence[Finding]) -> "SiteAudit":
        """The same with further findings before those there are."""
        return replace(self, findings=(*more, *self.findings))

    def splits(self, hidden: Callable[[str], str] | None = None) -> Splits:
        """The images by split and fingerprint, with their cases' names; ``hidden`` makes hashes of both instead."""
        found: dict[str, dict[str, str]] = {}
        for audited in self.cases:
            names = found.setdefault(audited.split, {})
            for value in sorted(audited.fingerprints):
                shown = hidden(value) if hidden else value
                names[shown] = f"image {shown[:12]}" if hidden else audited.case.name
        return found

    def document(self, key: str | None = None) -> dict[str, Any]:
        """As JSON values: the findings, and every case with what was measured in its files.

        Images are named by their hashes under ``key``, as the server names them, and without one not at all.
        """
        return {
            "findings": [finding.document() for finding in self.findings],
            "cases": [_case_document(audited, key) for audited in self.cases],
        }


def audit_site(
    site: str,
    splits: Mapping[str, Sequence[Case]],
    rules: Rules,
    patient_of: Callable[[Case], str],
    allow_overlap: bool = False,
    book: FactsBook | None = None,
    progress: Progress = lambda done, of: None,
) -> SiteAudit:
    """Look at every file of every case.

    Args:
        site: its name.
        splits: the cases of ``training``, ``validation`` or whatever the parts are called.
        rules: what the task expects of a case.
        patient_of: the patient of a case, so that no patient is on two sides.
        allow_overlap: whether the same images or patient in training and validation are a warning, not an error.
        book: keeps what was measured, so that a case is read once however many sites list it.
        progress: is told after each case.
    """
    listed = [(split, case) for split, cases in splits.items() for case in cases]
    known = book or FactsBook()
    audited: list[AuditedCase] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(lambda pair: _audit_case(pair[0], pair[1], rules, patient_of, known), listed):
            audited.append(found)
            progress(len(audited), len(listed))
    findings = [finding for found in audited for finding in found.findings]
    findings = list(dict.fromkeys(findings))  # of a case in two splits
    findings += _shared_labels([case for _, case in listed])
    members = [Listed(a.case.name, a.split, a.patient, a.fingerprints) for a in audited]
    findings += within_a_site(members, allow_overlap)
    findings += outliers({found.case.name: found.facts for found in audited if found.facts})
    findings.sort(key=lambda finding: finding.level)  # "error" before "warning", otherwise as found
    return SiteAudit(site, rules, tuple(audited), tuple(findings))


def _shared_labels(cases: Sequence[Case]) -> Iterator[Finding]:
    """One label file cannot be true of two cases."""
    seen: dict[Path, Case] = {}
    for case in cases:
        first = seen.setdefault(case.label, case)
        different = [(one, other) for one, other in zip(first.image, case.image, strict=False) if one != other]
        if different:
            one, other = different[0]
            sentence = f"{case.label} is listed as the label of {one} and of {other}; expected a label a case: correct"
            yield Finding("error", "label", f"{sentence} the list.")


def overlaps(audits: Sequence[SiteAudit], allow_overlap: bool) -> list[Finding]:
    """The images and patients that several sites have, where one place sees all of the sites."""
    images = list(across_sites({audit.site: audit.splits() for audit in audits}, allow_overlap))
    holders = Counter(mark for audit in audits for mark in {m for case in audit.cases for m in case.fingerprints})
    patients = {audit.site: _patients(audit, {mark for mark in holders if holders[mark] > 1}) for audit in audits}
    return [*images, *across_sites(patients, allow_overlap, "patients")]


def _patients(audit: SiteAudit, told: set[str]) -> Splits:
    """The patients by split, without the cases whose images are at several sites, which is told of the images."""
    found: dict[str, dict[str, str]] = {}
    for audited in audit.cases:
        if not audited.fingerprints & told:
            found.setdefault(audited.split, {})[audited.patient] = audited.patient
    return found


def _audit_case(
    split: str, case: Case, rules: Rules, patient_of: Callable[[Case], str], book: FactsBook
) -> AuditedCase:
    facts, findings = None, []
    try:
        images = _modalities(case, rules)
        facts = book.of(images, case.label)
        findings = list(case_findings(case.name, images, case.label, facts, rules))
    except InputError as error:
        findings = [Finding("error", "readable", str(error))]
    return AuditedCase(case, split, patient_of(case), facts, tuple(findings))


def _modalities(case: Case, rules: Rules) -> dict[str, Any]:
    """The case's image files by modality, all of them there.

    Raises:
        InputError: the case names fewer or more than there are modalities, or files are missing.
    """
    if len(case.image) != len(rules.modalities):
        names = ", ".join(path.name for path in case.image)
        raise InputError(
            f"{case.name} has {len(case.image)} image files ({names}); expected one for each of "
            f"{', '.join(rules.modalities)}, in this order: correct its list."
        )
    missing = [path for path in (*case.image, case.label) if not path.is_file()]
    if missing:
        shown = ", ".join(map(str, missing[:3])) + (", ..." if len(missing) > 3 else "")
        raise InputError(
            f"{case.name} lacks {len(missing)} of its files: {shown}; correct its list, or the dataset folder that the "
            "list's paths start in."
        )
    return dict(zip(rules.modalities, case.image, strict=True))


def _case_document(audited: AuditedCase, key: str | None) -> dict[str, Any]:
    facts = asdict(audited.facts) if audited.facts else {"images": {}}
    for file in (*facts["images"].values(), *filter(None, [facts.get("label_file")])):
        found = file.pop("fingerprint")
        if key and found:
            file["hash"] = keyed(found, key)
    return {"name": audited.case.name, "split": audited.split, "patient": audited.patient, **facts}
