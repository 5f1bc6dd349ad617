"""The text of an audit: one line a site, and its table with the first findings."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from fedmed.core.errors import counted
from fedmed.data.audit.case_facts import CaseFacts, ImageFacts
from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.finding import Finding, errors_of
from fedmed.data.audit.site_audit import Progress, SiteAudit
from fedmed.data.targets import class_numbers

MOST_FINDINGS = 8
"""Largest number of findings of a site that are written out; all of them are in the JSON."""

MANY_CASES = 50
"""From so many on an audit takes long enough to be watched."""


def site_table(audit: SiteAudit) -> str:
    """The whole text of a site: its line, a row a modality, one for the targets, then errors and warnings."""
    facts = [audited.facts for audited in {a.case.images: a for a in audit.cases}.values() if audited.facts]
    targets = [*_label_line(facts, audit.rules.labels), *_class_line(audit)]
    return "\n".join([site_line(audit), *_table(facts, audit.rules), *targets, *findings_text(audit.findings)])


def _table(facts: Sequence[CaseFacts], rules: Rules) -> list[str]:
    """The lines of a table with a row a modality."""
    rows = [_heads(rules.dimensions)]
    for modality in rules.modalities:
        row = _image_row(modality, [case.images[modality] for case in facts])
        rows.append(row or (modality, *("-" for _ in rows[0][1:])))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def site_line(audit: SiteAudit) -> str:
    """One line on a site: its cases by split, its patients, and the numbers of errors and warnings."""
    counts = Counter(audited.split for audited in audit.cases)
    patients = len({audited.patient for audited in audit.cases})
    cases = " + ".join(f"{count} {split}".strip() for split, count in counts.items())
    unit = f"{audit.rules.case}{'' if sum(counts.values()) == 1 else 's'}"
    errors = len(audit.errors)
    ended = f"{counted(errors, 'error')}, {counted(len(audit.findings) - errors, 'warning')}"
    scheme = f", labels {audit.rules.scheme}" if audit.rules.scheme else ""
    return f"{audit.site}: {cases} {unit} of {counted(patients, audit.rules.unit)}{scheme}: {ended}"


def across_text(findings: Sequence[Finding]) -> str:
    """The findings across sites under a heading; empty where there is none."""
    return "\n".join(["across the sites:", *findings_text(findings)]) if findings else ""


def findings_text(findings: Iterable[Finding]) -> list[str]:
    """A line a finding, the first few."""
    every = list(findings)
    lines = [f"  {finding.level}: {finding.sentence}" for finding in every[:MOST_FINDINGS]]
    left = every[MOST_FINDINGS:]
    if left:
        errors = len(errors_of(left))
        more = f"{errors} more error{'s' * (errors != 1)}, {counted(len(left) - errors, 'warning')}"
        lines.append(f"  and {more}: prepare.py audit --json has them all")
    return lines


def _heads(dimensions: int) -> tuple[str, ...]:
    grid = ("pixels",) if dimensions == 2 else ("voxels", "spacing mm", "axes")
    return ("", *grid, "background", "median", "1 to 99 percentile")


def _image_row(modality: str, images: Sequence[ImageFacts]) -> tuple[str, ...]:
    """The usual grid and the range of the values of one modality, in the columns of :func:`_heads`; () without any."""
    measured = [image.intensities for image in images if image.intensities]
    if not measured:
        return ()
    return (
        modality,
        *_grid_cells(images),
        _range([100 * image.zeros / image.voxels for image in images]) + " %",
        _range([found.median for found in measured]),
        f"{median(found.p1 for found in measured):.3g} to {median(found.p99 for found in measured):.3g}",
    )


def _grid_cells(images: Sequence[ImageFacts]) -> tuple[str, ...]:
    shape = _usual("x".join(map(str, image.shape)) for image in images)
    if images[0].dimensions == 2:
        return (shape,)
    spacing = _usual(" x ".join(f"{zoom:.3g}" for zoom in image.spacing) or "-" for image in images)
    return shape, spacing, _usual(image.orientation or "-" for image in images)


def _label_line(facts: Sequence[CaseFacts], labels: Sequence[int] | None) -> list[str]:
    """The cases with each label value, and the amount of it: the median over those cases."""
    if not labels or not facts:
        return []
    unit = "ml" if facts[0].images and next(iter(facts[0].images.values())).voxel_ml else "pixels"
    parts = []
    for value in filter(None, labels):
        amounts = [amount for case in facts if (amount := _amount(case, value))]
        usual = f", median {median(amounts):.3g} {unit}" if amounts else ""
        parts.append(f"{value} in {len(amounts)} of {len(facts)}{usual}")
    return [f"  label: {'; '.join(parts)}"]


def _amount(case: CaseFacts, value: int) -> float:
    count = case.label.counts.get(str(value), 0) if case.label else 0
    return count * ((case.label_file.voxel_ml if case.label_file else None) or 1)


def _class_line(audit: SiteAudit) -> list[str]:
    """The number of cases of each class, by split; only where targets are classes."""
    names = audit.rules.classes
    if names is None:
        return []
    counts = class_counts(audit)
    parts = [f"{name} {' + '.join(str(found[name]) for found in counts.values())}" for name in names]
    splits = f" ({' + '.join(counts)})" if any(counts) else ""
    return [f"  classes{splits}: {', '.join(parts)}"]


def class_counts(audit: SiteAudit) -> dict[str, dict[str, int]]:
    """Number of cases of each class by split, 0 where there is none; cases with a target error are left out."""
    names, found = audit.rules.classes or (), dict[str, Counter[str]]()
    for audited in audit.cases:
        counts = found.setdefault(audited.split, Counter())
        if not any(finding.check == "target" for finding in audited.findings):
            counts.update(names[number] for number in class_numbers(audited.case.target, names, several=True))
    return {split: {name: counts[name] for name in names} for split, counts in found.items()}


def class_distribution(audit: SiteAudit) -> dict[str, dict[str, int]]:
    """:func:`class_counts`, and those of all splits together under ``all``; empty where targets are files."""
    if audit.rules.classes is None:
        return {}
    by_split = class_counts(audit)
    return {**by_split, "all": {name: sum(of[name] for of in by_split.values()) for name in audit.rules.classes}}


def _usual(values: Iterable[str]) -> str:
    """The commonest value, and the number of other ones."""
    counts = Counter(values)
    (first, _), *others = counts.most_common()
    return f"{first} (+{len(others)} other)" if others else first


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"


def audit_progress(site: str, echo: Callable[[str], None]) -> Progress:
    """Shows the progress of the audit of many cases, ten times in all; that of few is over too soon to be watched."""

    def progress(done: int, of: int) -> None:
        if of >= MANY_CASES and done % (of // 10) == 0 and done < of:
            echo(f"{site}: {done} of {of} cases audited")

    return progress
