"""The cases on which a model is scored after a run, with the sites that list them; their files are checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedmed.core.errors import InputError
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.audit.finding import refuse_errors
from fedmed.data.audit.site_audit import audit_site
from fedmed.data.datalist import TEST_LIST, TESTING, Case, datalist_path, load_split
from fedmed.data.phantoms.phantom import dataset_title
from fedmed.experiment import Experiment
from fedmed.tasks.base import Task

SHARED = "shared"
"""Stands for the site of a case that several sites' lists name, or that is none's, as test cases are."""

Split = Literal["validation", "test"]


@dataclass(frozen=True)
class EvaluationCases:
    """The cases to score, each once, in the order of the lists."""

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
    """The validation cases of some sites, or the test cases that no site trains on; checked.

    Args:
        task: states the rules of a case.
        dataset: the folder that the lists' paths start in.
        lists: the folder of the lists, or one list.
        sites: the sites whose lists are read, where ``lists`` is a folder.
        split: ``validation``, or ``test`` for the cases of ``test.json``, which has them under ``testing``.
        book: facts of files that were measured before.

    Raises:
        InputError: a list or a case cannot be used, the lists state different label schemes, or two cases have one
            name.
    """
    if split == "test":
        path = _test_list(lists)
        found, scheme = load_split(path, dataset, TESTING)
        _audit(task, path, found, scheme, book)
        return EvaluationCases(_distinct(found), {}, scheme, dataset_title(dataset))
    of_site: dict[str, tuple[Case, ...]] = {}
    schemes = set()
    for path, listing in _by_file(lists, sites).items():
        found, scheme = load_split(path, dataset, "validation")
        _audit(task, path, found, scheme, book)
        schemes.add(scheme)
        of_site |= dict.fromkeys(listing, found)
    if len(schemes) > 1:
        raise InputError(f"The sites' lists state different label schemes ({schemes}); score them apart.")
    every = [case for cases in of_site.values() for case in cases]
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


def _test_list(lists: Path) -> Path:
    path = lists if lists.is_file() else lists / TEST_LIST
    if not path.is_file():
        raise InputError(
            f"There is no list of test cases: {path} is not there; make one with prepare.py split --test, or name the "
            "list with --datalist."
        )
    return path


def _audit(task: Task, path: Path, cases: Sequence[Case], scheme: str | None, book: FactsBook | None) -> None:
    audit = audit_site(path.stem, {"validation": tuple(cases)}, task.rules(scheme), task.patient_of, book=book)
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
