"""What a person reads of an audit: one table a site, then what was found."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from fedmed.data.audit.case_facts import CaseFacts, ImageFacts
from fedmed.data.audit.finding import Finding
from fedmed.data.audit.site_audit import Progress, SiteAudit

MOST_FINDINGS = 8
"""As many of a site are written out; all of them are in the JSON."""

MANY_CASES = 50
"""From so many on an audit takes long enough to be watched."""


def site_table(audit: SiteAudit) -> str:
    """The table of a site: a row a modality, one for the label, then errors and warnings."""
    facts = [audited.facts for audited in {a.case.label: a for a in audit.cases}.values() if audited.facts]
    rows: list[tuple[str, ...]] = [("", "voxels", "spacing mm", "axes", "background", "median", "1 to 99 percentile")]
    for modality in audit.rules.modalities:
        rows.append(_image_row(modality, [case.images[modality] for case in facts]))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([heading(audit), *lines, *_label_line(facts, audit.rules.labels), *findings_text(audit.findings)])


def heading(audit: SiteAudit) -> str:
    """Whose data, how many, and how the audit ended."""
    counts = Counter(audited.split for audited in audit.cases)
    patients = len({audited.patient for audited in audit.cases})
    cases = " + ".join(f"{count} {split}".strip() for split, count in counts.items())
    unit = "case" if sum(counts.values()) == 1 else "cases"
    errors = len(audit.errors)
    ended = f"{errors} error{'s' * (errors != 1)}, {_warnings(len(audit.findings) - errors)}"
    scheme = f", labels {audit.rules.scheme}" if audit.rules.scheme else ""
    return f"{audit.site}: {cases} {unit} of {patients} patient{'s' * (patients != 1)}{scheme}: {ended}"


def across_text(findings: Sequence[Finding]) -> str:
    """What several sites have in common, under a heading; empty where that is nothing."""
    return "\n".join(["across the sites:", *findings_text(findings)]) if findings else ""


def findings_text(findings: Iterable[Finding]) -> list[str]:
    """A line a finding, the first few."""
    every = list(findings)
    lines = [f"  {finding.level}: {finding.sentence}" for finding in every[:MOST_FINDINGS]]
    left = every[MOST_FINDINGS:]
    if left:
        errors = sum(finding.level == "error" for finding in left)
        told = f"{errors} more error{'s' * (errors != 1)}, {_warnings(len(left) - errors)}"
        lines.append(f"  and {told}: prepare.py audit --json has them all")
    return lines


def _warnings(count: int) -> str:
    return f"{count} warning{'s' * (count != 1)}"


def _image_row(modality: str, images: Sequence[ImageFacts]) -> tuple[str, ...]:
    measured = [image.intensities for image in images if image.intensities]
    if not measured:
        return (modality, "-", "-", "-", "-", "-", "-")
    return (
        modality,
        _usual("x".join(map(str, image.shape)) for image in images),
        _usual(" x ".join(f"{zoom:.3g}" for zoom in image.spacing) or "-" for image in images),
        _usual(image.orientation or "-" for image in images),
        _range([100 * image.zeros / image.voxels for image in images]) + " %",
        _range([found.median for found in measured]),
        f"{median(found.p1 for found in measured):.3g} to {median(found.p99 for found in measured):.3g}",
    )


def _label_line(facts: Sequence[CaseFacts], labels: Sequence[int] | None) -> list[str]:
    """How many cases have each label value, and how much of it: the median over those cases."""
    if not labels or not facts:
        return []
    parts = []
    for value in labels:
        amounts = [amount for case in facts if (amount := _amount(case, value))]
        if value:
            unit = "ml" if facts[0].images and next(iter(facts[0].images.values())).voxel_ml else "pixels"
            usual = f", median {median(amounts):.3g} {unit}" if amounts else ""
            parts.append(f"{value} in {len(amounts)} of {len(facts)}{usual}")
    return [f"  label: {'; '.join(parts)}"]


def _amount(case: CaseFacts, value: int) -> float:
    count = case.label.counts.get(str(value), 0) if case.label else 0
    return count * ((case.label_file.voxel_ml if case.label_file else None) or 1)


def _usual(values: Iterable[str]) -> str:
    """The commonest value, and how many others there are."""
    counts = Counter(values)
    (first, _), *others = counts.most_common()
    return f"{first} (+{len(others)} other)" if others else first


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"


def audit_progress(site: str, say: Callable[[str], None]) -> Progress:
    """Says how far the audit of many cases is, ten times in all; that of few is over before one asks."""

    def progress(done: int, of: int) -> None:
        if of >= MANY_CASES and done % (of // 10) == 0 and done < of:
            say(f"{site}: {done} of {of} cases audited")

    return progress


def site_line(audit: SiteAudit) -> str:
    """A site's audit in one line; :func:`site_table` has all of it."""
    return heading(audit)
