"""Audit the lower-grade glioma set of Kaggle, make the sites' lists of it, or make a synthetic set.

python dataset_lgg/prepare.py audit TREE                              patients, slices, tumours, what is odd or wrong
python dataset_lgg/prepare.py split TREE --out FOLDER                 a list for each institution, or others (--by)
python dataset_lgg/prepare.py split TREE --out FOLDER --hold_out DU   the test is an institution that no site has
python dataset_lgg/prepare.py split TREE --out FOLDER --folds 5       FOLDER/fold-1 ... fold-5 for cross-validation
python dataset_lgg/prepare.py phantom OUT                             a synthetic dataset and its lists
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fedmed.core.cli import Parser, absolute_path, echo, run_script, warn
from fedmed.core.errors import InputError, counted
from fedmed.core.files import write_whole
from fedmed.core.progress import importing, waiting

with importing(__name__, shown=False):
    from fedmed.data.lgg.lgg_audit import LggAudit, lgg_audit_table, table_patients
    from fedmed.data.lgg.lgg_layout import LggPatient, LggTree, find_lgg
    from fedmed.data.lgg.lgg_lists import write_fold_lists, write_lgg_lists
    from fedmed.data.lgg.lgg_split import INSTITUTION, facts_of_scans, fold_splits, split_lgg
    from fedmed.data.lgg.lgg_split_options import LggSplitOptions
    from fedmed.data.lgg.scan_facts import ScanFacts, measured_scans
    from fedmed.data.phantoms.phantom import dataset_title
    from fedmed.data.splits.partition import Split
    from fedmed.data.splits.split_cases import small_sites
    from fedmed.data.splits.split_command import add_split_arguments, given_options
    from fedmed.data.splits.split_record import as_json
    from fedmed.data.splits.split_text import export_lines, split_table


def main(arguments: Sequence[str]) -> None:
    """Run one subcommand."""
    args = parser().parse_args(arguments)
    {"audit": audit, "split": split, "phantom": phantom}[args.command](args)


def parser() -> Parser:
    """The command line."""
    top = Parser(description="Audit the lower-grade glioma set, make the sites' lists of it, or a synthetic set.")
    commands = top.add_subparsers(dest="command", required=True)

    audit_ = commands.add_parser("audit", help="look at every slice and mask of the set")
    audit_.add_argument("tree", type=absolute_path, help="dataset folder, which holds the patients' folders")
    audit_.add_argument("--report", type=absolute_path, help="write all that was found to this JSON file")

    split_ = commands.add_parser("split", help="write the lists of the sites, of site-All and of the test")
    add_split_arguments(split_, LggSplitOptions)

    phantom_ = commands.add_parser("phantom", help="write a synthetic dataset and its lists")
    phantom_.add_argument("out", type=absolute_path, help="dataset folder; must be empty or absent")
    phantom_.add_argument("--seed", type=int, default=0, help="another seed gives other heads (default: %(default)s)")
    return top


def audit(args: argparse.Namespace) -> None:
    """Show a table of the institutions and what is odd; mistakes are errors, a line each."""
    if args.report and (args.report.is_dir() or not args.report.parent.is_dir()):
        raise InputError(f"{args.report} cannot be written; give the name of a file in a folder that is there.")
    tree = find_lgg(args.tree)
    found = LggAudit(tree, measured(tree), table_patients(tree.root))
    echo(lgg_audit_table(found))
    for sentence in found.warnings():
        warn(sentence)
    if args.report:
        write_whole(args.report, as_json(found.document()))


def measured(tree: LggTree) -> dict[str, ScanFacts]:
    """The facts of every scan, all of whose files are read."""
    slices = sum(len(patient.slices) for patient in tree.patients)
    with waiting(f"reading {counted(slices, 'slice')} of {counted(len(tree.patients), 'patient')}"):
        return measured_scans(tree.patients)


def split(args: argparse.Namespace) -> None:
    """Write the lists with a record and a picture, and print who got whom."""
    options = given_options(args, LggSplitOptions).completed()
    tree = find_lgg(args.tree)
    facts = measured(tree)
    how = {"caption": f"{dataset_title(args.tree)}, {len(tree.patients)} patients", "replace": args.force}
    if options.folds:
        splits = fold_splits(tree.patients, options, facts)
        write_fold_lists(args.out, args.tree, splits, options, facts, **how)
        echo(f"Patients of each fold, of {counted(len(tree.institutions), 'institution')}:")
        for number, parts in enumerate(splits, start=1):
            show(parts, facts, tree, f"fold-{number}")
        echo(export_lines(args.tree, args.out / "fold-1"))
    else:
        parts = split_lgg(tree.patients, options, facts)
        write_lgg_lists(args.out, args.tree, parts, options, facts, **how)
        show(parts, facts, tree, "Patients")
        echo(export_lines(args.tree, args.out))


def show(parts: Split[LggPatient], facts: Mapping[str, ScanFacts], tree: LggTree, title: str) -> None:
    """Print the numbers of patients, and warn of small sites."""
    echo(f"{title}:")
    echo(split_table(parts, facts_of_scans(facts), INSTITUTION, [*tree.institutions]))
    for sentence in small_sites(parts, "training patient"):
        warn(sentence)


def phantom(args: argparse.Namespace) -> None:
    """Write a synthetic dataset with its lists."""
    from fedmed.data.phantoms.lgg_phantom import demo_lgg

    demo_lgg(args.out, args.seed)
    echo("Wrote synthetic patients of five institutions; no patient data.")
    echo(export_lines(args.out, args.out / "datalist"))


if __name__ == "__main__":
    sys.exit(run_script(main))
