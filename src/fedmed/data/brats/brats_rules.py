"""The rules of BraTS cases, and the audit of a tree of cases, of one site's list, or of all sites' lists."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fedmed.core.errors import InputError
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.finding import Finding
from fedmed.data.audit.site_audit import Progress, SiteAudit, audit_site, outside, overlaps
from fedmed.data.brats.brats_checks import one_brain_mask, skull_stripped, tumour_in_brain
from fedmed.data.brats.brats_layout import (
    MODALITIES,
    find_cases,
    label_scheme,
    part_in_name,
    patient_id,
)
from fedmed.data.datalist import ALL_SITES, TEST_LIST, TESTING, Case, load_split, open_datalist

ProgressOf = Callable[[str], Progress]
"""Makes the progress of a site from its name."""


def brats_rules(label_scheme_name: str | None) -> Rules:
    """The form of a BraTS case; the scheme is the one of that name, or where it is None BraTS 2018's.

    Raises:
        InputError: no scheme has that name.
    """
    scheme = label_scheme(label_scheme_name)
    return Rules(
        MODALITIES,
        dimensions=3,
        labels=scheme.labels,
        scheme=scheme.name,
        foreground="tumour",
        part_in_name=part_in_name,
        checks=(skull_stripped, one_brain_mask, tumour_in_brain),
    )


def patient_of(case: Case) -> str:
    """The patient of a case: the one that its list states, else the one in its name."""
    return str(case.extra.get("patient", patient_id(case.name)))


def audit_brats(
    path: Path, dataset: Path | None, allow_overlap: bool, progress: ProgressOf
) -> tuple[list[SiteAudit], list[Finding]]:
    """The audit of each site, and the findings across sites.

    Args:
        path: a tree of cases, a list (``.json``), or a folder of ``site-*.json``, and of ``test.json`` if there is one.
        dataset: the folder in which the lists' paths start.
        allow_overlap: whether the same images or patient in training and validation are only a warning.
        progress: is called as the audit goes on.

    Raises:
        InputError: there is nothing to audit.
    """
    lists = _lists(path)
    if not lists:
        return [_audit_tree(path, progress)], []
    if dataset is None:
        raise InputError(
            f"{path} names files relative to a dataset folder, which is not given; give --dataset_base_dir, or set the "
            "environment variable DATASET_ROOT."
        )
    if not dataset.is_dir():
        raise InputError(
            f"The dataset folder {dataset} does not exist; give the one in which the paths of {path} start, with "
            "--dataset_base_dir or the environment variable DATASET_ROOT."
        )
    book = FactsBook()
    audits = [_audit_list(file, dataset, allow_overlap, book, progress(file.stem)) for file in lists]
    if (path / TEST_LIST).is_file():
        audits.append(_audit_test_list(path / TEST_LIST, dataset, book, progress(TEST_LIST)))
    return audits, overlaps(audits, allow_overlap)


def _lists(path: Path) -> list[Path]:
    """The lists that ``path`` stands for; none when it is a tree. site-All holds the others' cases once more."""
    if path.is_file():
        return [path]
    lists = sorted(path.glob("site-*.json"))
    return [file for file in lists if file.stem != ALL_SITES] or lists


def _audit_list(file: Path, dataset: Path, allow_overlap: bool, book: FactsBook, progress: Progress) -> SiteAudit:
    datalist = open_datalist(file, dataset)
    rules = brats_rules(datalist.label_scheme)
    found = audit_site(file.stem, datalist.splits, rules, patient_of, allow_overlap, book, progress)
    return found.with_findings(outside(datalist))


def _audit_test_list(file: Path, dataset: Path, book: FactsBook, progress: Progress) -> SiteAudit:
    """The cases that no site has; called by the file's name, as it is no site."""
    cases, scheme = load_split(file, dataset, TESTING)
    return audit_site(file.name, {"test": cases}, brats_rules(scheme), patient_of, book=book, progress=progress)


def _audit_tree(tree: Path, progress: ProgressOf) -> SiteAudit:
    """All cases of a tree, which knows no training and validation yet."""
    incomplete: list[InputError] = []
    files = find_cases(tree, incomplete)
    rules = brats_rules(files[0].scheme if files else None)
    cases = {"": [Case(case.image, case.label, {"patient": case.patient}, case.name) for case in files]}
    name = tree.absolute().name
    audit = audit_site(name, cases, rules, patient_of, progress=progress(name))
    return audit.with_findings([Finding("error", "readable", str(error)) for error in incomplete])


def sites_document(audits: Sequence[SiteAudit], across: Sequence[Finding], key: str | None = None) -> dict[str, object]:
    """The whole audit as JSON values; images are named by their hashes under ``key``, if there is one."""
    return {
        "sites": {audit.site: audit.document(key) for audit in audits},
        "across_sites": [finding.document() for finding in across],
    }
