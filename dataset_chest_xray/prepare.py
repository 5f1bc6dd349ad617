"""Audit a set of chest films with the findings of ChestX-ray14, make the sites' lists of it, or make a synthetic set.

python dataset_chest_xray/prepare.py audit TREE [--lists LISTS]       findings, sideways films, copies, what is odd
python dataset_chest_xray/prepare.py split TREE --out LISTS           the sites' lists, by patient (--by)
python dataset_chest_xray/prepare.py phantom OUT                      a synthetic dataset and its lists
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fedmed.core.cli import Parser, absolute_path, echo, run_script, warn
from fedmed.core.errors import InputError, counted, refuse
from fedmed.core.files import write_whole
from fedmed.core.options import expect_between
from fedmed.core.progress import importing, waiting

with importing(__name__, shown=False):
    from fedmed.data.audit.measured_files import MeasuredFiles, measured_files
    from fedmed.data.chest_xray.chest_xray_audit import ChestXrayAudit, chest_xray_audit_text, site_lists_of
    from fedmed.data.chest_xray.chest_xray_layout import ChestXrayTree, find_chest_xray
    from fedmed.data.chest_xray.chest_xray_lists import write_chest_xray_lists
    from fedmed.data.chest_xray.chest_xray_split import (
        ChestXraySplitOptions,
        part_films,
        split_chest_xray,
        split_warnings,
    )
    from fedmed.data.chest_xray.film_facts import FilmFacts, film_facts
    from fedmed.data.chest_xray.finding_counts import counts_table, pairs_line, without_positives
    from fedmed.data.phantoms.phantom import dataset_title
    from fedmed.data.splits.split_cases import small_sites
    from fedmed.data.splits.split_command import add_split_arguments, given_options
    from fedmed.data.splits.split_record import as_json
    from fedmed.data.splits.split_text import export_lines

MOST_FILMS = 1_000_000


def main(arguments: Sequence[str]) -> None:
    """Run one subcommand; several mistakes in the data are a line each."""
    args = parser().parse_args(arguments)
    {"audit": audit, "split": split, "phantom": phantom}[args.command](args)


def parser() -> Parser:
    """The command line."""
    top = Parser(description="Audit a set of chest films, make the sites' lists of it, or a synthetic set.")
    commands = top.add_subparsers(dest="command", required=True)

    audit_ = commands.add_parser("audit", help="look at every film of a set")
    audit_.add_argument("tree", type=absolute_path, help="dataset folder")
    audit_.add_argument("--lists", type=absolute_path, help="folder of the sites' lists: tells everything by site")
    audit_.add_argument("--films", type=int, help="look at so many films, at even distances (default: at all)")
    audit_.add_argument("--report", type=absolute_path, help="write all that was found to this JSON file")

    split_ = commands.add_parser("split", help="write the lists of the sites, of site-All and of the test")
    add_split_arguments(split_, ChestXraySplitOptions)
    for each in (audit_, split_):
        each.add_argument("--images", metavar="FOLDER", help="the folder in TREE that holds the films (default: any)")
        each.add_argument("--subset", action="store_true", help="leave listed films out that are not there")

    phantom_ = commands.add_parser("phantom", help="write a synthetic dataset and its lists")
    phantom_.add_argument("out", type=absolute_path, help="dataset folder; must be empty or absent")
    for name, default, what in (
        ("sites", 3, "number of sites"),
        ("cases", 56, "patients of each site in training, of one to three films each"),
        ("validation", 20, "patients of each site in validation"),
        ("test", 20, "patients of each site on whom nobody trains or validates"),
        ("seed", 0, "another seed gives other patients"),
    ):
        phantom_.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    return top


def audit(args: argparse.Namespace) -> None:
    """Show what was read, tables of the findings and what is odd; films that cannot be read are errors."""
    if args.report and (args.report.is_dir() or not args.report.parent.is_dir()):
        raise InputError(f"{args.report} cannot be written; give the name of a file in a folder that is there.")
    if args.films is not None:
        expect_between("films", args.films, 1, MOST_FILMS)
    tree = find_chest_xray(args.tree, args.images, args.subset)
    lists = site_lists_of(args.lists, tree) if args.lists else {}
    found = ChestXrayAudit(tree, measured(tree, args.films), lists)
    echo(chest_xray_audit_text(found))
    for sentence in found.warnings():
        warn(sentence)
    if args.report:
        write_whole(args.report, as_json(found.document()))
    refuse(found.errors())


def measured(tree: ChestXrayTree, most: int | None) -> MeasuredFiles[FilmFacts]:
    """The facts of all films, or of so many of them, at even distances."""
    step = 1 if most is None else max(1, -(-len(tree.films) // most))
    films = tree.films[::step]
    with waiting(f"reading {counted(len(films), 'film')}"):
        return measured_files(films, film_facts)


def split(args: argparse.Namespace) -> None:
    """Write the lists with a record and a picture, and print who got what."""
    tree = find_chest_xray(args.tree, args.images, args.subset)
    options = given_options(args, ChestXraySplitOptions).completed(tree.parts)
    parts = split_chest_xray(tree.films, options)
    caption = f"{dataset_title(args.tree)}, {len(parts.cases)} films"
    write_chest_xray_lists(args.out, args.tree, parts, options, caption=caption, replace=args.force)
    films = part_films(parts)
    for sentence in (
        *tree.odd, *split_warnings(parts, tree.films, options), *without_positives(films), *small_sites(parts)
    ):  # fmt: skip
        warn(sentence)
    echo(counts_table(films))
    echo("\n".join(["Most often together:", *(pairs_line(f"  {name}", each) for name, each in films.items())]))
    echo(export_lines(args.tree, args.out))


def phantom(args: argparse.Namespace) -> None:
    """Write a synthetic dataset with its lists."""
    from fedmed.data.phantoms.chest_xray_phantom import demo_chest_xray

    demo_chest_xray(args.out, args.sites, args.cases, args.validation, args.test, args.seed)
    echo(f"Wrote synthetic films of {counted(args.sites, 'site')}; no patient data.")
    echo(export_lines(args.out, args.out / "datalist"))


if __name__ == "__main__":
    sys.exit(run_script(main))
