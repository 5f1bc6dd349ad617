"""From the command line to an Experiment. Every option is a field of a dataclass; none is written here again."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmed.core import registry
from fedmed.core.cli import Parser
from fedmed.core.errors import InputError
from fedmed.core.options import add_options, option, option_names
from fedmed.experiment import SECTIONS, Data, Experiment
from fedmed.runs.resuming import resumed
from fedmed.tasks.presets import PRESETS

DEFAULTS = {"task": "brats18", "algorithm": "fedavg", "privacy": "none", "env": "sim"}


@dataclass(frozen=True)
class Instead:
    """What to do with an experiment instead of beginning a run with it."""

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
        prog="job.py", allow_abbrev=False, argument_default=argparse.SUPPRESS,
        description="Federated learning for medical imaging: Task x Algorithm x Privacy x Environment. "
        "Without arguments: a small demonstration on phantoms.",
    )  # fmt: skip
    choice = parser.add_argument_group("what to run")
    choice.add_argument("--preset", choices=sorted(PRESETS), help=_preset_help())
    for kind, default in DEFAULTS.items():
        choice.add_argument(f"--{kind}", choices=registry.names(kind), help=f"(default: {default})")
    choice.add_argument("--enable_dp", action="store_true", help="the published name of --privacy svt")
    taken: set[str] = set()
    add_options(choice, Experiment, taken)
    for title, cls in SECTIONS.items():
        add_options(parser.add_argument_group(title), cls, taken)
    add_options(parser.add_argument_group("instead of a new run"), Instead, taken)
    for kind in DEFAULTS:
        for name in registry.names(kind):
            if option_names(registry.find(kind, name)):
                group = parser.add_argument_group(f"--{kind} {name}")
                add_options(group, registry.find(kind, name), taken)
    return parser


def read_experiment(arguments: Sequence[str]) -> Experiment:
    """The experiment that the arguments describe; see :func:`read_command`."""
    return read_command(arguments)[0]


def read_command(arguments: Sequence[str]) -> tuple[Experiment, Instead]:
    """The experiment that the arguments describe, and what to do with it.

    Without a dataset, by argument or environment variable, the preset is ``demo``, otherwise ``standard``; so it is
    where the dataset is the sites' own. ``--export`` alone means a job for ``--env prod``.

    Raises:
        InputError: an argument is unknown, out of range or belongs to a choice that was not made.
    """
    parsed = vars(parser().parse_args(arguments)).items()
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in parsed}
    instead = Instead(**{name: given.pop(name) for name in option_names(Instead) if name in given})
    if instead.resume is not None:
        return resumed(instead.resume, {name: value for name, value in given.items() if value is not False}), instead
    chosen = _choices(given, "prod" if instead.export else DEFAULTS["env"])
    if instead.export and chosen["env"] == "sim":
        raise InputError("--export writes a job for a federation, and --env sim runs one here; drop one of them.")
    plugins = {kind: registry.find(kind, name) for kind, name in chosen.items()}
    data_here = plugins["env"].DATA_HERE and not instead.export  # type: ignore[attr-defined]
    paths = option_names(Data)
    if not data_here and paths & set(given):
        name = min(paths & set(given))
        raise InputError(f"--{name} names data of this machine, and here every site has its own; drop it.")
    if data_here:
        here = Data.of_this_site()
        given = {**{name: path for name in paths if (path := getattr(here, name)) is not None}, **given}
    if "site_names" in given:
        given.setdefault("n_clients", len(given["site_names"].split(",")))
    return _experiment(given, plugins, chosen, demo=data_here and not instead.check_site), instead


def _experiment(
    given: dict[str, Any], plugins: Mapping[str, type], chosen: Mapping[str, str], *, demo: bool
) -> Experiment:
    """Args: demo: whether a demonstration is meant where no dataset is named."""
    named = {"dataset_base_dir", "datalist_json_path"} & set(given)
    preset = given.pop("preset", "standard" if named or not demo else "demo")
    classes = {**plugins, **SECTIONS}
    _refuse_strangers(set(given), classes, chosen)
    values = {**PRESETS[preset].values, **given}
    built = {name: cls(**{o: values[o] for o in option_names(cls) if o in values}) for name, cls in classes.items()}
    built["environment"] = built.pop("env")
    return Experiment(**built, **{o: values[o] for o in option_names(Experiment) if o in values})


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


def _preset_help() -> str:
    told = "; ".join(f"{name}: {preset.what}" for name, preset in sorted(PRESETS.items()))
    return f"{told} (default: standard with a dataset, demo without)"
