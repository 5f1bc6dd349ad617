"""The subcommand ``split`` of every dataset's ``prepare.py``: its arguments, and the options that they give."""

import argparse
from typing import Any, TypeVar

from fedmed.core.cli import absolute_path
from fedmed.core.options import add_options, option_names
from fedmed.data.splits.split_choices import SplitChoices

Options = TypeVar("Options", bound=SplitChoices)


def add_split_arguments(parser: argparse.ArgumentParser, options: type[SplitChoices]) -> None:
    """Add the place of the data, that of the lists, and the options of a split."""
    parser.add_argument("tree", type=absolute_path, help="dataset folder; the paths in the lists are relative to it")
    parser.add_argument("--out", type=absolute_path, required=True, help="folder for the lists")
    parser.add_argument("--force", action="store_true", help="replace lists that are there and differ")
    add_options(parser.add_argument_group("how to split"), options, set())


def given_options(args: argparse.Namespace, options: type[Options]) -> Options:
    """The options that were given, not completed yet."""
    given: dict[str, Any] = {name: getattr(args, name) for name in option_names(options)}
    return options(**{name: value for name, value in given.items() if value is not None})
