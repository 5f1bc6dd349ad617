"""The subjects of a membership attack: the cases that a run was trained on, and those that it was not."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fedmed.core.errors import InputError, counted
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.audit.finding import refuse_errors
from fedmed.data.datalist import Case, Datalist, datalist_path, load_datalist
from fedmed.experiment import Data, Experiment

LEAST = 2
"""Cases on either side below which there is not even an interval."""


class Subject(NamedTuple):
    """A case, the sites that list it so, and its membership: True where any site trained on it."""

    case: Case
    sites: tuple[str, ...]
    member: bool


def subjects(
    experiment: Experiment, data: Data, book: FactsBook | None = None
) -> tuple[tuple[Subject, ...], str | None]:
    """Every case that is scored of all sites' lists once, members first, and the label scheme that the lists state.

    Held out are the validation and the test cases. A case that one site trained on is a member, also where another
    site validates on it.

    Raises:
        InputError: a list or a case cannot be used, the lists state different label schemes, or there are too few.
    """
    datalists, scored = dict(_datalists(experiment, data, book)), experiment.task.scored
    schemes = {datalist.label_scheme for datalist in datalists.values()}
    if len(schemes) > 1:
        raise InputError(f"The sites' lists state different label schemes ({schemes}); give lists that state one.")
    members = _listed({site: scored(each.training) for site, each in datalists.items()}, member=True)
    held_out = {site: (*scored(each.validation), *scored(each.testing)) for site, each in datalists.items()}
    others = _listed(held_out, member=False)
    others = {label: subject for label, subject in others.items() if label not in members}
    if len(members) < LEAST or len(others) < LEAST:
        found = f"{counted(len(members), 'member')} and {counted(len(others), 'held-out case')}"
        raise InputError(f"The lists have {found}; expected at least {LEAST} of each: add cases to the lists.")
    return (*members.values(), *others.values()), schemes.pop()


def _datalists(experiment: Experiment, data: Data, book: FactsBook | None) -> Iterator[tuple[str, Datalist]]:
    """Each site's list, whose files passed the audit."""
    dataset, lists = data.resolved()
    for site in experiment.training.sites:
        datalist = load_datalist(datalist_path(lists, site), dataset)
        audit = experiment.task.audit(site, datalist, experiment.training.allow_overlap, book=book)
        refuse_errors(audit.findings, str(datalist.path))
        yield site, datalist


def _listed(cases: Mapping[str, Sequence[Case]], *, member: bool) -> dict[tuple[Path, ...], Subject]:
    """The cases of all sites by their images."""
    found: dict[tuple[Path, ...], Subject] = {}
    for site, listed in cases.items():
        for case in listed:
            sites = found[case.images].sites if case.images in found else ()
            found[case.images] = Subject(case, tuple(dict.fromkeys((*sites, site))), member)
    return found
