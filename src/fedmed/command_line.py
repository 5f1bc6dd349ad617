"""From the command line to an Experiment. Every option is a field of a dataclass; none is written here again."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from fedmed import registry
from fedmed.errors import InputError
from fedmed.experiment import Data, Experiment, Performance, Training
from fedmed.options import Parser, add_options, option_names
from fedmed.presets import PRESETS

SECTIONS = {"training": Training, "performance": Performance, "data": Data}
DEFAULTS = {"task": "brats18", "algorithm": "fedavg", "privacy": "none", "env": "sim"}


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
    for kind in DEFAULTS:
        for name in registry.names(kind):
            if option_names(registry.find(kind, name)):
                group = parser.add_argument_group(f"--{kind} {name}")
                add_options(group, registry.find(kind, name), taken)
    return parser


def read_experiment(arguments: Sequence[str]) -> Experiment:
    """The experiment that the arguments describe.

    Without a dataset, by argument or environment variable, the preset is ``demo``, otherwise ``standard``.

    Raises:
        InputError: an argument is unknown, out of range or belongs to a choice that was not made.
    """
    parsed = vars(parser().parse_args(arguments)).items()
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in parsed}
    chosen = _choices(given)
    here = Data.of_this_site()
    paths = {"dataset_base_dir": here.dataset_base_dir, "datalist_json_path": here.datalist_json_path}
    paths |= {"cache_dir": here.cache_dir}
    given = {**{name: path for name, path in paths.items() if path is not None}, **given}
    preset = given.pop("preset", "standard" if {"dataset_base_dir", "datalist_json_path"} & set(given) else "demo")
    plugins = {kind: registry.find(kind, name) for kind, name in chosen.items()}
    classes = {**plugins, **SECTIONS}
    _refuse_strangers(set(given), classes, chosen)
    values = {**PRESETS[preset].values, **given}
    built = {name: cls(**{o: values[o] for o in option_names(cls) if o in values}) for name, cls in classes.items()}
    built["environment"] = built.pop("env")
    return Experiment(**built, **{o: values[o] for o in option_names(Experiment) if o in values})


def _choices(given: dict[str, Any]) -> dict[str, str]:
    """The four names, with the published command lines' own ways to choose; takes them out of ``given``."""
    chosen = {kind: given.pop(kind, None) for kind in DEFAULTS}
    if given.pop("enable_dp", False):
        if chosen["privacy"] not in (None, "svt"):
            raise InputError(f"--enable_dp means --privacy svt, but --privacy {chosen['privacy']} is given; drop one.")
        chosen["privacy"] = "svt"
    if "fedproxloss_mu" in given and chosen["algorithm"] is None:
        chosen["algorithm"] = "fedprox"
    return {kind: name or DEFAULTS[kind] for kind, name in chosen.items()}


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
