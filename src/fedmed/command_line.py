"""From the command line to an Experiment. Every option is a field of a dataclass; none is written here again."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmed.core import registry
from fedmed.core.cli import Parser
from fedmed.core.errors import InputError
from fedmed.core.options import add_options, expect, option, option_names
from fedmed.experiment import SECTIONS, Data, Experiment
from fedmed.runs.resuming import resumed
from fedmed.tasks.base import Task

DEFAULTS = {"task": "brats18", "algorithm": "fedavg", "privacy": "none", "env": "sim"}

STANDARD, DEMO = "standard", "demo"
"""The presets that hold where none is given: with a dataset, and without one."""


@dataclass(frozen=True)
class Command:
    """A command other than to begin a run with an experiment."""

    resume: Path | None = option(
        None, "go on with the unfinished run of this folder, after its last completed round, in the same folder"
    )
    export: Path | None = option(None, "write the job's folder for FLARE's admin console, in a new folder")
    force: bool = option(False, "let --export write over what is there")
    check_site: str | None = option(
        None, "check, on a site's machine and by its environment variables, that the site of this name is ready"
    )

    def __post_init__(self) -> None:
        chosen = [name for name in ("resume", "export", "check_site") if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise InputError(f"--{chosen[0]} and --{chosen[1]} are two different things; give one of them.")
        if self.force and self.export is None:
            raise InputError("--force belongs to --export, which is not given; runs write over nothing; drop it.")


def parser() -> argparse.ArgumentParser:
    """The options of the experiment and of every plug-in that is there."""
    parser = Parser(
        prog="job.py", usage="job.py [OPTION ...]", allow_abbrev=False, argument_default=argparse.SUPPRESS,
        description="Federated learning for medical imaging: Task x Algorithm x Privacy x Environment. "
        "Without arguments: a small demonstration on phantoms.",
    )  # fmt: skip
    choice = parser.add_argument_group("what to run")
    tasks = {name: registry.find("task", name) for name in registry.names("task")}
    choice.add_argument("--preset", metavar="NAME", help=_preset_help(tasks))
    for kind, default in DEFAULTS.items():
        choice.add_argument(f"--{kind}", choices=registry.names(kind), help=f"(default: {default})")
    choice.add_argument("--network", metavar="NAME", help=_network_help(tasks))
    choice.add_argument("--enable_dp", action="store_true", help="the published name of --privacy svt")
    taken = {"network"}
    add_options(choice, Experiment, taken)
    for title, cls in SECTIONS.items():
        add_options(parser.add_argument_group(title), cls, taken)
    add_options(parser.add_argument_group("instead of a new run"), Command, taken)
    for kind in DEFAULTS:
        for name in registry.names(kind):
            if option_names(registry.find(kind, name)):
                group = parser.add_argument_group(f"--{kind} {name}")
                add_options(group, registry.find(kind, name), taken)
    return parser


def read_experiment(arguments: Sequence[str]) -> Experiment:
    """The experiment that the arguments describe; see :func:`read_command`."""
    return read_command(arguments)[0]


def read_command(
    arguments: Sequence[str], tell: Callable[[str], object] = lambda line: None
) -> tuple[Experiment, Command]:
    """The experiment that the arguments describe, and what to do with it.

    Without a dataset, by argument or environment variable, the preset is ``demo``, otherwise ``standard``; so it is
    where the dataset is the sites' own. ``--export`` alone means a job for ``--env prod``.

    Args:
        arguments: of the command line.
        tell: gets a line before the seconds that it takes to import a task's libraries.

    Raises:
        InputError: an argument is unknown, out of range or belongs to a choice that was not made.
    """
    given = _given(arguments)
    command = Command(**{name: given.pop(name) for name in option_names(Command) if name in given})
    if command.resume is not None:
        return resumed(command.resume, {name: value for name, value in given.items() if value is not False}), command
    return _begun(given, command, tell), command


def _begun(given: dict[str, Any], command: Command, tell: Callable[[str], object]) -> Experiment:
    """The experiment of a new run, of a job to export or of a site to check."""
    chosen = _choices(given, "prod" if command.export else DEFAULTS["env"])
    if command.export and chosen["env"] == "sim":
        raise InputError("--export writes a job for a federation, and --env sim runs one here; drop one of them.")
    plugins = {kind: registry.find(kind, name) for kind, name in chosen.items()}
    data_here = plugins["env"].DATA_IS_LOCAL and not command.export  # type: ignore[attr-defined]
    given = _with_this_machines_data(given) if data_here else _without_data(given)
    if "site_names" in given:
        given.setdefault("n_clients", len(given["site_names"].split(",")))
    values, classes = _values(given, plugins, chosen, demo=data_here and not command.check_site)
    return _experiment(values, classes, lambda: tell(f"{' x '.join(chosen.values())}: importing PyTorch and MONAI"))


def _given(arguments: Sequence[str]) -> dict[str, Any]:
    """The options on the command line by name."""
    parsed = vars(parser().parse_args(arguments)).items()
    return {name: tuple(value) if isinstance(value, list) else value for name, value in parsed}


def _with_this_machines_data(given: dict[str, Any]) -> dict[str, Any]:
    """``given``, and before it the places that this machine's environment variables state."""
    here = Data.of_this_site()
    stated = {name: path for name in option_names(Data) if (path := getattr(here, name)) is not None}
    return {**stated, **given}


