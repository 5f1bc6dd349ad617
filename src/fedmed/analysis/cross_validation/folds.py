"""The folds of a cross-validation: each a folder of lists, whose test cases no site of the fold trains on."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from fedmed.core.errors import InputError, counted
from fedmed.data.datalist import ALL_SITES, Datalist, datalist_path, lists_with, load_datalist
from fedmed.experiment import Experiment
from fedmed.runs.preflight import splits_of
from fedmed.runs.run_folder import RunFolder

ReadExperiment = Callable[[Sequence[str]], Experiment]
"""From the arguments of job.py to the experiment that they mean; raises InputError."""

OURS = {"--datalist_json_path", "--job_name", "--artifacts", "--resume", "--export", "--check_site"}
"""Options of job.py that the cross-validation itself gives, or that begin no run."""

SITES = {"--n_clients", "--site_names"}
"""Options of job.py that name the sites of a run."""


@dataclass(frozen=True)
class Fold:
    """One fold: its lists, and the run that trains on them.

    Attributes:
        lists: the folder ``fold-<n>`` of the sites' lists.
        arguments: of job.py, without the place of run folders.
        experiment: what they mean.
        tested: the patients of the test cases.
        patients: of all cases.
    """

    lists: Path
    arguments: tuple[str, ...]
    experiment: Experiment
    tested: frozenset[str]
    patients: frozenset[str]

    @property
    def name(self) -> str:
        """``fold-1``."""
        return self.lists.name


def planned_folds(split: Path, job: Sequence[str], name: str, read: ReadExperiment) -> list[Fold]:
    """The folds of a split, checked, before any of them is run.

    Args:
        split: the folder of the folders ``fold-1``, ``fold-2`` ...
        job: options of job.py for every fold. Where they name no sites, all sites of the lists take part.
        name: begins the names of the run folders.
        read: reads arguments of job.py.

    Raises:
        InputError: the options or a list cannot be used, a patient is in the test cases of two folds, or in the test
            and in other cases of one.
    """
    refuse_options(job, OURS, "which the cross-validation runs")
    found = [planned_fold(folder, job, name, read) for folder in fold_folders(split)]
    _refuse_tested_twice(found)
    return found


def refuse_options(job: Sequence[str], ours: Set[str], why: str) -> None:
    """Refuse options of job.py that are not for the user of a study.

    Args:
        ours: the options, each with its dashes.
        why: of the words "the options of a fold".

    Raises:
        InputError: one of them is given.
    """
    found = sorted(_named(job) & ours)
    if found:
        raise InputError(f"{found[0]} is not for the options of a fold, {why}; drop it.")


def _named(job: Sequence[str]) -> set[str]:
    return {option.split("=")[0] for option in job if option.startswith("--")}


def _refuse_tested_twice(found: Sequence[Fold]) -> None:
    """Refuse folds that share patients of their test cases.

    Raises:
        InputError: two do.
    """
    counts = Counter(patient for fold in found for patient in fold.tested)
    twice = sorted(patient for patient, count in counts.items() if count > 1)
    if twice:
        where = [fold.name for fold in found if twice[0] in fold.tested]
        raise InputError(
            f"The patient {twice[0]} is tested in {' and in '.join(where)} ({len(twice)} such in all); expected each "
            "patient in the test cases of one fold: split anew."
        )


def fold_folders(split: Path) -> list[Path]:
    """The folders ``fold-<n>`` of a split in the order of their numbers.

    Raises:
        InputError: there are fewer than two.
    """
    numbered = {path: re.fullmatch(r"fold-(\d+)", path.name) for path in split.glob("fold-*") if path.is_dir()}
    found = sorted((int(match[1]), path) for path, match in numbered.items() if match)
    if len(found) < 2:
        raise InputError(
            f"{split} holds {counted(len(found), 'folder')} fold-1, fold-2 ...; expected two or more, as prepare.py "
            "split --folds makes them: name their folder."
        )
    return [path for _, path in found]


def sites_of(lists: Path) -> list[str]:
    """The sites of a folder of lists, without the one of all cases where there are others."""
    found = list(lists_with(lists, "training"))
    return [site for site in found if site != ALL_SITES] or found


def planned_fold(lists: Path, job: Sequence[str], name: str, read: ReadExperiment) -> Fold:
    """One folder of lists with test cases, checked by itself, with the arguments of :func:`planned_folds`.

    Raises:
        InputError: the options or a list cannot be used, or a patient is in the test and in other cases.
    """
    sites = sites_of(lists)
    if not sites:
        raise InputError(f"{lists} holds no list of a site, such as site-1.json; split anew.")
    named = [] if _named(job) & SITES else ["--site_names", ",".join(sites)]
    arguments = (*job, "--datalist_json_path", str(lists), "--job_name", f"{name}-{lists.name}", *named)
    experiment = read(arguments)
    dataset, _ = experiment.data.resolved()
    datalists = {site: load_datalist(datalist_path(lists, site), dataset) for site in sites}
    patient_of = experiment.task.patient_of
    tested = frozenset(patient_of(case) for datalist in datalists.values() for case in datalist.testing)
    if not tested:
        raise InputError(f'{lists} has no test cases, which lists have under "testing"; make them with --folds.')
    refuse_learnt(lists, experiment, {**datalists, **_further(experiment, datalists, lists, dataset)}, tested)
    _refuse_untested(lists, experiment, datalists)
    patients = frozenset(patient_of(case) for datalist in datalists.values() for case in datalist.all_cases)
    return Fold(lists, arguments, experiment, tested, patients)


def _further(
    experiment: Experiment, datalists: Mapping[str, Datalist], lists: Path, dataset: Path
) -> dict[str, Datalist]:
    """The lists of the run's sites that are not among the others, such as site-All."""
    names = [site for site in experiment.training.sites if site not in datalists]
    return {site: load_datalist(datalist_path(lists, site), dataset) for site in names}


