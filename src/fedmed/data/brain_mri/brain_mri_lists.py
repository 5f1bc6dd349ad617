"""The lists of a split of brain MR images: of each site with its hospital, of everybody's test, and the record."""

import json
from collections.abc import Mapping
from pathlib import Path

from fedmed.core.options import to_plain
from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.brain_mri.brain_mri_split import CLASS, HOSPITAL, BrainMriSplitOptions, facts_of_images
from fedmed.data.brain_mri.classes import CLASSES
from fedmed.data.brain_mri.hospitals import Hospital
from fedmed.data.brain_mri.picture_facts import PictureFacts
from fedmed.data.datalist import TEST_WITHOUT_COPIES, list_json
from fedmed.data.splits.partition import Split
from fedmed.data.splits.site_lists import write_site_lists
from fedmed.data.splits.split_files import split_files
from fedmed.data.splits.split_picture import Drawn
from fedmed.data.splits.split_record import as_json, holdout_document

DRAWN = Drawn(CLASS, texts=CLASSES)
"""The facts in the picture of a split."""


def write_brain_mri_lists(
    folder: Path,
    root: Path,
    split: Split[BrainImage],
    options: BrainMriSplitOptions,
    facts: Mapping[str, PictureFacts],
    *,
    caption: str,
    hospitals: Mapping[str, Hospital],
    tested_twins: Mapping[str, object],
    left_out: Mapping[str, str],
    replace: bool,
) -> None:
    """Write the lists, ``split.json`` and ``split.png``; for the published test also the list of test images alone.

    Args:
        folder: of the lists.
        root: the set's folder.
        split: the split.
        options: by which it was made, completed.
        facts: of each image by its file.
        caption: of the picture.
        hospitals: by name.
        tested_twins: the files of the published test that have near copies in training.
        left_out: the reason for each image that no list has, by its file.
        replace: whether other lists in the folder may be replaced.

    Raises:
        InputError: the folder is a file, or has lists of another split and ``replace`` is false.
    """
    about = {"caption": caption, "group": HOSPITAL}
    besides = split_files(split, to_plain(options), facts_of_images(facts), DRAWN, root, **about)
    record = json.loads(besides["split.json"])
    besides["split.json"] = as_json({**record, "left_out": dict(left_out)})
    if any(image.official_test for image in split.test):
        alone = tuple(image for image in split.test if image.file not in tested_twins)
        if alone:
            besides[TEST_WITHOUT_COPIES] = list_json(holdout_document(alone, root))
    stated = {site: {"hospital": hospitals[name].facts()} for site, name in split.groups.items()}
    validation = split.own_validation or {}
    write_site_lists(
        folder, split.sites, validation, root, replace=replace, besides=besides, testing=split.own_test, facts=stated
    )
