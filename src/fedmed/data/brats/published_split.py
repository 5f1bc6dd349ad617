"""The published assignment of BraTS 2018's 285 cases, as the lists in ``dataset_brats18/datalist`` have it.

The lists are the only copy of the assignment. It is read from them for trees in which the cases lie, or are named,
otherwise than in the lists.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fedmed.core.errors import InputError, counted
from fedmed.data.brats.brats_layout import CaseFiles
from fedmed.data.datalist import Case, load_datalist
from fedmed.data.splits.partition import Split

SITES = {"site-1": 60, "site-2": 61, "site-3": 61, "site-4": 60}
"""Training cases of each site."""

VALIDATION = "validation"
"""The name of the part that all sites share."""

SIZES: Mapping[str, int] = {**SITES, VALIDATION: 43}
"""Cases of each part."""

Assignment = Mapping[str, tuple[str, ...]]
"""The names of the cases of each part, in the published order."""

SHOWN = 3
"""The most names in a sentence."""


def read_assignment(folder: Path) -> Assignment:
    """Read who has which case from the published lists in ``folder``.

    Raises:
        InputError: a list is missing or damaged, or they are not the published ones any more.
    """
    try:
        lists = {site: load_datalist(folder / f"{site}.json", folder) for site in SITES}
    except InputError as error:
        raise InputError(
            f"{folder} lacks a published list, or one is damaged; get the folder from the project again."
        ) from error
    assignment = {site: _names(found.training) for site, found in lists.items()}
    shared = {_names(found.validation) for found in lists.values()}
    assignment[VALIDATION] = next(iter(shared))
    sizes = {part: len(set(names)) for part, names in assignment.items()}
    if sizes != SIZES or len(shared) > 1 or len(_everyone(assignment)) != sum(SIZES.values()):
        raise InputError(
            f"{folder} holds {', '.join(f'{size} cases for {part}' for part, size in sizes.items())}; expected the "
            f"published {', '.join(map(str, SIZES.values()))}, each case once and one validation list: get the folder "
            "from the project again."
        )
    return assignment


def published_split(cases: Sequence[CaseFiles], assignment: Assignment) -> Split[CaseFiles]:
    """Give each part those of its published cases that are there; cases that were not published go to no part.

    Raises:
        InputError: a part gets no case.
    """
    there = {case.name: case for case in cases}
    if not there.keys() & _everyone(assignment):
        raise InputError(
            f"None of the {counted(len(cases), 'case')}, such as {cases[0].name}, is one of the published lists, such "
            f"as {assignment[VALIDATION][0]}; give a tree of BraTS 2018, or choose another way such as --by iid."
        )
    parts = {part: tuple(there[name] for name in names if name in there) for part, names in assignment.items()}
    empty = [part for part, found in parts.items() if not found]
    if empty:
        raise InputError(
            f"No case is there for {empty[0]}: expected some of {_shown(assignment[empty[0]])}; add them, or choose "
            "another way such as --by iid."
        )
    return Split({site: parts[site] for site in SITES}, parts[VALIDATION])


def differences(cases: Sequence[CaseFiles], assignment: Assignment) -> list[str]:
    """A sentence on the published cases that are not there, and one on the cases there that were not published."""
    published, there = _everyone(assignment), {case.name for case in cases}
    sentences = []
    if missing := sorted(published - there):
        sentences.append(
            f"the lists leave out {len(missing)} of the {len(published)} published cases, which are not there: "
            f"{_shown(missing)}; add them before you compare with published results."
        )
    if unknown := sorted(there - published):
        sentences.append(
            f"the lists leave out {len(unknown)} of the {len(there)} cases there, which the published ones do not "
            f"name: {_shown(unknown)}; to use them choose another way such as --by iid."
        )
    return sentences


def _names(cases: Sequence[Case]) -> tuple[str, ...]:
    return tuple(case.name for case in cases)


def _everyone(assignment: Assignment) -> set[str]:
    return {name for names in assignment.values() for name in names}


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
