"""The audit of a site's data before any training: every case alone, then all of them against each other."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError, counted
from fedmed.core.units import Unit
from fedmed.data.audit.case_facts import CaseFacts, FactsBook
from fedmed.data.audit.case_findings import Rules, case_findings, target_findings
from fedmed.data.audit.duplicates import Listed, Splits, across_sites, within_a_site
from fedmed.data.audit.finding import Finding, errors_of
from fedmed.data.audit.fingerprint import keyed
from fedmed.data.audit.outliers import outliers
from fedmed.data.datalist import Case, Datalist
from fedmed.data.targets import Class

THREADS = 4
"""Files are read and decompressed without Python's lock."""

Progress = Callable[[int, int], None]
"""Called with the number of cases that are done, and that of all."""


@dataclass(frozen=True)
class AuditedCase:
    """One case of one split; ``facts`` is None when a file could not be read."""

    case: Case
    split: str
    patient: str
    facts: CaseFacts | None
    findings: tuple[Finding, ...]

    @property
    def classes(self) -> list[Class]:
        """The classes of the target as the list states them; none where it is a file."""
        target = self.case.target
        return [] if isinstance(target, Path) else list(target) if isinstance(target, tuple) else [target]

    @property
    def fingerprints(self) -> frozenset[str]:
        images = self.facts.images.values() if self.facts else ()
        return frozenset(image.fingerprint for image in images if image.fingerprint)

    @property
    def whole(self) -> str | None:
        """The contents of the case: its images' fingerprints, and its classes or how many voxels have which label.

        None where an image has no fingerprint.
        """
        images = self.facts.images if self.facts else {}
        if not images or any(image.fingerprint is None for image in images.values()):
            return None
        label: Any = sorted(self.facts.label.counts.items()) if self.facts and self.facts.label else self.classes
        return json.dumps([sorted((name, image.fingerprint) for name, image in images.items()), label])


@dataclass(frozen=True)
class SiteAudit:
    """The audit of one site."""

    site: str
    rules: Rules
    cases: tuple[AuditedCase, ...]
    findings: tuple[Finding, ...]  # of the cases and across them, errors first

    @property
    def errors(self) -> list[Finding]:
        return errors_of(self.findings)

    def with_findings(self, more: Sequence[Finding]) -> "SiteAudit":
        """The same with further findings before those there are, errors first."""
        return replace(self, findings=tuple(sorted((*more, *self.findings), key=lambda finding: finding.level)))

    def images_of_patients(self, *splits: str) -> dict[str, list[str]]:
        """The fingerprints of each patient's images in some splits, by the patient."""
        found: dict[str, list[str]] = {}
        for audited in self.cases:
            if audited.split in splits:
                found.setdefault(audited.patient, []).extend(sorted(audited.fingerprints))
        return found

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
        """The audit as JSON values: the findings, and every case with what was measured in its files.

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
        splits: the cases by the name of their part, such as ``training`` and ``validation``.
        rules: the form of the task's cases.
        patient_of: gives the patient of a case, so that no patient is on two sides.
        allow_overlap: whether the same images or patient in training and validation are a warning, not an error.
        book: holds the measurements, so that a case is read once however many sites list it.
        progress: is called after each case.
    """
    audited = _audited(splits, rules, patient_of, book or FactsBook(), progress)
    cases = list({one.case.images: one.case for one in audited}.values())
    members = [Listed(one.case.name, one.split, one.patient, one.fingerprints) for one in audited]
    findings = [
        *dict.fromkeys(finding for one in audited for finding in one.findings),  # those of a case in two splits once
        *_same_names(cases),
        *_shared_labels([one.case for one in audited]),
        *within_a_site(members, allow_overlap, rules.unit),
        *outliers({one.case.name: one.facts for one in audited if one.facts}),
    ]
    findings.sort(key=lambda finding: finding.level)  # "error" before "warning", otherwise as found
    return SiteAudit(site, rules, tuple(audited), tuple(findings))


def outside(datalist: Datalist) -> list[Finding]:
    """A warning where a list names files that do not lie in the dataset folder, which nobody may expect to be read."""
    if not datalist.outside:
        return []
    files, first = counted(len(datalist.outside), "file"), datalist.outside[0]
    lie = "lies" if len(datalist.outside) == 1 else "lie"
    sentence = f"{datalist.path} names {files} that {lie} outside the dataset folder, such as {first}"
    return [Finding("warning", "outside", f"{sentence}; look whether that is meant.")]


