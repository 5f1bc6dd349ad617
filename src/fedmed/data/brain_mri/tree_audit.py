"""The audit of a set of brain MR images before it is split: what was found, as sentences, as a table and as JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fedmed.core.errors import counted
from fedmed.data.audit.measured_files import MeasuredFiles
from fedmed.data.audit.perceptual_hash import NEAR
from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.brain_mri.brain_mri_layout import TESTING, TRAINING, BrainMriTree
from fedmed.data.brain_mri.classes import CLASSES
from fedmed.data.brain_mri.copies import Copies, find_copies
from fedmed.data.brain_mri.hospitals import Hospital
from fedmed.data.brain_mri.picture_facts import PictureFacts

MOST_NAMED = 8
"""Files or groups that are named on the screen; the JSON has all."""

PLAIN_MODES = ("L", "RGB")
"""The colour modes that pictures of the eye usually have; others are converted."""


@dataclass(frozen=True)
class TreeAudit:
    """A set, the facts of its files, and the near copies among those that can be read."""

    tree: BrainMriTree
    measured: MeasuredFiles[PictureFacts]
    copies: Copies

    @classmethod
    def of(cls, tree: BrainMriTree, measured: MeasuredFiles[PictureFacts]) -> "TreeAudit":
        """The audit of a set whose files were measured."""
        readable = [image for image in tree.images if image.file in measured.facts]
        return cls(tree, measured, find_copies(readable, measured.facts))

    @property
    def parts(self) -> dict[str, list[BrainImage]]:
        """The images by hospital, or by the folder of the merged set."""
        if self.tree.merged:
            of = {name: name == TESTING for name in (TRAINING, TESTING)}
            return {name: [i for i in self.tree.images if i.official_test == test] for name, test in of.items()}
        return {each.name: [i for i in self.tree.images if i.hospital == each.name] for each in self.tree.hospitals}

    def errors(self) -> list[str]:
        """A sentence on each file that cannot be used."""
        return [*self.measured.unreadable.values()]

    def warnings(self) -> list[str]:
        """A sentence on each oddity."""
        return [*self.tree.odd, *self._classes(), *self._modes(), *self._copies()]

    def _classes(self) -> Iterable[str]:
        for name, images in self.parts.items():
            lacking = [label for label in CLASSES if label not in {image.label for image in images}]
            if lacking:
                yield f"{name} has no {_list(lacking)}: its metrics of {_them(lacking)} are n/a."
            if len(images) < len(CLASSES):
                yield f"{name} has {counted(len(images), 'image')}, fewer than there are classes."

    def _modes(self) -> Iterable[str]:
        facts = self.measured.facts
        for mode in sorted({each.mode for each in facts.values()} - {*PLAIN_MODES}):
            files = [file for file, each in facts.items() if each.mode == mode]
            yield f"{counted(len(files), 'image')} in the colour mode {mode}, which is converted: {named(files)}."

    def _copies(self) -> Iterable[str]:
        many = [group for group in self.copies.groups if len(group) > 1]
        if many:
            yield (
                f"{sum(map(len, many))} images are near copies of each other, in {counted(len(many), 'group')}; split "
                "keeps each group on one side, or with --drop_duplicates one image of it."
            )
        for (one, other), count in sorted(self.copies.across.items()):
            if one != other:
                yield f"{one} and {other} have {counted(count, 'pair')} of near copies: they are not independent."
        mixed = [_first_of_each_class(group) for group in self.copies.mixed]
        if mixed:
            yield (
                f"{counted(len(mixed), 'group')} of near copies of several classes, which --drop_duplicates leaves "
                f"out: {named(mixed)}."
            )
        tested = self.copies.tested_twins
        if tested:
            shown = [f"{file} (of {twins[0]})" for file, twins in tested.items()]
            yield f"{counted(len(tested), 'test image')} with near copies in {TRAINING}: {named(shown)}."

    def document(self) -> dict[str, Any]:
        """The whole audit as JSON values."""
        copies = self.copies
        return {
            "tree": str(self.tree.root),
            "looked_at": [asdict(each) for each in self.tree.looked],
            "hospitals": [each.facts() for each in self.tree.hospitals],
            "parts": {name: self.counts(images) for name, images in self.parts.items()},
            "unreadable": self.measured.unreadable,
            "warnings": self.warnings(),
            "copies": {
                "most_bits_apart": NEAR,
                "groups": len(copies.groups),
                "pairs": len(copies.pairs),
                "pairs_across": {f"{one} | {other}": count for (one, other), count in sorted(copies.across.items())},
                "several_classes": [{image.file: image.label for image in group} for group in copies.mixed],
                "test_images_with_copies_in_training": copies.tested_twins,
                "of_several_images": [[image.file for image in group] for group in copies.groups if len(group) > 1],
            },
        }

    def counts(self, images: Sequence[BrainImage]) -> dict[str, Any]:
        """The numbers of some of the images: of each class, unreadable, of groups, modes, formats and sizes."""
        files = {image.file for image in images}
        facts = [*map(self.measured.facts.__getitem__, sorted(files & set(self.measured.facts)))]
        classes = Counter(image.label for image in images)
        return {
            "images": len(images),
            "unreadable": len(images) - len(facts),
            "classes": {label: classes[label] for label in CLASSES},
            "groups": len({image.group for image in self.copies.images if image.file in files}),
            "modes": _counter(each.mode for each in facts),
            "formats": _counter(each.format for each in facts),
            "sizes": _counter(f"{each.width} x {each.height}" for each in facts),
        }


def audit_table(audit: TreeAudit) -> str:
    """The paths that were tried, then a row for each hospital: images, classes, unreadable ones, modes and sizes."""
    looked = [f"  {each.path}: {each.found}" for each in audit.tree.looked]
    places = {each.name: _place(each) for each in audit.tree.hospitals}
    rows: list[tuple[str, ...]] = [("", "images", *CLASSES, "unreadable", "modes", "sizes", "place")]
    for name, images in audit.parts.items():
        counts = audit.counts(images)
        classes = (str(counts["classes"][label]) for label in CLASSES)
        modes, sizes = _first(counts["modes"], 3), _first(counts["sizes"], 1)
        rows.append(
            (name, str(counts["images"]), *classes, str(counts["unreadable"]), modes, sizes, places.get(name, "-"))
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"{audit.tree.root}:", *looked, "", *table])


def _place(hospital: Hospital) -> str:
    made_up = " (fictional)" if hospital.fictional else ""
    return f"{hospital.location.city}, {hospital.location.country}{made_up}"


def named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    left = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {left} more (in the --report)" if left > 0 else "")


def _first_of_each_class(group: Sequence[BrainImage]) -> str:
    firsts = {image.label: image.file for image in reversed(group)}
    return " and ".join(f"{file} ({label})" for label, file in sorted(firsts.items()))


def _counter(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _first(counts: Mapping[str, int], most: int) -> str:
    shown = ", ".join(f"{value} ({count})" for value, count in [*counts.items()][:most])
    return (shown or "-") + (f" and {len(counts) - most} others" if len(counts) > most else "")


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _them(names: Sequence[str]) -> str:
    return "this class" if len(names) == 1 else "these classes"
