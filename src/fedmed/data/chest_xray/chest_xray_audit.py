"""The audit of a set of chest films, as sentences, as tables and as JSON."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError, counted
from fedmed.data.audit.measured_files import MeasuredFiles
from fedmed.data.audit.perceptual_hash import near_pairs
from fedmed.data.chest_xray.chest_xray_layout import TEST_PART, ChestXrayTree
from fedmed.data.chest_xray.film import Film
from fedmed.data.chest_xray.film_facts import FilmFacts
from fedmed.data.chest_xray.film_tables import named
from fedmed.data.chest_xray.finding_counts import (
    counts_document,
    counts_table,
    pairs_line,
    together_table,
    without_positives,
)
from fedmed.data.chest_xray.orientation import site_warnings
from fedmed.data.datalist import ALL_SITES, SPLITS, load_datalist

TRAINING, _ = SPLITS

PLAIN_MODES = ("L", "RGB", "DICOM")
"""The colour modes that films usually have; others are converted."""

LEAST_BORDER = 0.05
"""The share of an edge from which on a border is told of."""

SAME_BITS = 0
"""Bits in which the hashes of films of two patients may differ to be one film: chests look alike, and two are many."""

MOST_NAMED = 8
"""Films that a sentence names; the JSON has all."""

WHOLE_SET = "the set"
"""Stands in a site's place where no lists are given."""

Lists = Mapping[str, Mapping[str, Sequence[Film]]]
"""The films of each split of each site."""


@dataclass(frozen=True)
class ChestXrayAudit:
    """A set, the facts of those of its films that were looked at, and the sites' lists; none without lists."""

    tree: ChestXrayTree
    measured: MeasuredFiles[FilmFacts]
    lists: Lists

    @property
    def sites(self) -> dict[str, list[Film]]:
        """The films of each site, in all of its splits; those of the whole set without lists."""
        if not self.lists:
            return {WHOLE_SET: [*self.tree.films]}
        return {site: [film for films in splits.values() for film in films] for site, splits in self.lists.items()}

    def errors(self) -> list[str]:
        """A sentence on each film that cannot be read."""
        return [*self.measured.unreadable.values()]

    def warnings(self) -> list[str]:
        """A sentence on each oddity."""
        return [
            *self.tree.odd, *self._absent(), *without_positives(self.sites), *self._sides(), *self._forms(),
            *self._sizes(), *self._modes(), *self._borders(), *self._copies(),
        ]  # fmt: skip

    def _absent(self) -> Iterator[str]:
        if self.tree.absent:
            yield f"{counted(len(self.tree.absent), 'listed film')} not there: {named(self.tree.absent)}."

    def _sides(self) -> Iterator[str]:
        """Patients on two sides of the published lists, or of the sites' own."""
        published: dict[str, list[Film]] = {}
        for film in self.tree.films:
            if film.part:
                side = "test" if film.part == TEST_PART else "training"
                published.setdefault(f"the published {side}", []).append(film)
        for parts in (published, self._own_sides()):
            for places, patients in _on_two_sides(parts).items():
                yield f"{counted(len(patients), 'patient')} with films in {' and in '.join(places)}: {named(patients)}."

    def _own_sides(self) -> dict[str, list[Film]]:
        """The training films of each site, and those on which any site validates or tests."""
        sides: dict[str, list[Film]] = {}
        for site, splits in self.lists.items():
            for split, films in splits.items():
                side = f"training of {site}" if split == TRAINING else split
                sides.setdefault(side, []).extend(films)
        return sides

    def _forms(self) -> Iterator[str]:
        """Films that look sideways or inverted: sites first, then the films."""
        for site, films in self.sites.items():
            yield from site_warnings(site, [facts.orientation for film in films if (facts := self._facts(film))])
        forms: dict[str, list[str]] = {}
        for file, facts in self.measured.facts.items():
            if facts.orientation and facts.orientation.suspicious:
                forms.setdefault(facts.orientation.form, []).append(file)
        for form, files in forms.items():
            yield f"{counted(len(files), 'film')} may be {form}, look at them: {named(files, MOST_NAMED)}."

    def _sizes(self) -> Iterator[str]:
        sizes = Counter(_size(facts) for facts in self.measured.facts.values())
        if len(sizes) > 1:
            usual, count = sizes.most_common(1)[0]
            others = [file for file, facts in self.measured.facts.items() if _size(facts) != usual]
            yield f"Films of {len(sizes)} sizes: {count} of {usual}, {len(others)} others: {named(others, MOST_NAMED)}."

    def _modes(self) -> Iterator[str]:
        for mode in sorted({facts.mode for facts in self.measured.facts.values()} - {*PLAIN_MODES}):
            files = [file for file, facts in self.measured.facts.items() if facts.mode == mode]
            yield f"{counted(len(files), 'film')} in the mode {mode}, converted to grey: {named(files)}."

    def _borders(self) -> Iterator[str]:
        files = [file for file, facts in self.measured.facts.items() if facts.border >= LEAST_BORDER]
        if files:
            yield (
                f"{counted(len(files), 'film')} with a burned-in border of {100 * LEAST_BORDER:.0f} % of an edge or "
                f"more: {named(files, MOST_NAMED)}."
            )
        empty = [file for file, facts in self.measured.facts.items() if facts.perceptual is None]
        if empty:
            yield f"{counted(len(empty), 'film')} of one grey value, in which nothing is to be seen: {named(empty)}."

    def _copies(self) -> Iterator[str]:
        same = self.copies()
        across = [pair for pair in same if pair[0].patient != pair[1].patient]
        for pairs, whose in ((across, "of two patients"), ([p for p in same if p not in across], "of one patient")):
            if pairs:
                shown = [f"{one.file} and {other.file}" for one, other in pairs]
                yield f"{counted(len(pairs), 'pair')} of films {whose} that are one film: {named(shown)}."

    def copies(self) -> list[tuple[Film, Film]]:
        """The pairs of films with one fingerprint, or with one perceptual hash in any mirrored form."""
        known = [(film, facts) for film in self.tree.films if (facts := self._facts(film))]
        pairs = {
            (one, other) for one, other in near_pairs([facts.perceptual for _, facts in known], SAME_BITS).tolist()
        }
        first: dict[str, int] = {}
        for place, (_, facts) in enumerate(known):
            if facts.fingerprint and first.setdefault(facts.fingerprint, place) != place:
                pairs.add((first[facts.fingerprint], place))
        return [(known[one][0], known[other][0]) for one, other in sorted(pairs)]

    def _facts(self, film: Film) -> FilmFacts | None:
        return self.measured.facts.get(film.file)

    def document(self) -> dict[str, Any]:
        """The whole audit as JSON values."""
        return {
            "tree": str(self.tree.root),
            "tables": self.tree.read,
            "boxes": self.tree.boxes,
            "absent": [*self.tree.absent],
            "sites": {site: counts_document(films) for site, films in self.sites.items()},
            "warnings": self.warnings(),
            "unreadable": self.measured.unreadable,
            "copies": [[one.file, other.file] for one, other in self.copies()],
            "films": {file: _document(facts) for file, facts in self.measured.facts.items()},
        }


