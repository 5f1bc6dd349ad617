"""Make the datalists of a BraTS dataset, or a synthetic dataset that needs no patient data.

python dataset_brats18/prepare.py split TREE --out FOLDER     lists of four sites, for a BraTS tree
python dataset_brats18/prepare.py phantom OUT                 a synthetic dataset and its lists
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fedmed.data.brats import ALL_SITES, GRADES, NAMINGS, CaseFiles, find_cases, write_site_lists
from fedmed.data.partition import Split, published_split
from fedmed.data.phantom import make_phantom
from fedmed.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; 0 when done, 2 when the user's input (or the disk) does not allow it."""
    args = parser().parse_args(arguments)
    try:
        if args.command == "split":
            split(args)
        else:
            phantom(args)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(description="Make the datalists of a BraTS dataset, or a synthetic dataset.")
    commands = top.add_subparsers(dest="command", required=True)

    split_ = commands.add_parser("split", help="write the lists of four sites and of site-All for a BraTS tree")
    split_.add_argument("tree", type=Path, help="dataset folder; the paths in the lists are relative to it")
    split_.add_argument("--out", type=Path, required=True, help="folder for the lists")
    split_.add_argument("--seed", type=int, default=0, help="another seed gives another split (default: %(default)s)")
    split_.add_argument("--force", action="store_true", help="replace lists that are there and differ")

    phantom_ = commands.add_parser("phantom", help="write a synthetic dataset and its lists")
    phantom_.add_argument("out", type=Path, help="dataset folder; must be empty or absent")
    phantom_.add_argument("--datalist", type=Path, help="folder for the lists (default: OUT/datalist)")
    phantom_.add_argument("--sites", type=int, default=4, help="number of sites (default: %(default)s)")
    phantom_.add_argument("--cases", type=int, default=4, help="training cases at each site (default: %(default)s)")
    phantom_.add_argument("--validation", type=int, default=4, help="shared validation cases (default: %(default)s)")
    phantom_.add_argument(
        "--size", type=int, nargs=3, default=(96, 96, 80), metavar=("X", "Y", "Z"), help="voxels (default: 96 96 80)"
    )
    phantom_.add_argument("--seed", type=int, default=0, help="another seed gives other cases (default: %(default)s)")
    phantom_.add_argument("--layout", default="brats2018", help=f"{' or '.join(NAMINGS)} (default: %(default)s)")
    return top


def split(args: argparse.Namespace) -> None:
    """Write the lists of a BraTS tree and print who got what."""
    parts = published_split(find_cases(args.tree), args.seed)
    write_site_lists(args.out, parts.sites, parts.validation, root=args.tree, replace=args.force)
    print(table(parts))
    print_exports(args.tree, args.out)


def phantom(args: argparse.Namespace) -> None:
    """Write a synthetic dataset with its lists."""
    lists = args.out / "datalist" if args.datalist is None else args.datalist
    size = (args.size[0], args.size[1], args.size[2])
    make_phantom(args.out, lists, args.sites, args.cases, args.validation, size, args.seed, args.layout)
    count = args.sites * args.cases + args.validation
    print(f"Wrote {count} synthetic cases ({args.validation} of them for validation); no patient data.")
    print_exports(args.out, lists)


def table(parts: Split) -> str:
    """A row for each site: its training cases, how many of each grade, and the validation cases."""
    everyone = tuple(case for cases in parts.sites.values() for case in cases)
    rows: list[tuple[str, ...]] = [("site", "training", *GRADES, "validation")]
    for site, cases in {**parts.sites, ALL_SITES: everyone}.items():
        rows.append((site, str(len(cases)), *_grade_counts(cases), str(len(parts.validation))))
    rows.append(("(validation)", "", *_grade_counts(parts.validation), ""))
    return "\n".join(f"{row[0]:<12}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in rows)


def _grade_counts(cases: Sequence[CaseFiles]) -> tuple[str, ...]:
    """How many cases are of each grade; a dash where the tree states no grade at all."""
    if all(case.grade is None for case in cases):
        return tuple("-" for _ in GRADES)
    return tuple(str(sum(case.grade == grade for case in cases)) for grade in GRADES)


def print_exports(dataset: Path, lists: Path) -> None:
    """Print the lines that tell the other scripts where the data are."""
    print(f"export DATASET_ROOT={shlex.quote(str(dataset.resolve()))}")
    print(f"export DATALIST_ROOT={shlex.quote(str(lists.resolve()))}")


if __name__ == "__main__":
    sys.exit(main())
