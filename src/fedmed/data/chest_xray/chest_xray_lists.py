"""The lists of a split of chest films: of each site, of all and of the test, and the record with its findings."""

import json
from pathlib import Path

from fedmed.core.options import to_plain
from fedmed.data.chest_xray.chest_xray_split import AGE, VIEW, ChestXraySplitOptions, facts_of_films, part_films
from fedmed.data.chest_xray.film import Film
from fedmed.data.chest_xray.film_tables import VIEWS
from fedmed.data.chest_xray.finding_counts import counts_document
from fedmed.data.splits.partition import Split
from fedmed.data.splits.site_lists import write_site_lists
from fedmed.data.splits.split_files import split_files
from fedmed.data.splits.split_picture import Drawn
from fedmed.data.splits.split_record import as_json

DRAWN = Drawn(VIEW, AGE, "age", "years", VIEWS, "films")
"""The facts in the picture of a split."""


def write_chest_xray_lists(
    folder: Path, root: Path, split: Split[Film], options: ChestXraySplitOptions, *, caption: str, replace: bool
) -> None:
    """Write the lists, ``split.json`` with the findings and their pairs in each part, and ``split.png``.

    Args:
        folder: of the lists.
        root: the set's folder.
        split: the split.
        options: by which it was made, completed.
        caption: of the picture.
        replace: whether other lists in the folder may be replaced.

    Raises:
        InputError: the folder is a file, or has lists of another split and ``replace`` is false.
    """
    besides = split_files(split, to_plain(options), facts_of_films, DRAWN, root, caption=caption, group=VIEW)
    counts = {name: counts_document(films) for name, films in part_films(split).items()}
    besides["split.json"] = as_json({**json.loads(besides["split.json"]), "counts": counts})
    validation = {site: split.validation_of(site) for site in split.sites}
    write_site_lists(
        folder, split.sites, validation, root, replace=replace, besides=besides, testing=split.own_test or {}
    )
