"""The files that lie beside a split's lists: its record, its picture and, where there are test cases, their list."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedmed.data.datalist import TEST_LIST, list_json
from fedmed.data.splits.partition import C, FactsOf, L, Split
from fedmed.data.splits.split_picture import Drawn, picture
from fedmed.data.splits.split_record import as_json, holdout_document, split_document


def split_files(
    split: Split[L],
    options: Mapping[str, Any],
    facts_of: FactsOf[L],
    drawn: Drawn,
    root: Path,
    *,
    caption: str,
    group: str = "group",
    label_scheme: str | None = None,
) -> dict[str, bytes]:
    """The contents of the files by name.

    Args:
        split: the split.
        options: the completed options by which it was made, as JSON values.
        facts_of: gives the facts of a case.
        drawn: the facts in the picture.
        root: the dataset folder to which the paths in the list are relative.
        caption: the data of which the split was made, printed under the picture.
        group: the key of a site's group in the record, where sites stand for groups.
        label_scheme: the scheme of the cases, where the dataset has several.
    """
    files = record_files(split, options, facts_of, drawn, caption=caption, group=group)
    if split.test:
        files[TEST_LIST] = list_json(holdout_document(split.test, root, label_scheme))
    return files


def record_files(
    split: Split[C],
    options: Mapping[str, Any],
    facts_of: FactsOf[C],
    drawn: Drawn,
    *,
    caption: str,
    group: str = "group",
) -> dict[str, bytes]:
    """The record and the picture alone, with the arguments of :func:`split_files`."""
    title = "split " + ", ".join(f"{name} {value}" for name, value in options.items() if value is not None)
    return {
        "split.json": as_json(split_document(split, options, facts_of, group)),
        "split.png": picture(split, facts_of, drawn, title, caption),
    }
