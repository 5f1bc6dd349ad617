"""Names that stay off the page: cases get numbers, and free text loses what may name a patient.

A name of a case often is a patient's, and so is a part of a path. What the dashboard shows of a case is therefore its
site and its number, and every text that some program wrote goes through :meth:`CaseAliases.clean` before it is shown.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fedmed.analysis.report.report_page import Listing, Part, Picture, Section, Table, Text

HIDDEN = "[name]"
PLACE = "[path]"

_PIECES = re.compile(r"[^\W_]+")
_PATHS = re.compile(r"""(?:"[^"]*[/\\][^"]*"|'[^']*[/\\][^']*'|\S*[/\\]\S*)""")
"""Anything with a slash, up to the next blank or, in quotes, up to their end."""

_NO_PATHS = re.compile(r"n/a|\d{1,5}/\d{1,5}")

_FILES = re.compile(r"\S+\.(?:dcm|dicom|ima|nii|nii\.gz|mha|nrrd|png|jpe?g|tiff?|bmp|npy)\b", re.IGNORECASE)
_PERSONS = re.compile(r"[^\s\^,;:()\[\]{}]+(?:\^[^\s\^,;:()\[\]{}]*)+")
"""Names as DICOM writes them: DOE^JANE."""

_TAGS = re.compile(
    r"\b(Patient\s?'?s?\s?(?:Name|ID|Birth\s?Date|Sex|Age|Address|Comments)|(?:Other\s?)?Patient\s?IDs?|Accession\s?Number|"
    r"Referring\s?Physician(?:\s?Name)?|Institution\s?Name|Study\s?ID)\b\s*[:=]?\s*.*",
    re.IGNORECASE,
)
_TAG_NUMBERS = re.compile(r"\((?:0010|0008|0020|0038),\s?[0-9a-fA-F]{4}\).*")


@dataclass(frozen=True)
class CaseAliases:
    """The cases of a run under other names, and texts without any of theirs.

    Attributes:
        numbers: by site and case, the case's number at its site, from 1 in the order of the names.
        secrets: names of cases and patients, which no text may show.
    """

    numbers: Mapping[tuple[str, str], int]
    secrets: frozenset[str]

    @classmethod
    def of(cls, cases: Iterable[tuple[str, str]], others: Iterable[str] = ()) -> "CaseAliases":
        """From the sites and names of cases, and further names such as patients'."""
        by_site: dict[str, set[str]] = {}
        for site, case in cases:
            by_site.setdefault(site, set()).add(case)
        numbers = {
            (site, case): number
            for site, names in by_site.items()
            for number, case in enumerate(sorted(names), start=1)
        }
        names = {case for _, case in numbers} | set(others)
        return cls(numbers, frozenset(name for name in names if name.strip()))

    def alias(self, site: str, case: str) -> str:
        """``case 3 of site-1``; a case that is not known has no number."""
        number = self.numbers.get((site, case))
        return f"a case of {site}" if number is None else f"case {number} of {site}"

    def clean(self, text: str) -> str:
        """A text without known names, paths, names of image files, persons as DICOM writes them, and its identity tags
        with their values; line by line."""
        return "\n".join(map(self._clean_line, text.split("\n")))

    def _clean_line(self, line: str) -> str:
        line = _PATHS.sub(_place_of, self._without_names(line))
        for pattern in (_TAGS, _TAG_NUMBERS, _FILES, _PERSONS):
            line = pattern.sub(HIDDEN, line)
        return line

    def _without_names(self, line: str) -> str:
        """A line without the known names that stand in it as words or as whole parts of words."""
        low = line.lower()
        if len(low) != len(line):  # a few letters have a longer small form
            line = low
        kept, at = [], 0
        for piece in _PIECES.finditer(low):
            start = piece.start()
            ends = (start + len(name) for name in self._by_piece.get(piece[0], ()) if low.startswith(name, start))
            end = next((end for end in ends if not low[end : end + 1].isalnum()), None)
            if end is not None and start >= at:
                kept += [line[at:start], HIDDEN]
                at = end
        return "".join([*kept, line[at:]])

    @cached_property
    def _by_piece(self) -> Mapping[str, Sequence[str]]:
        """The known names, the longest first, by the letters and digits with which each begins.

        A number of up to three digits is left out: it tells nobody apart, and figures would be hidden with it.
        """
        found: dict[str, list[str]] = {}
        for name in sorted(map(str.lower, self.secrets), key=len, reverse=True):
            first = _PIECES.search(name)
            if first and not re.fullmatch(r"\d{,3}", name):
                found.setdefault(first[0], []).append(name[first.start() :])
        return found

    def section(self, found: Section) -> Section:
        """A report's section, every text of which is clean."""
        return Section(found.title, [self._part(part) for part in found.parts])

    def _part(self, part: Part) -> Part:
        clean = self.clean
        if isinstance(part, Text):
            return dataclasses.replace(part, text=clean(part.text))
        if isinstance(part, Listing):
            return dataclasses.replace(part, items=[clean(item) for item in part.items])
        if isinstance(part, Picture):
            return dataclasses.replace(part, caption=clean(part.caption))
        rows = [[clean(cell) for cell in row] for row in part.rows]
        return Table(clean(part.caption), [clean(name) for name in part.columns], rows)


def _place_of(found: re.Match[str]) -> str:
    """A word for a path; a share such as 3/4, and n/a, stay."""
    return found[0] if _NO_PATHS.fullmatch(found[0].strip("()[],.;:")) else PLACE


def names_of(splits: Mapping[str, Any], stats: Mapping[str, Any]) -> CaseAliases:
    """The aliases of a run by its ``dataset_splits.json`` and ``dataset_stats.json``, either of which may be empty."""
    listed = [(site, str(case)) for site, split in splits.items() for case in _listed(split)]
    facts = [(site, case) for site, each in stats.items() for case in each.get("cases", [])]
    measured = [(site, str(case["name"])) for site, case in facts if "name" in case]
    return CaseAliases.of([*listed, *measured], [str(case["patient"]) for _, case in facts if "patient" in case])


def _listed(split: Mapping[str, Any]) -> list[Any]:
    """The names of a site's cases of all splits."""
    return [case for cases in split.values() if isinstance(cases, list) for case in cases]
