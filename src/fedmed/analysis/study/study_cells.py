"""The runs of a study: every cell of its grid, and the tries of its tuning, each as a command line of job.py."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from fedmed.analysis.cross_validation.folds import SITES, refuse_learnt, sites_of
from fedmed.analysis.evaluation.evaluation_cases import lists_of_tests
from fedmed.analysis.study.study_file import LISTS, Options, Study, nearest
from fedmed.core import registry
from fedmed.core.errors import InputError
from fedmed.core.options import option_names, path_names
from fedmed.data.datalist import TESTING, datalist_path, load_datalist, load_split
from fedmed.experiment import SECTIONS, Experiment

ReadExperiment = Callable[[Sequence[str]], Experiment]
"""From the arguments of job.py to the experiment that they mean; raises InputError."""

CHOICES = ("preset", "task", "algorithm", "privacy", "network", "enable_dp")
"""Options of job.py that are no field of a choice or a section, and that a study may give."""

OURS = ("seed", "job_name", "artifacts", "env", "resume", "export", "check_site", "force")
"""Options of job.py that the study gives itself, or that begin no run."""


@dataclass(frozen=True)
class Cell:
    """One run: its place in the grid, the arguments of job.py without the place of run folders, and their meaning."""

    partition: str
    algorithm: str
    attack: str
    seed: int
    arguments: tuple[str, ...]
    experiment: Experiment

    @property
    def name(self) -> str:
        """Begins the name of the run folder, and is that of the log."""
        return self.experiment.job_name


Chosen = Mapping[str, Options]
"""The options that tuning has found for each algorithm; none where nothing was tuned."""


def grid(study: Study, chosen: Chosen, read: ReadExperiment) -> list[Cell]:
    """Every cell, all with one seed before the next, so that a study that is stopped has compared all algorithms.

    Raises:
        InputError: the options of a cell cannot be used.
    """
    return [
        _cell(study, partition, algorithm, attack, seed, chosen.get(algorithm, {}), read, "")
        for seed in range(study.seeds)
        for partition in study.partitions
        for attack in study.attacks
        for algorithm in study.algorithms
    ]


def tries(study: Study, read: ReadExperiment) -> dict[str, list[Cell]]:
    """The runs of the tuning by algorithm, without attack, of one partition and a seed that the grid has not.

    Raises:
        InputError: the options of a try cannot be used.
    """
    if study.tuning is None:
        return {}
    where = study.tuning.partition
    return {
        algorithm: [
            _cell(study, where, algorithm, "", study.seeds, options, read, f"try{number}-")
            for number, options in enumerate(given, start=1)
        ]
        for algorithm, given in study.tuning.tries.items()
    }


def check(study: Study, read: ReadExperiment) -> None:
    """Refuse a study, any of whose runs job.py would refuse, whichever tries its tuning will choose.

    Raises:
        InputError: it is one; the sentence names the cell.
    """
    tuning, once = tries(study, read), replace(study, seeds=1)  # as the sentences on all seeds are alike
    each_chosen = [
        {label: given[number] for label, given in study.tuning.tries.items()} for number in range(study.tuning.budget)
    ] if study.tuning else [{}]  # fmt: skip
    cells = [cell for chosen in each_chosen for cell in grid(once, chosen, read)]
    _expect_distinct_names(study, cells[: len(cells) // len(each_chosen)])
    _refuse_other_tasks(study, cells)
    _refuse_hidden_scores(study, [cell for each in tuning.values() for cell in each])
    _expect_new_patients(cells)


def _refuse_other_tasks(study: Study, cells: Sequence[Cell]) -> None:
    first = cells[0]
    for cell in cells:
        if type(cell.experiment.task) is not type(first.experiment.task):
            raise InputError(
                f"{study.path}: {first.name} is of --task {first.experiment.task.name} and {cell.name} of --task "
                f"{cell.experiment.task.name}, whose scores do not compare; make a study of each."
            )


def _refuse_hidden_scores(study: Study, tries: Sequence[Cell]) -> None:
    """Refuse tuning by validation scores that do not leave the sites."""
    hidden = next((cell for cell in tries if cell.experiment.privacy.withholds_metrics), None)
    if hidden:
        raise InputError(
            f'{study.path}: "tuning" chooses by validation scores, which --privacy {hidden.experiment.privacy.name} '
            f"of {hidden.algorithm} keeps at the sites; drop one of them."
        )


def _cell(
    study: Study,
    partition: str,
    algorithm: str,
    attack: str,
    seed: int,
    tried: Options,
    read: ReadExperiment,
    prefix: str,
) -> Cell:
    """One run. Where several axes give an option, the later one counts: base, partition, algorithm, try, attack."""
    of_attack = study.attacks[attack] if attack else {}
    where = f"partition {partition}, algorithm {algorithm}" + (f", attack {attack}" if of_attack else "")
    given = {**study.base, **study.partitions[partition], **study.algorithms[algorithm], **tried, **of_attack}
    parts = [partition, algorithm, *([attack] if of_attack else []), f"seed{seed}"]
    try:
        words = [word for name, value in given.items() for word in words_of(name, value, study.path.parent)]
        own = ["--seed", str(seed), "--env", "pool", "--job_name", prefix + "-".join(parts)]
        arguments = (*words, *own, *_sites(given, study.path.parent))
        return Cell(partition, algorithm, attack, seed, arguments, read(arguments))
    except InputError as error:
        raise InputError(f"{study.path}: {where}: {error}") from error


def words_of(name: str, value: Any, place: Path) -> list[str]:
    """An option as words of job.py's command line; none of null and false. Paths begin at ``place``.

    Raises:
        InputError: job.py has no such option, or the study gives it itself.
    """
    if name in OURS:
        raise InputError(f"--{name} is given by the study itself, whose runs differ in it; drop it.")
    known, paths = known_options()
    if name not in known:
        raise InputError(f'job.py has no option "{name:.80}"; {nearest(name, sorted(known))}.')
    if value is None or value is False:
        return []
    if value is True:
        return [f"--{name}"]
    values = value if isinstance(value, list) else [value]
    return [f"--{name}", *(str(_absolute(each, place) if name in paths else each) for each in values)]


@cache
def known_options() -> tuple[frozenset[str], frozenset[str]]:
    """The options of job.py that a study may give, and those of them that are paths."""
    plugins = [registry.find(kind, name) for kind in registry.KINDS for name in registry.names(kind)]
    classes = [*SECTIONS.values(), *plugins]
    names = frozenset(CHOICES).union(*map(option_names, classes))
    return names, frozenset[str]().union(*map(path_names, classes))


def _absolute(value: Any, place: Path) -> Path:
    return place / Path(str(value)).expanduser()


def _sites(given: Options, place: Path) -> list[str]:
    """The sites of the partition's lists, unless an option says which sites take part.

    Raises:
        InputError: there are no lists.
    """
    lists = _absolute(given[LISTS], place)
    if not lists.is_dir():
        raise InputError(f"--{LISTS} {lists} is no folder; give that of the sites' lists, as prepare.py makes it.")
    sites = sites_of(lists)
    if not sites:
        raise InputError(f"{lists} holds no list of a site, such as site-1.json; make them with prepare.py split.")
    named = {option.removeprefix("--") for option in SITES} & {name for name, value in given.items() if value}
    return [] if named else ["--site_names", ",".join(sites)]


def _expect_distinct_names(study: Study, cells: Sequence[Cell]) -> None:
    names = [cell.name for cell in cells]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"{study.path}: two cells would be called {twice}; give their labels other names.")


def _expect_new_patients(cells: Sequence[Cell]) -> None:
    """Refuse lists without test cases, or with a patient of them on whom a site of a run trains or validates.

    Raises:
        InputError: there are some.
    """
    seen = set()
    for experiment in (cell.experiment for cell in cells):
        dataset, lists = experiment.data.resolved()
        if (lists, experiment.training.sites) in seen:
            continue
        seen.add((lists, experiment.training.sites))
        tested = {experiment.task.patient_of(case) for case in _tested(lists, dataset)}
        datalists = {site: load_datalist(datalist_path(lists, site), dataset) for site in experiment.training.sites}
        refuse_learnt(lists, experiment, datalists, tested)


def _tested(lists: Path, dataset: Path) -> Iterator[Any]:
    for path in lists_of_tests(lists):
        yield from load_split(path, dataset, TESTING)[0]
