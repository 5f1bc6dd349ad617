"""Near copies among the images of a set: groups, those of several classes or hospitals, copies of test images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedmed.data.audit.perceptual_hash import first_of_group, near_pairs
from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.brain_mri.picture_facts import PictureFacts


@dataclass(frozen=True)
class Copies:
    """The images by their groups.

    Attributes:
        images: each with its group.
        pairs: the near pairs of images, the earlier one first; an image may be in a group by way of others.
    """

    images: tuple[BrainImage, ...]
    pairs: tuple[tuple[BrainImage, BrainImage], ...]

    @property
    def groups(self) -> list[list[BrainImage]]:
        """The groups, those of one image too, by their first image."""
        groups: dict[int, list[BrainImage]] = {}
        for image in self.images:
            groups.setdefault(image.group, []).append(image)
        return [*groups.values()]

    @property
    def mixed(self) -> list[list[BrainImage]]:
        """The groups whose images are not all of one class."""
        return [group for group in self.groups if len({image.label for image in group}) > 1]

    @property
    def across(self) -> dict[tuple[str, str], int]:
        """The number of near pairs by their hospitals."""
        return dict(Counter((one.hospital, other.hospital) for one, other in self.pairs))

    @property
    def tested_twins(self) -> dict[str, list[str]]:
        """The files of the published test that have copies in training, with those."""
        found: dict[str, list[str]] = {}
        for group in self.groups:
            twins = [image.file for image in group if not image.official_test]
            found |= {image.file: twins for image in group if image.official_test and twins}
        return found


def find_copies(images: Sequence[BrainImage], facts: Mapping[str, PictureFacts]) -> Copies:
    """The groups of near copies among images whose facts are known: alike to the eye, or mirrored and turned copies."""
    hashes = [facts[image.file].perceptual for image in images]
    near = near_pairs([None if found is None else int(found, 16) for found in hashes])
    same = _same([facts[image.file].fingerprint for image in images])
    pairs = np.unique(np.concatenate([near, same]), axis=0)
    firsts = first_of_group(len(images), pairs)
    grouped = tuple(replace(image, group=images[first].index) for image, first in zip(images, firsts, strict=True))
    return Copies(grouped, tuple((grouped[one], grouped[other]) for one, other in pairs.tolist()))


def _same(fingerprints: Sequence[str | None]) -> NDArray[np.int64]:
    """The pairs (P, 2) of each place whose fingerprint stands at an earlier place, with the first such place."""
    first: dict[str, int] = {}
    pairs = [
        (before, place)
        for place, each in enumerate(fingerprints)
        if each is not None and (before := first.setdefault(each, place)) != place
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def one_of_each(copies: Copies) -> tuple[tuple[BrainImage, ...], dict[str, str]]:
    """One image of each group, and the reason why each of the others is left out, by its file.

    The first image stays, so that of the hospital that is named first. Groups of several classes are left out whole, as
    nobody can say which class is right. The published test is not touched: its images all stay, and training images of
    their groups go.
    """
    left_out: dict[str, str] = {}
    for group in copies.groups:
        left_out |= _left_out_of(group)
    return tuple(image for image in copies.images if image.file not in left_out), left_out


def _left_out_of(group: Sequence[BrainImage]) -> dict[str, str]:
    """The images of a group that do not stay, and why."""
    classes = sorted({image.label for image in group})
    tested = [image.file for image in group if image.official_test]
    if len(classes) > 1:
        stay, why = tested, f"its copies are of the classes {', '.join(classes)}"
    else:
        stay = tested or [group[0].file]
        why = f"copy of {stay[0]}"
    return {image.file: why for image in group if image.file not in stay}