def refuse_learnt(lists: Path, experiment: Experiment, datalists: Mapping[str, Datalist], tested: Set[str]) -> None:
    """Refuse a patient of the test cases on whom a site trains or validates.

    Args:
        datalists: of the run's sites.
        tested: the patients of the test cases.

    Raises:
        InputError: there is one.
    """
    for site, datalist in datalists.items():
        seen = {experiment.task.patient_of(case) for case in (*datalist.training, *datalist.validation)}
        both = sorted(seen & tested)
        if both:
            raise InputError(
                f"The patient {both[0]} is in the test cases of {lists} and in the training or validation cases of "
                f"{site}; expected patients who are new to the model: split anew."
            )


def _refuse_untested(lists: Path, experiment: Experiment, datalists: Mapping[str, Datalist]) -> None:
    """Refuse, where each site has a model of its own, a site without own test cases, as it would score all others'.

    Raises:
        InputError: there is one.
    """
    if not experiment.algorithm.scores_own:
        return
    for site in experiment.training.sites:
        if site not in datalists or not datalists[site].testing:
            raise InputError(
                f"{site} has no test cases in {lists}, and --algorithm {experiment.algorithm.name} scores each site's "
                "own model on its own; name the other sites with --site_names, or choose another algorithm."
            )


def expect_same_cases(run: RunFolder, experiment: Experiment) -> None:
    """Refuse a finished run of an experiment whose lists named other cases than they do now.

    Raises:
        InputError: it is one.
    """
    dataset, lists = experiment.data.resolved()
    sites = experiment.training.sites
    now = splits_of({site: load_datalist(datalist_path(lists, site), dataset) for site in sites})
    if run.read_json("dataset_splits") != now:
        raise InputError(
            f"{run.path} was trained on other cases than {lists} lists now; give --force to train anew, or restore the "
            "lists."
        )