def _audited(
    splits: Mapping[str, Sequence[Case]],
    rules: Rules,
    patient_of: Callable[[Case], str],
    book: FactsBook,
    progress: Progress,
) -> list[AuditedCase]:
    """Every case of every split, in their order."""
    listed = [(split, case) for split, cases in splits.items() for case in cases]
    audited: list[AuditedCase] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(lambda pair: _audit_case(pair[0], pair[1], rules, patient_of, book), listed):
            audited.append(found)
            progress(len(audited), len(listed))
    return audited


def _same_names(cases: Sequence[Case]) -> Iterator[Finding]:
    """A warning where two cases have one name, so that their numbers could not be distinguished."""
    seen: dict[str, Case] = {}
    for case in cases:
        first = seen.setdefault(case.name, case)
        if first is not case:
            found = f"{first.images[0]} and {case.images[0]} are both called {case.name}"
            yield Finding("warning", "name", f'{found}; state a "name" for each in the list.')


def _shared_labels(cases: Sequence[Case]) -> Iterator[Finding]:
    """An error where one label file is listed for two cases, of which it cannot be true."""
    seen: dict[Path, Case] = {}
    for case in cases:
        if not isinstance(case.target, Path):
            continue
        first = seen.setdefault(case.target, case)
        different = [(one, other) for one, other in zip(first.images, case.images, strict=False) if one != other]
        if different:
            one, other = different[0]
            sentence = f"{case.target} is listed as the label of {one} and of {other}; expected a label a case: correct"
            yield Finding("error", "label", f"{sentence} the list.")


def overlaps(audits: Sequence[SiteAudit], allow_overlap: bool) -> list[Finding]:
    """Findings on images and patients that several sites have, where one place sees all of the sites."""
    unit: Unit = audits[0].rules.unit if audits else "patient"
    images = list(across_sites({audit.site: audit.splits() for audit in audits}, allow_overlap, unit=unit))
    holders = Counter(mark for audit in audits for mark in {m for case in audit.cases for m in case.fingerprints})
    patients = {audit.site: _patients(audit, {mark for mark in holders if holders[mark] > 1}) for audit in audits}
    return [*images, *across_sites(patients, allow_overlap, "units", unit)]


def _patients(audit: SiteAudit, reported: set[str]) -> Splits:
    """The patients by split, without the cases whose images are at several sites, which is a finding of its own."""
    found: dict[str, dict[str, str]] = {}
    for audited in audit.cases:
        if not audited.fingerprints & reported:
            found.setdefault(audited.split, {})[audited.patient] = audited.patient
    return found


def _audit_case(
    split: str, case: Case, rules: Rules, patient_of: Callable[[Case], str], book: FactsBook
) -> AuditedCase:
    facts, findings = None, list(target_findings(case.name, case.target, rules))
    label = case.target if isinstance(case.target, Path) and rules.classes is None else None
    try:
        images = _modalities(case, rules)
        facts = book.of(images, label)
        findings += case_findings(case.name, images, label, facts, rules)
    except InputError as error:
        findings.append(Finding("error", "readable", str(error)))
    return AuditedCase(case, split, patient_of(case), facts, tuple(findings))


def _modalities(case: Case, rules: Rules) -> dict[str, Path]:
    """The case's image files by modality, all of them there.

    Raises:
        InputError: the case names fewer or more than there are modalities, or files are missing.
    """
    if len(case.images) != len(rules.modalities):
        names = ", ".join(path.name for path in case.images)
        raise InputError(
            f"{case.name} has {len(case.images)} image files ({names}); expected one for each of "
            f"{', '.join(rules.modalities)}, in this order: correct its list."
        )
    missing = [path for path in case.files if not path.is_file()]
    if missing:
        shown = ", ".join(map(str, missing[:3])) + (", ..." if len(missing) > 3 else "")
        raise InputError(
            f"{case.name} lacks {len(missing)} of its files: {shown}; correct its list, or the dataset folder that the "
            "list's paths start in."
        )
    return dict(zip(rules.modalities, case.images, strict=True))


def _case_document(audited: AuditedCase, key: str | None) -> dict[str, Any]:
    facts = asdict(audited.facts) if audited.facts else {"images": {}}
    for file in (*facts["images"].values(), *filter(None, [facts.get("label_file")])):
        found = file.pop("fingerprint")
        if key and found:
            file["hash"] = keyed(found, key)
    about = {"name": audited.case.name, "split": audited.split, "patient": audited.patient}
    return {**about, **({"classes": audited.classes} if audited.classes else {}), **facts}
