"""The lists of a split of the lower-grade glioma set, whose cases are slices, with the split's record by patient."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.options import to_plain
from fedmed.data.datalist import TEST_LIST, list_json
from fedmed.data.lgg.institutions import INSTITUTIONS, institution_facts
from fedmed.data.lgg.lgg_layout import LggPatient, LggSlice
from fedmed.data.lgg.lgg_split import INSTITUTION, TUMOUR, facts_of_scans
from fedmed.data.lgg.lgg_split_options import LggSplitOptions
from fedmed.data.lgg.scan_facts import ScanFacts
from fedmed.data.splits.partition import Split
from fedmed.data.splits.site_lists import write_site_lists
from fedmed.data.splits.split_files import record_files
from fedmed.data.splits.split_picture import Drawn
from fedmed.data.splits.split_record import holdout_document

DRAWN = Drawn(INSTITUTION, TUMOUR, "tumour", "% of the head", tuple(INSTITUTIONS), "patients")
"""The facts in the picture of a split."""

FOLD = "fold-{number}"
"""The folder of a fold's lists."""


def write_lgg_lists(
    folder: Path,
    root: Path,
    split: Split[LggPatient],
    options: LggSplitOptions,
    facts: Mapping[str, ScanFacts],
    *,
    caption: str,
    replace: bool,
) -> None:
    """Write the lists of the sites, of all and of the test, with ``split.json`` and ``split.png``.

    Args:
        folder: of the lists.
        root: the set's folder.
        split: the split, of patients.
        options: by which it was made, completed.
        facts: of each patient's scan by the folder's name.
        caption: of the picture.
        replace: whether other lists in the folder may be replaced.

    Raises:
        InputError: the folder is a file, or has lists of another split and ``replace`` is false.
    """
    besides = record_files(
        split, to_plain(options), facts_of_scans(facts), DRAWN, caption=caption, group=INSTITUTION
    )  # fmt: skip
    if split.test:
        besides[TEST_LIST] = list_json(holdout_document(slices_of(split.test), root))
    validation = {site: slices_of(split.validation_of(site)) for site in split.sites}
    write_site_lists(
        folder, _slices(split.sites), validation, root, replace=replace, besides=besides,
        testing=_slices(split.own_test or {}),
        facts={site: {"hospital": _hospital(group)} for site, group in split.groups.items()},
    )  # fmt: skip


def write_fold_lists(
    folder: Path, root: Path, splits: Sequence[Split[LggPatient]], options: LggSplitOptions,
    facts: Mapping[str, ScanFacts], *, caption: str, replace: bool,
) -> None:  # fmt: skip
    """Write the lists of each fold to ``folder/fold-1`` and so on, with the arguments of :func:`write_lgg_lists`.

    Raises:
        InputError: ``folder`` is a file or has folds that may not be replaced, or more of them than there are splits.
    """
    names = [FOLD.format(number=number) for number in range(1, len(splits) + 1)]
    _require_room(folder, names, replace)
    for name, split in zip(names, splits, strict=True):
        title = f"{caption}, {name} of {len(splits)}"
        write_lgg_lists(folder / name, root, split, options, facts, caption=title, replace=replace)


def _require_room(folder: Path, names: Sequence[str], replace: bool) -> None:
    """Refuse, before anything is written, a folder with folds that may not be replaced or would be left over."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the folds.")
    there = sorted(path.name for path in folder.glob(FOLD.format(number="*")))
    stale = [name for name in there if not replace or name not in names]
    if stale:
        remedy = "remove them" if replace else "choose another folder, or use --force to replace them"
        raise InputError(f"{folder} already holds {', '.join(stale)}; nothing is overwritten: {remedy}.")


def slices_of(patients: Sequence[LggPatient]) -> list[LggSlice]:
    """The slices of patients, in their order."""
    return [each for patient in patients for each in patient.slices]


def _slices(parts: Mapping[str, Sequence[LggPatient]]) -> dict[str, list[LggSlice]]:
    return {site: slices_of(patients) for site, patients in parts.items()}


def _hospital(group: str) -> dict[str, Any]:
    """The facts of a site's institution, or of those that are merged in it."""
    each = [institution_facts(code) for code in group.split("+")]
    return {"name": " and ".join(one["name"] for one in each), "code": group}
