"""The lists of a split: one for each site and one with everybody's.

All are made before the first one is put in place. Each is then put there whole, and lists of an earlier split that have
no successor go last, so that an interruption may leave old lists beside new ones but never none.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.files import staging_folder
from fedmed.data.datalist import ALL_SITES, TEST_LIST, TEST_WITHOUT_COPIES, write_datalist
from fedmed.data.splits.partition import L


def write_site_lists(
    folder: Path,
    sites: Mapping[str, Sequence[L]],
    validation: Sequence[L] | Mapping[str, Sequence[L]],
    root: Path,
    label_scheme: str | None = None,
    replace: bool = False,
    besides: Mapping[str, bytes] | None = None,
    testing: Mapping[str, Sequence[L]] | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write ``<site>.json`` for each site and ``site-All.json`` with all their cases.

    Args:
        folder: the folder of the lists; made if need be, and files in it that are no lists stay.
        sites: the training cases of each site; at least one case.
        validation: the cases that every list has for validation, or those of each site; site-All has them all.
        root: the dataset folder to which the paths in the lists are relative.
        label_scheme: the scheme of all the cases, where the dataset has several.
        replace: whether lists that are there and differ may be replaced; those that the new split lacks are removed.
        besides: further files to write with the lists, by name.
        testing: the test cases of each site; site-All has them all.
        facts: what the list of a site states of it, as JSON values.

    Raises:
        InputError: ``folder`` is a file, or has lists of another split and ``replace`` is false.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the lists.")
    own = validation if isinstance(validation, Mapping) else dict.fromkeys(sites, validation)
    stated = facts or {}
    with staging_folder(folder, inside=True) as stage:
        for site, parts in _with_all_sites(sites, own, testing or {}).items():
            training, validating, held_out = (_entries(part, root) for part in parts)
            write_datalist(stage / f"{site}.json", training, validating, label_scheme, held_out, stated.get(site))
        for name, content in (besides or {}).items():
            (stage / name).write_bytes(content)
        _put_in_place(stage, folder, replace)


def _entries(cases: Sequence[L], root: Path) -> list[dict[str, Any]]:
    return [case.entry(root) for case in cases]


def _with_all_sites(*parts: Mapping[str, Sequence[L]]) -> dict[str, list[Sequence[L]]]:
    """The cases of each part by site; the sites are the first part's, and ``ALL_SITES``, which has all their cases."""
    lists: dict[str, list[Sequence[L]]] = {site: [part.get(site, ()) for part in parts] for site in parts[0]}
    return {**lists, ALL_SITES: [_united(part) for part in parts]}


def lists_in(folder: Path) -> list[Path]:
    """The lists of sites and of test cases that ``folder`` holds; beside those of another split they would mix two."""
    tests = (folder.glob(name) for name in (TEST_LIST, TEST_WITHOUT_COPIES))
    return sorted([*folder.glob("site-*.json"), *chain(*tests)])


def _put_in_place(stage: Path, folder: Path, replace: bool) -> None:
    """Move the files of ``stage`` up into ``folder``, then remove its lists that ``stage`` lacks."""
    stale = [path for path in lists_in(folder) if not (stage / path.name).exists()]
    if not replace:
        _refuse_different(folder, stage, stale)
    for path in sorted(stage.iterdir()):
        path.replace(folder / path.name)
    for path in stale:
        path.unlink()


def _united(parts: Mapping[str, Sequence[L]]) -> list[L]:
    """The cases of all parts, each once, sorted by name."""
    return sorted({case for cases in parts.values() for case in cases}, key=lambda case: case.name)


def _refuse_different(folder: Path, stage: Path, stale: Sequence[Path]) -> None:
    """Refuse when ``folder`` has lists that ``stage`` lacks, or a file of the same name and other contents."""
    different = [
        new.name
        for new in sorted(stage.iterdir())
        if (folder / new.name).exists() and (folder / new.name).read_bytes() != new.read_bytes()
    ]
    different += [path.name for path in stale]
    if different:
        raise InputError(
            f"{folder} already holds other lists: {', '.join(different)}; nothing is overwritten, "
            "so choose another folder, or use --force to replace them."
        )
