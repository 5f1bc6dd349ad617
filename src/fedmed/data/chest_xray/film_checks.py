"""Further warnings of the audit of a site's list of chest films: sideways films, and findings that no case has."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from fedmed.core.errors import InputError
from fedmed.data.audit.finding import Finding
from fedmed.data.audit.measured_files import READERS
from fedmed.data.audit.site_audit import SiteAudit
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.data.chest_xray.orientation import Orientation, orientation_of, site_warnings
from fedmed.data.datalist import SPLITS, Case
from fedmed.data.picture_pixels import picture_pixels

MOST_LOOKED_AT = 500
"""Films of a site that are looked at a second time for their orientation, at even distances in its list."""


def film_findings(audit: SiteAudit) -> list[Finding]:
    """Warnings on films that look sideways or inverted, and on findings that no case of a split has."""
    return [*_turned_films(audit), *_lacking(audit)]


def _turned_films(audit: SiteAudit) -> Iterator[Finding]:
    cases = [*{audited.case.images: audited.case for audited in audit.cases if audited.facts}.values()]
    step = max(1, -(-len(cases) // MOST_LOOKED_AT))
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        seen = [*pool.map(_orientation, cases[::step])]
    for sentence in site_warnings(audit.site, seen):
        yield Finding("warning", "orientation", sentence)


def _orientation(case: Case) -> Orientation | None:
    try:
        return orientation_of(picture_pixels(case.images[0], 1)[0])
    except InputError:
        return None  # a finding of its own


def _lacking(audit: SiteAudit) -> Iterator[Finding]:
    """One warning a split; the classes of a list stand there by name or by number."""
    for split in SPLITS:
        stated = {one for audited in audit.cases if audited.split == split for one in audited.classes}
        lacking = [name for number, name in enumerate(FINDINGS) if stated.isdisjoint({name, number})]
        if lacking:
            sentence = f"{audit.site} has no {split} film with {', '.join(lacking)}"
            yield Finding("warning", "classes", f"{sentence}; it can neither learn nor score what it does not have.")