def chest_xray_audit_text(audit: ChestXrayAudit) -> str:
    """A text of the tables that were read, the findings of each site, and those that come together."""
    read = [f"  {name}: {counted(number, 'film')}" for name, number in audit.tree.read.items()]
    boxes = (
        [] if audit.tree.boxes is None else [f"  {counted(audit.tree.boxes, 'box').replace('boxs', 'boxes')} listed"]
    )
    looked = f"{counted(len(audit.tree.films), 'film')}, {len(audit.measured.facts)} of them looked at"
    pairs = [pairs_line(site, films) for site, films in audit.sites.items()]
    tables = [counts_table(audit.sites), "", "Films with both findings:", together_table(audit.tree.films), "", *pairs]
    return "\n".join([f"{audit.tree.root}: {looked}", *read, *boxes, "", *tables])


def site_lists_of(folder: Path, tree: ChestXrayTree) -> Lists:
    """The films of the sites' lists of a folder, without those of ``site-All``.

    Raises:
        InputError: the folder has no list, a list cannot be read, or it names a film that the set does not list.
    """
    paths = [path for path in sorted(folder.glob("site-*.json")) if path.stem != ALL_SITES]
    if not paths:
        raise InputError(f"{folder} has no list of a site (site-1.json ...); give the folder that split wrote.")
    known = {film.path: film for film in tree.films}
    return {path.stem: _films_of_list(path, tree.root, known) for path in paths}


def _films_of_list(path: Path, root: Path, known: Mapping[Path, Film]) -> dict[str, list[Film]]:
    splits = load_datalist(path, root).splits
    unknown = [case.name for cases in splits.values() for case in cases if case.images[0] not in known]
    if unknown:
        raise InputError(
            f"{path} names {named(unknown)}, which {root} does not list or have; expected lists of this set."
        )
    return {split: [known[case.images[0]] for case in cases] for split, cases in splits.items()}


def _on_two_sides(parts: Mapping[str, Sequence[Film]]) -> dict[tuple[str, ...], list[str]]:
    """The patients with films in two parts or more, by these."""
    seen: dict[str, set[str]] = {}
    for part, films in parts.items():
        for film in films:
            seen.setdefault(film.patient, set()).add(part)
    found: dict[tuple[str, ...], list[str]] = {}
    for patient, places in seen.items():
        if len(places) > 1:
            found.setdefault(tuple(sorted(places)), []).append(patient)
    return found


def _size(facts: FilmFacts) -> str:
    return f"{facts.width} x {facts.height}"


def _document(facts: FilmFacts) -> dict[str, Any]:
    hashed = None if facts.perceptual is None else f"{facts.perceptual[0]:016x}"
    form = facts.orientation.form if facts.orientation and facts.orientation.suspicious else ""
    return {**asdict(facts), "perceptual": hashed, "suspicion": form}
