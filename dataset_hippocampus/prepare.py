"""Make the sites' lists of the Decathlon's hippocampus set, or a synthetic set that needs no patient data.

python dataset_hippocampus/prepare.py split TREE --out FOLDER     lists of four sites by source, or others (--by)
python dataset_hippocampus/prepare.py phantom OUT                 a synthetic dataset and its lists
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fedmed.core.cli import Parser, absolute_path, echo, run_script, warn
from fedmed.core.options import to_plain
from fedmed.core.progress import importing

with importing(__name__, shown=False):
    from fedmed.data.hippocampus.hippocampus_layout import SOURCES, find_hippocampus_cases, measures_of
    from fedmed.data.hippocampus.hippocampus_split import (
        SOURCE,
        VOLUME,
        HippocampusSplitOptions,
        facts_of_measures,
        split_hippocampus,
    )
    from fedmed.data.phantoms.hippocampus_phantom import demo_hippocampi
    from fedmed.data.phantoms.phantom import dataset_title
    from fedmed.data.splits.site_lists import write_site_lists
    from fedmed.data.splits.split_cases import small_sites
    from fedmed.data.splits.split_command import add_split_arguments, given_options
    from fedmed.data.splits.split_files import split_files
    from fedmed.data.splits.split_picture import Drawn
    from fedmed.data.splits.split_text import export_lines, split_table

DRAWN = Drawn(SOURCE, VOLUME, "hippocampus volume", "ml", SOURCES)
"""The facts in the picture of a split."""


def main(arguments: Sequence[str]) -> None:
    """Run one subcommand."""
    args = parser().parse_args(arguments)
    {"split": split, "phantom": phantom}[args.command](args)


def parser() -> Parser:
    """The command line."""
    top = Parser(description="Make the sites' lists of the hippocampus set, or a synthetic set.")
    commands = top.add_subparsers(dest="command", required=True)

    split_ = commands.add_parser("split", help="write the lists of the sites, of site-All and of the test")
    add_split_arguments(split_, HippocampusSplitOptions)

    phantom_ = commands.add_parser("phantom", help="write a synthetic dataset and its lists")
    phantom_.add_argument("out", type=absolute_path, help="dataset folder; must be empty or absent")
    for name, default, what in (
        ("sites", 4, "number of sites"),
        ("cases", 4, "training cases at each site"),
        ("validation", 4, "validation cases that all sites share"),
        ("seed", 0, "another seed gives other cases"),
    ):
        phantom_.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    return top


def split(args: argparse.Namespace) -> None:
    """Write the lists with a record and a picture, and print who got what."""
    options = given_options(args, HippocampusSplitOptions).completed()
    cases = find_hippocampus_cases(args.tree)
    with ThreadPoolExecutor(max_workers=4) as pool:  # decompression releases the interpreter's lock
        measures = dict(zip((case.name for case in cases), pool.map(measures_of, cases), strict=True))
    parts, facts = split_hippocampus(cases, options, measures), facts_of_measures(measures)
    caption = f"{dataset_title(args.tree)}, {len(parts.cases)} cases"
    besides = split_files(parts, to_plain(options), facts, DRAWN, args.tree, caption=caption, group=SOURCE)
    validation = parts.validation if parts.own_validation is None else parts.own_validation
    write_site_lists(args.out, parts.sites, validation, args.tree, replace=args.force, besides=besides)
    for sentence in small_sites(parts):
        warn(sentence)
    echo(split_table(parts, facts, SOURCE, SOURCES))
    echo(export_lines(args.tree, args.out))


def phantom(args: argparse.Namespace) -> None:
    """Write a synthetic dataset with its lists."""
    demo_hippocampi(args.out, args.sites, args.cases, args.validation, seed=args.seed)
    echo(f"Wrote {args.validation + args.sites * args.cases} synthetic cases; no patient data.")
    echo(export_lines(args.out, args.out / "datalist"))


if __name__ == "__main__":
    sys.exit(run_script(main))
