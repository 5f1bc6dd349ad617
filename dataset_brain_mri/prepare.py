"""Audit a set of brain MR images of several hospitals, make the sites' lists of it, or make a synthetic set.

python dataset_brain_mri/prepare.py audit TREE                what is wrong or odd in it, near copies among them
python dataset_brain_mri/prepare.py split TREE --out FOLDER   lists of a site for each hospital, or others (--by)
python dataset_brain_mri/prepare.py phantom OUT               a synthetic dataset and its lists
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fedmed.core.cli import Parser, absolute_path, echo, run_script, warn
from fedmed.core.errors import InputError, counted, refuse
from fedmed.core.files import write_whole
from fedmed.core.progress import importing, waiting

with importing(__name__, shown=False):
    from fedmed.data.audit.measured_files import measured_files
    from fedmed.data.brain_mri.brain_mri_layout import BrainMriTree, find_brain_mri
    from fedmed.data.brain_mri.brain_mri_lists import write_brain_mri_lists
    from fedmed.data.brain_mri.brain_mri_split import (
        CLASS,
        OFFICIAL,
        BrainMriSplitOptions,
        facts_of_images,
        split_brain_mri,
    )
    from fedmed.data.brain_mri.classes import CLASSES
    from fedmed.data.brain_mri.copies import one_of_each
    from fedmed.data.brain_mri.picture_facts import picture_facts
    from fedmed.data.brain_mri.tree_audit import MOST_NAMED, TreeAudit, audit_table, named
    from fedmed.data.phantoms.phantom import dataset_title
    from fedmed.data.splits.split_cases import small_sites
    from fedmed.data.splits.split_command import add_split_arguments, given_options
    from fedmed.data.splits.split_record import as_json
    from fedmed.data.splits.split_text import export_lines, split_table

PUBLIC = Path(__file__).resolve().parent / "hospitals.json"
"""The hospitals of the three public sets."""


def main(arguments: Sequence[str]) -> None:
    """Run one subcommand; several mistakes in the data are a line each."""
    args = parser().parse_args(arguments)
    {"audit": audit, "split": split, "phantom": phantom}[args.command](args)


def parser() -> Parser:
    """The command line."""
    top = Parser(description="Audit a set of brain MR images, make the sites' lists of it, or a synthetic set.")
    commands = top.add_subparsers(dest="command", required=True)
    hospitals_help = "the hospitals with their folders (default: TREE/hospitals.json, else the three public sets)"

    audit_ = commands.add_parser("audit", help="look at every image of a set, and for near copies among them")
    audit_.add_argument("tree", type=absolute_path, help="dataset folder")
    audit_.add_argument("--hospitals", type=absolute_path, help=hospitals_help)
    audit_.add_argument("--report", type=absolute_path, help="write all that was found to this JSON file")

    split_ = commands.add_parser("split", help="write the lists of the sites, of site-All and of the test")
    add_split_arguments(split_, BrainMriSplitOptions)
    split_.add_argument("--hospitals", type=absolute_path, help=hospitals_help)

    phantom_ = commands.add_parser("phantom", help="write a synthetic dataset and its lists")
    phantom_.add_argument("out", type=absolute_path, help="dataset folder; must be empty or absent")
    for name, default, what in (
        ("sites", 3, "number of hospitals"),
        ("cases", 12, "heads of each hospital in training, of which each gives a picture a class"),
        ("validation", 4, "heads of each hospital in validation"),
        ("test", 4, "heads of each hospital that nobody trains or validates on"),
        ("seed", 0, "another seed gives other heads"),
    ):
        phantom_.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    return top


def audit(args: argparse.Namespace) -> None:
    """Show the paths, a table of the hospitals and what was found; images that cannot be read are errors."""
    if args.report and (args.report.is_dir() or not args.report.parent.is_dir()):
        raise InputError(f"{args.report} cannot be written; give the name of a file in a folder that is there.")
    found = audited(find_brain_mri(args.tree, args.hospitals, PUBLIC))
    echo(audit_table(found))
    for sentence in found.warnings():
        warn(sentence)
    if args.report:
        write_whole(args.report, as_json(found.document()))
    refuse_unreadable(found, f"the audit of {args.tree} found", "repair them, or let split leave them out")


def audited(tree: BrainMriTree) -> TreeAudit:
    """The audit of a set, whose every image is read."""
    with waiting(f"reading {counted(len(tree.images), 'image')}"):
        return TreeAudit.of(tree, measured_files(tree.images, lambda image: picture_facts(image.path)))


def refuse_unreadable(found: TreeAudit, opening: str, remedy: str) -> None:
    """Refuse a set with images that cannot be read; the first few are named.

    Raises:
        Problems: there are some.
    """
    errors = found.errors()
    if errors:
        total = f"{opening} {counted(len(errors), 'image')} that cannot be read; {remedy} with --skip_unreadable."
        refuse([*errors[:MOST_NAMED], total])


def split(args: argparse.Namespace) -> None:
    """Write the lists with a record and a picture, and print who got what."""
    tree = find_brain_mri(args.tree, args.hospitals, PUBLIC)
    options = given_options(args, BrainMriSplitOptions).completed(tree.merged)
    found = audited(tree)
    if not options.skip_unreadable:
        refuse_unreadable(found, f"{args.tree} has", "repair them, or leave them out")
    images, left_out = one_of_each(found.copies) if options.drop_duplicates else (found.copies.images, {})
    hospitals = {hospital.name: hospital for hospital in tree.hospitals}
    parts = split_brain_mri(images, options, [*hospitals])
    tested = {} if options.drop_duplicates or options.test != OFFICIAL else found.copies.tested_twins
    write_brain_mri_lists(
        args.out, args.tree, parts, options, found.measured.facts,
        caption=f"{dataset_title(args.tree)}, {len(parts.cases)} images", hospitals=hospitals, tested_twins=tested,
        left_out={**found.measured.unreadable, **left_out}, replace=args.force,
    )  # fmt: skip
    for sentence in (*left_out_text(found, left_out), *tested_text(tested), *small_sites(parts)):
        warn(sentence)
    echo(split_table(parts, facts_of_images(found.measured.facts), CLASS, CLASSES))
    echo(export_lines(args.tree, args.out))


def left_out_text(found: TreeAudit, copies: dict[str, str]) -> list[str]:
    """A sentence on the images that no list has."""
    unreadable, lines = [*found.measured.unreadable], []
    if unreadable:
        lines.append(f"{counted(len(unreadable), 'image')} left out, as they cannot be read: {named(unreadable)}.")
    if copies:
        mixed = sum(why.startswith("its copies") for why in copies.values())
        lines.append(
            f"{counted(len(copies), 'image')} left out: {len(copies) - mixed} as near copies of others, {mixed} as "
            "their copies are of several classes; split.json names them."
        )
    return lines


def tested_text(tested: dict[str, list[str]]) -> list[str]:
    """A sentence on the test images that have near copies in training."""
    if not tested:
        return []
    return [
        f"{counted(len(tested), 'test image')} with near copies in training: {named([*tested])}; "
        "test_without_copies.json has the others. Runs on these lists need --allow_overlap; --drop_duplicates takes "
        "the copies out of training."
    ]


def phantom(args: argparse.Namespace) -> None:
    """Write a synthetic dataset with its lists."""
    from fedmed.data.phantoms.brain_mri_phantom import demo_brain_mri

    demo_brain_mri(args.out, args.sites, args.cases, args.validation, args.test, args.seed)
    echo(f"Wrote a synthetic set of {counted(args.sites, 'hospital')}; no patient data.")
    echo(export_lines(args.out, args.out / "datalist"))


if __name__ == "__main__":
    sys.exit(run_script(main))
