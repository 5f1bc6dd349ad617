"""Splits of brain MR images over sites: by their hospitals, or dealt out evenly, by size or by class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fedmed.core.errors import InputError
from fedmed.core.options import expect, option
from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.brain_mri.picture_facts import PictureFacts
from fedmed.data.splits.partition import FactsOf, Patient, Split, by_patient, sorted_cases
from fedmed.data.splits.partition_ways import iid
from fedmed.data.splits.split_cases import draw_split, hold_out
from fedmed.data.splits.split_choices import DRAWN, completed, plan_of

CLASS, HOSPITAL = "class", "hospital"
"""The names of the facts of an image by which it is split."""

OFFICIAL = "official"
"""The value of --test for the published test set."""

USES: Mapping[str, frozenset[str]] = {
    "hospital": DRAWN,
    "iid": DRAWN | {"sites"},
    "quantity": DRAWN | {"sites", "power"},
    "dirichlet": DRAWN | {"sites", "alpha"},
}
"""The options that each way makes use of."""

DEFAULTS: Mapping[str, Any] = {"sites": 3, "alpha": 0.5, "power": 1.0, "validation_share": 0.15, "seed": 0}

TEST_SHARE = "0.2"


@dataclass(frozen=True)
class BrainMriSplitOptions:
    """The choices of a split. None is the default where the way uses the option; ``completed`` fills it in."""

    by: Literal["hospital", "iid", "quantity", "dirichlet"] | None = option(
        None, "what the sites differ in (default: hospital, or iid for the merged set, which has none)"
    )
    sites: int | None = option(None, "number of sites (default: 3; hospital: as many as there are)")
    alpha: float | None = option(None, "dirichlet: the smaller, the more the sites' classes differ (default: 0.5)")
    power: float | None = option(None, "quantity: site i gets a share proportional to i^-X (default: 1)")
    validation_share: float | None = option(
        None, "share of each site's groups of near copies for validation, after --test (default: 0.15)"
    )
    test: str | float | None = option(
        None, "share of groups that no site trains on, or official: the merged set's Testing (default: 0.2, official)"
    )
    seed: int | None = option(None, "another seed gives another split (default: 0)")
    drop_duplicates: bool = option(
        False, "keep one image of each group of near copies, and none of a group of several classes"
    )
    skip_unreadable: bool = option(False, "leave images out that cannot be read, in place of refusing the set")
    validation: Literal["per_site"] = "per_site"

    def completed(self, merged: bool) -> "BrainMriSplitOptions":
        """These options with the defaults of those that the way uses.

        Args:
            merged: whether the set has a published test, and no hospitals.

        Raises:
            InputError: a value is out of its range, or was given to a way or a set that makes no use of it.
        """
        by = self.by or ("iid" if merged else "hospital")
        expect(not (merged and by == "hospital"), "by", by, "another way, as the merged set names no hospitals")
        test = self.test if self.test is not None else OFFICIAL if merged else TEST_SHARE
        expect(merged or test != OFFICIAL, "test", test, f"a share, as only the merged set has an {OFFICIAL} test")
        return completed(replace(self, by=by, test=_share_or_word(test)), USES, DEFAULTS)


def _share_or_word(test: str | float) -> str | float:
    if test == OFFICIAL:
        return test
    try:
        return float(test)
    except ValueError as error:
        raise InputError(f"--test is {test:.80}; expected {OFFICIAL}, or a share above 0 and below 1.") from error


def facts_of_images(facts: Mapping[str, PictureFacts]) -> FactsOf[BrainImage]:
    """Gives the facts of an image as the record of a split has them."""

    def facts_of(image: BrainImage) -> dict[str, Any]:
        known = facts[image.file]
        hospital = image.hospital or None
        hashes = {"sha256": known.sha256, "perceptual_hash": known.perceptual}
        return {CLASS: image.label, HOSPITAL: hospital, "index": image.index, **hashes}

    return facts_of


def split_brain_mri(
    images: Sequence[BrainImage], options: BrainMriSplitOptions, hospitals: Sequence[str]
) -> Split[BrainImage]:
    """Draw a split of completed options, each image with its group.

    A group of near copies is never taken apart between training, validation and test, of whatever sites; only the
    published test is what it is. Every part has its share of each class. Each site validates on its own images and has
    its own test images: those of its hospital, else an even share of everybody's.

    Args:
        images: those to split.
        options: completed.
        hospitals: the names of the hospitals, in the order of the sites.

    Raises:
        InputError: there are too few groups, of a hospital or in all.
    """
    if options.by == "hospital":
        return _by_hospital(images, options, hospitals)
    official = options.test == OFFICIAL
    groups = by_patient([image for image in images if not (official and image.official_test)], _class_of)
    drawn = draw_split(groups, plan_of(replace(options, test=None) if official else options, options.by, CLASS, CLASS))
    test = sorted_cases(by_patient([image for image in images if image.official_test])) if official else drawn.test
    return replace(drawn, test=test, own_test=_dealt_out(test, [*drawn.sites], options.seed or 0))


def _dealt_out(test: Sequence[BrainImage], sites: Sequence[str], seed: int) -> dict[str, tuple[BrainImage, ...]]:
    """An even share of the test for each site."""
    groups = by_patient(test, _class_of)
    if len(groups) < len(sites):
        raise InputError(
            f"The test has {len(groups)} groups of images for {len(sites)} sites; expected one at least for each, so "
            "take fewer sites or a larger share with --test."
        )
    return dict(zip(sites, iid(groups, len(sites), CLASS, np.random.default_rng(seed)), strict=True))


Parts = dict[str, list[Patient[BrainImage]]]


def _by_hospital(
    images: Sequence[BrainImage], options: BrainMriSplitOptions, hospitals: Sequence[str]
) -> Split[BrainImage]:
    """A site for each hospital; the groups of hospitals that share images are drawn apart from the others.

    What is drawn of a hospital depends on the seed and its own groups alone, so that another hospital changes nothing,
    unless it has copies of them.
    """
    owners: Parts = {}
    for group in by_patient(images, _class_of):
        owners.setdefault("\n".join(sorted({image.hospital for image in group.cases})), []).append(group)
    parts: Parts = {"training": [], "validation": [], "test": []}
    for owner, groups in sorted(owners.items()):
        for name, drawn in zip(parts, _three_parts(groups, options, owner), strict=True):
            parts[name] += drawn
    own = {name: _of_each_hospital(groups, hospitals) for name, groups in parts.items()}
    _require_parts(own, hospitals)
    groups_of = {f"site-{number}": hospital for number, hospital in enumerate(hospitals, start=1)}
    training, validation, test = ({site: of[groups_of[site]] for site in groups_of} for of in own.values())
    return Split(
        training, sorted_cases(parts["validation"]), validation, sorted_cases(parts["test"]), groups_of, own_test=test
    )


def _three_parts(
    groups: list[Patient[BrainImage]], options: BrainMriSplitOptions, owner: str
) -> tuple[list[Patient[BrainImage]], list[Patient[BrainImage]], list[Patient[BrainImage]]]:
    """The groups for training, validation and test."""
    rng = np.random.default_rng([options.seed or 0, *owner.encode()])
    test, rest = hold_out(groups, float(options.test or 0), rng, CLASS, lambda group: "", keep=2)
    validation, training = hold_out(rest, options.validation_share or 0, rng, CLASS, lambda group: "", keep=1)
    return training, validation, test


def _of_each_hospital(
    groups: Sequence[Patient[BrainImage]], hospitals: Sequence[str]
) -> dict[str, tuple[BrainImage, ...]]:
    images = sorted_cases(groups)
    return {hospital: tuple(image for image in images if image.hospital == hospital) for hospital in hospitals}


def _require_parts(parts: Mapping[str, Mapping[str, Sequence[BrainImage]]], hospitals: Sequence[str]) -> None:
    for hospital in hospitals:
        empty = [name for name, images in parts.items() if not images[hospital]]
        if empty:
            images = sum(len(part[hospital]) for part in parts.values())
            raise InputError(
                f"{hospital} has {images} images to split and gets none for {' and '.join(empty)}; expected at least 3 "
                "groups of near copies at each hospital: give it more images, or take it out of the hospitals."
            )


def _class_of(image: BrainImage) -> dict[str, Any]:
    return {CLASS: image.label}