def _without_data(given: dict[str, Any]) -> dict[str, Any]:
    """``given``, which must name no data where every site has its own."""
    named = sorted(option_names(Data) & set(given))
    if named:
        raise InputError(f"--{named[0]} names data of this machine, and here every site has its own; drop it.")
    return given


def _values(
    given: dict[str, Any], plugins: Mapping[str, type], chosen: Mapping[str, str], *, demo: bool
) -> tuple[Mapping[str, Any], Mapping[str, type]]:
    """The values of options, given ones before the preset's before the task's own, and the classes that take them.

    Args:
        demo: a demonstration is meant where no dataset is named.
    """
    task: type[Task] = plugins["task"]
    named = {"dataset_base_dir", "datalist_json_path"} & set(given)
    usual = DEMO if demo and not named and DEMO in task.PRESETS else STANDARD
    preset = given.pop("preset", usual)
    known = ", ".join(sorted(task.PRESETS))
    expect(preset in task.PRESETS, "preset", preset, f"one of {known}, which --task {chosen['task']} has")
    classes = {**plugins, **SECTIONS}
    _refuse_strangers(set(given), classes, chosen)
    return {**task.DEFAULTS, **task.PRESETS[preset].values, **given}, classes


def _experiment(
    values: Mapping[str, Any], classes: Mapping[str, type], tell_of_imports: Callable[[], object]
) -> Experiment:
    """The experiment of these values. The task, which imports its networks, is made when all else is good."""
    made = {name: _made(cls, values) for name, cls in classes.items() if name != "task"}
    tell_of_imports()
    made["environment"] = made.pop("env")
    return Experiment(task=_made(classes["task"], values), **made, **_of(Experiment, values))


def _made(cls: type, values: Mapping[str, Any]) -> Any:
    return cls(**_of(cls, values))


def _of(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a class's own options."""
    return {name: values[name] for name in option_names(cls) if name in values}


def _choices(given: dict[str, Any], env: str) -> dict[str, str]:
    """The four names, with the published command lines' own ways to choose; takes them out of ``given``."""
    chosen = {kind: given.pop(kind, None) for kind in DEFAULTS}
    if given.pop("enable_dp", False):
        if chosen["privacy"] not in (None, "svt"):
            raise InputError(f"--enable_dp means --privacy svt, but --privacy {chosen['privacy']} is given; drop one.")
        chosen["privacy"] = "svt"
    if "fedproxloss_mu" in given and chosen["algorithm"] is None:
        chosen["algorithm"] = "fedprox"
    return {kind: name or {**DEFAULTS, "env": env}[kind] for kind, name in chosen.items()}


def _refuse_strangers(given: set[str], classes: Mapping[str, type], chosen: Mapping[str, str]) -> None:
    """An option of a choice that was not made would do nothing, which its user cannot have meant."""
    known = option_names(Experiment).union(*(option_names(cls) for cls in classes.values()))
    for name in sorted(given - known):
        owners = [
            f"--{kind} {plugin}"
            for kind in DEFAULTS
            for plugin in registry.names(kind)
            if name in option_names(registry.find(kind, plugin))
        ]
        kind = owners[0].split()[0][2:]
        raise InputError(
            f"--{name} belongs to {' or '.join(owners)}, but --{kind} is {chosen[kind]}; choose that or drop it."
        )


def _preset_help(tasks: Mapping[str, type[Task]]) -> str:
    presets = {
        task: "; ".join(f"{name}: {preset.purpose}" for name, preset in sorted(cls.PRESETS.items()))
        for task, cls in tasks.items()
    }
    listed = _by_task(presets)
    return f"{listed} (default: {STANDARD} with a dataset, {DEMO} without)"


def _network_help(tasks: Mapping[str, type[Task]]) -> str:
    # not made by its constructor, which would import the networks to check sizes
    listed = _by_task({task: ", ".join(cls.__new__(cls).networks()) for task, cls in tasks.items()})
    return f"network of the task (default: the first); {listed}"


def _by_task(texts: Mapping[str, str]) -> str:
    """A text a task, equal ones together; without the tasks' names where all are equal."""
    tasks: dict[str, list[str]] = {}
    for task, text in texts.items():
        tasks.setdefault(text, []).append(task)
    if len(tasks) == 1:
        return next(iter(tasks))
    return " | ".join(f"{', '.join(names)}: {text}" for text, names in tasks.items())
