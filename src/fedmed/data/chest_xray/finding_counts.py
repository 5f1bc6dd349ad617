"""Numbers of films with each finding, and with two findings together, in each part of a set."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from fedmed.data.chest_xray.film import Film
from fedmed.data.chest_xray.findings import FINDINGS, NO_FINDING

SHORT = ("Ate", "Car", "Eff", "Inf", "Mas", "Nod", "Pne", "Ptx", "Con", "Ede", "Emp", "Fib", "PlT", "Her")
"""The findings in three letters, for the heads of columns."""

FREQUENT_PAIRS = 3
"""Pairs of findings that a line of text names."""

Counts = dict[str, int]


def positives(films: Sequence[Film]) -> Counts:
    """The number of films with each finding, and with none."""
    counts = dict.fromkeys((*FINDINGS, NO_FINDING), 0)
    for film in films:
        for name in film.findings or (NO_FINDING,):
            counts[name] += 1
    return counts


def together(films: Sequence[Film]) -> dict[tuple[str, str], int]:
    """The number of films with both of two findings; those pairs that occur, the most frequent first."""
    counts: dict[tuple[str, str], int] = {}
    for film in films:
        for pair in combinations(film.findings, 2):
            counts[pair] = counts.get(pair, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def counts_document(films: Sequence[Film]) -> dict[str, Any]:
    """The numbers of films and patients, those of each finding, and of each pair that occurs, as JSON values."""
    pairs = {" + ".join(pair): count for pair, count in together(films).items()}
    patients = len({film.patient for film in films})
    return {"films": len(films), "patients": patients, "findings": positives(films), "together": pairs}


def counts_table(parts: Mapping[str, Sequence[Film]]) -> str:
    """A row for each finding with its number of films in each part, then the films and patients of the parts.

    Args:
        parts: the films by the part's name, a column each.
    """
    counts = {name: positives(films) for name, films in parts.items()}
    rows = [("", *parts)]
    rows += [(finding, *(str(counts[name][finding]) for name in parts)) for finding in (*FINDINGS, NO_FINDING)]
    rows.append(("films", *(str(len(films)) for films in parts.values())))
    rows.append(("patients", *(str(len({film.patient for film in films})) for films in parts.values())))
    return aligned(rows)


def together_table(films: Sequence[Film]) -> str:
    """The findings against each other: films with both, and on the diagonal with the finding at all."""
    pairs, alone = together(films), positives(films)
    rows: list[tuple[str, ...]] = [("", *SHORT)]
    for row in FINDINGS:
        cells = (
            alone[row] if row == other else pairs.get((row, other), pairs.get((other, row), 0)) for other in FINDINGS
        )
        rows.append((row, *map(str, cells)))
    return aligned(rows)


def pairs_line(name: str, films: Sequence[Film]) -> str:
    """The findings that come together most often in a part."""
    pairs = [*together(films).items()][:FREQUENT_PAIRS]
    shown = ", ".join(f"{' + '.join(pair)} ({count})" for pair, count in pairs)
    return f"{name}: {shown or 'no two findings come together'}"


def without_positives(parts: Mapping[str, Sequence[Film]]) -> list[str]:
    """A sentence for each part that has no film with some finding; one for all parts where nobody has any."""
    lacking = {part: _lacking(films) for part, films in parts.items()}
    nowhere = [name for name in FINDINGS if all(name in names for names in lacking.values())]
    lines = [f"No film has {' or '.join(nowhere)}: nothing can be learnt or said of it."] if nowhere else []
    for part, names in lacking.items():
        if {*names} - {*nowhere}:
            own = ", ".join(name for name in names if name not in nowhere)
            lines.append(f"{part} has no film with {own}: its AUROC there is n/a.")
    return lines


def _lacking(films: Sequence[Film]) -> list[str]:
    counts = positives(films)
    return [name for name in FINDINGS if not counts[name]]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A table as text: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([f"{row[0]:<{widths[0]}}", *(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )
