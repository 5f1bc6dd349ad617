"""The cases on which a model is scored after a run, with the sites that list them; their files are checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedmed.core.errors import InputError
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.audit.finding import refuse_errors
from fedmed.data.audit.site_audit import audit_site
from fedmed.data.datalist import ALL_SITES, TEST, TEST_LIST, TESTING, Case, datalist_path, lists_with, load_split
from fedmed.data.phantoms.phantom import dataset_title
from fedmed.experiment import Experiment
from fedmed.tasks.base import Task

SHARED = "shared"
"""Stands for the site of a case that several sites' lists name, or that is none's, as test cases are."""

Split = Literal["validation", "test"]


@dataclass(frozen=True)
class EvaluationCases:
    """The cases to score, as ``Task.scored`` gives them, each once, in the order of the lists."""

    cases: tuple[Case, ...]
    of_site: Mapping[str, tuple[Case, ...]]  # the cases of each site's own list
    label_scheme: str | None
    data: str  # the dataset in words

    @property
    def site_of(self) -> dict[str, str]:
        """The one site whose list names a case, or ``SHARED``, by case name."""
        sites: dict[str, list[str]] = {case.name: [] for case in self.cases}
        for site, cases in self.of_site.items():
            for case in cases:
                sites[case.name].append(site)
        return {case: found[0] if len(found) == 1 else SHARED for case, found in sites.items()}


def evaluation_cases(
    task: Task, dataset: Path, lists: Path, sites: Sequence[str], split: Split, book: FactsBook | None = None
) -> EvaluationCases:
    """The validation cases of some sites, or the test cases that no site trains or validates on; checked.

    Test cases are those of all lists of the folder that have any, each of the site whose list it is, whatever sites a
    run was made on: the cases of site-All, too, are the other sites'. Where no site's list has any they are those of
    ``test.json``, which are no site's.

    Args:
        task: states the rules of a case.
        dataset: the folder that the lists' paths start in.
        lists: the folder of the lists, or one list.
        sites: the sites whose lists are read, where ``lists`` is a folder.
        split: ``validation``, or ``test`` for what lists have under ``testing``.
        book: facts of files that were measured before.

    Raises:
        InputError: a list or a case cannot be used, the lists state different label schemes, or two cases have one
            name.
    """
    files = lists_of_tests(lists) if split == TEST else _by_file(lists, sites)
    of_site: dict[str, tuple[Case, ...]] = {}
    schemes, every = set(), list[Case]()
    for path, listing in files.items():
        listed, scheme = load_split(path, dataset, TESTING if split == TEST else split)
        _audit(task, path, {split: listed}, scheme, book)
        found = task.scored(listed)
        schemes.add(scheme)
        every += found
        of_site |= dict.fromkeys(listing, found)
    if len(schemes) > 1:
        raise InputError(f"The sites' lists state different label schemes ({schemes}); score them apart.")
    if split == TEST and lists.is_file():
        of_site = _of_sites_beside(task, lists, every, dataset)
    return EvaluationCases(_distinct(every), of_site, schemes.pop(), dataset_title(dataset))


def validation_cases(experiment: Experiment, book: FactsBook | None = None) -> EvaluationCases:
    """The validation cases of an experiment's sites, checked.

    Raises:
        InputError: as :func:`evaluation_cases`.
    """
    dataset, lists = experiment.data.resolved()
    return evaluation_cases(experiment.task, dataset, lists, experiment.training.sites, "validation", book)


def _by_file(lists: Path, sites: Sequence[str]) -> dict[Path, list[str]]:
    """The sites of each list; a file that is given itself is of the site it is named after."""
    if lists.is_file():
        return {lists: [lists.stem]}
    found: dict[Path, list[str]] = {}
    for site in sites:
        found.setdefault(datalist_path(lists, site), []).append(site)
    return found


def lists_of_tests(lists: Path) -> dict[Path, list[str]]:
    """The lists that have test cases, with the site of each; ``test.json`` and a file that is given are no site's.

    Raises:
        InputError: there is none.
    """
    if lists.is_file():
        return {lists: []}
    own = _own_test_lists(lists)
    if not own and not (lists / TEST_LIST).is_file():
        raise InputError(
            f'There is no list of test cases: {lists / TEST_LIST} is not there, nor has a site\'s list "{TESTING}"; '
            "make one with prepare.py split --test, or name the list with --datalist."
        )
    return {path: [site] for site, path in own.items()} or {lists / TEST_LIST: []}


def has_test_cases(lists: Path) -> bool:
    """True where a site's list of a folder, or the list that is given itself, has test cases."""
    return lists.stem in lists_with(lists.parent, TESTING) if lists.is_file() else bool(lists_with(lists, TESTING))


def _own_test_lists(folder: Path) -> dict[str, Path]:
    """The sites' lists that have test cases; site-All, which has the others' once more, only where it is alone."""
    found = lists_with(folder, TESTING)
    return {site: path for site, path in found.items() if site != ALL_SITES} or found


def _of_sites_beside(task: Task, file: Path, cases: Sequence[Case], dataset: Path) -> dict[str, tuple[Case, ...]]:
    """The test cases of a file by site, as far as the sites' lists beside it have them."""
    listed = {
        site: {case.images for case in task.scored(load_split(path, dataset, TESTING)[0])}
        for site, path in _own_test_lists(file.parent).items()
    }
    found = {site: tuple(case for case in cases if case.images in own) for site, own in listed.items()}
    return {site: own for site, own in found.items() if own}


def _audit(
    task: Task, path: Path, cases: Mapping[str, Sequence[Case]], scheme: str | None, book: FactsBook | None
) -> None:
    audit = audit_site(path.stem, cases, task.rules(scheme), task.patient_of, book=book)
    refuse_errors(audit.findings, str(path))


def _distinct(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Without repeats.

    Raises:
        InputError: two cases have one name.
    """
    by_images = {case.images: case for case in cases}
    by_name: dict[str, Case] = {}
    for case in by_images.values():
        other = by_name.setdefault(case.name, case)
        if other is not case:
            raise InputError(
                f"Two cases are called {case.name} ({other.images[0]} and {case.images[0]}), so their numbers could "
                "not be told apart; rename one."
            )
    return tuple(by_images.values())
