"""The lists of a study of the lower-grade glioma set: folds by institution, and splits that leave one out."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from fedmed.core.errors import InputError
from fedmed.core.files import staging_folder
from fedmed.core.options import to_plain
from fedmed.core.progress import waiting
from fedmed.data.lgg.lgg_layout import LggTree, find_lgg
from fedmed.data.lgg.lgg_lists import write_fold_lists, write_lgg_lists
from fedmed.data.lgg.lgg_split import fold_splits, split_lgg
from fedmed.data.lgg.lgg_split_options import LggSplitOptions
from fedmed.data.lgg.scan_facts import ScanFacts, measured_scans
from fedmed.data.phantoms.phantom import dataset_title

FOLDS, HOLD_OUT = "folds", "hold_out"
"""The parts of the study."""

WITHOUT = "without-{code}"
"""The folder of the lists that leave an institution out."""

Scans = Callable[[], Mapping[str, ScanFacts]]
"""Reads every slice of the set, once."""


def made_lists(
    root: Path, place: Path, parts: Sequence[str], folds: int, hold_out: Sequence[str] | None
) -> dict[str, list[Path]]:
    """The folders of lists of each part, made where they are missing.

    Args:
        root: the set.
        place: gets the folders ``folds`` and ``without-<code>``.
        parts: :data:`FOLDS`, :data:`HOLD_OUT` or both.
        folds: their number.
        hold_out: the institutions that are left out in turn; None is each that is large enough to be a site.

    Raises:
        InputError: the set or an option cannot be used, or the folder has lists of other options.
    """
    tree = find_lgg(root)
    scans = _reading(tree)
    found = {}
    if FOLDS in parts:
        found[FOLDS] = _made_folds(tree, place / FOLDS, LggSplitOptions(folds=folds).completed(), scans)
    if HOLD_OUT in parts:
        codes = hold_out or sites_of(tree)
        found[HOLD_OUT] = [
            _made_without(tree, place, LggSplitOptions(hold_out=code).completed(), scans) for code in codes
        ]
    return found


def sites_of(tree: LggTree) -> list[str]:
    """The institutions with enough patients to be a site."""
    fewest = LggSplitOptions().completed().fewest or 1
    return [code for code, patients in tree.institutions.items() if len(patients) >= fewest]


def _reading(tree: LggTree) -> Scans:
    @cache
    def scans() -> Mapping[str, ScanFacts]:
        with waiting(f"reading the slices of {len(tree.patients)} patients"):
            return measured_scans(tree.patients)

    return scans


def _made_folds(tree: LggTree, place: Path, options: LggSplitOptions, scans: Scans) -> list[Path]:
    names = [f"fold-{number}" for number in range(1, (options.folds or 0) + 1)]
    if not place.exists():
        splits = fold_splits(tree.patients, options, scans())
        with staging_folder(place) as stage:
            write_fold_lists(stage, tree.root, splits, options, scans(), caption=_caption(tree), replace=False)
            stage.rename(place.resolve())
    for name in names:
        _expect_options(place / name, options)
    return [place / name for name in names]


def _made_without(tree: LggTree, place: Path, options: LggSplitOptions, scans: Scans) -> Path:
    folder = place / WITHOUT.format(code=options.hold_out)
    if not folder.exists():
        split = split_lgg(tree.patients, options, scans())
        with staging_folder(folder) as stage:
            write_lgg_lists(stage, tree.root, split, options, scans(), caption=_caption(tree), replace=False)
            stage.rename(folder.resolve())
    _expect_options(folder, options)
    return folder


def _caption(tree: LggTree) -> str:
    return f"{dataset_title(tree.root)}, {len(tree.patients)} patients"


def _expect_options(lists: Path, options: LggSplitOptions) -> None:
    """Refuse lists that were made with other options, or by others.

    Raises:
        InputError: they were.
    """
    record = lists / "split.json"
    try:
        made_with = json.loads(record.read_text(encoding="utf-8"))["options"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{record} is no record of a split ({error}); remove {lists.parent}, or name another folder with --work."
        ) from error
    if made_with != to_plain(options):
        raise InputError(f"{lists} has the lists of another split; name another folder with --work, or remove it.")
