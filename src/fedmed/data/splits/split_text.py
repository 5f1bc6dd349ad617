"""A split on the screen: who got how many cases of what, and the lines that name the data to other scripts."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from fedmed.core.names import DATALIST_VARIABLE, DATASET_VARIABLE
from fedmed.data.datalist import ALL_SITES
from fedmed.data.splits.partition import C, FactsOf, Split


def split_table(split: Split[C], facts_of: FactsOf[C], stratum: str, texts: Sequence[str]) -> str:
    """A row for each site: its training cases, how many of each text, and the validation cases; then the rest.

    Args:
        split: the split.
        facts_of: gives the facts of a case.
        stratum: the fact that is counted.
        texts: its texts, a column each.
    """

    def counts(cases: Sequence[C]) -> tuple[str, ...]:
        """A dash a text where the stratum of no case is known."""
        found = [facts_of(case).get(stratum) for case in cases]
        if all(text is None for text in found):
            return tuple("-" for _ in texts)
        return tuple(str(found.count(text)) for text in texts)

    everyone = tuple(case for cases in split.sites.values() for case in cases)
    rows: list[tuple[str, ...]] = [("site", "training", *texts, "validation")]
    for site, cases in {**split.sites, ALL_SITES: everyone}.items():
        name = f"{site} {split.groups.get(site, '')}".strip()
        rows.append((name, str(len(cases)), *counts(cases), str(len(split.validation_of(site)))))
    rows.append(("(validation)", "", *counts(split.validation), ""))
    if split.test:
        rows.append((f"(test: {len(split.test)})", "", *counts(split.test), ""))
    width = max(12, *(len(row[0]) for row in rows))
    return "\n".join(f"{row[0]:<{width}}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in rows)


def export_lines(dataset: Path, lists: Path) -> str:
    """The lines by which a shell tells the other scripts where the data are."""
    places = {DATASET_VARIABLE: dataset, DATALIST_VARIABLE: lists}
    return "\n".join(f"export {name}={shlex.quote(str(path.resolve()))}" for name, path in places.items())
