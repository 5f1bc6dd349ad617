"""Audit a BraTS dataset, make its datalists, or make a synthetic dataset that needs no patient data.

python dataset_brats18/prepare.py split TREE --out FOLDER     the published lists for a BraTS tree, or others (--by)
python dataset_brats18/prepare.py audit TREE|LISTS            what is wrong or odd in the data, before any training
python dataset_brats18/prepare.py phantom OUT                 a synthetic dataset and its lists
python dataset_brats18/prepare.py picture TREE --out FILE     some cases of a tree, synthetic or real, to look at
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fedmed.core.cli import Parser, absolute_path, echo, run_script, warn
from fedmed.core.errors import InputError, counted
from fedmed.core.files import write_whole
from fedmed.core.options import to_plain
from fedmed.core.progress import importing

with importing(__name__, shown=False):
    from fedmed.data.audit.audit_table import across_text, audit_progress, site_table
    from fedmed.data.audit.duplicates_exchange import key_of_this_site
    from fedmed.data.audit.finding import errors_of
    from fedmed.data.brats.brats_layout import GRADES, NAMINGS, CaseFiles, find_cases, label_scheme
    from fedmed.data.brats.brats_rules import audit_brats, sites_document
    from fedmed.data.brats.brats_split import GRADE, INSTITUTION, VOLUME, Volumes, facts_with, split_cases
    from fedmed.data.brats.case_picture import case_picture, chosen_cases, picture_format
    from fedmed.data.brats.published_split import differences, published_split, read_assignment
    from fedmed.data.brats.split_options import SplitOptions
    from fedmed.data.brats.tumour_volume import tumour_ml
    from fedmed.data.phantoms.phantom import VALIDATION_LISTS, is_phantom, make_phantom
    from fedmed.data.splits.partition import Split
    from fedmed.data.splits.site_lists import write_site_lists
    from fedmed.data.splits.split_cases import small_sites
    from fedmed.data.splits.split_command import add_split_arguments, given_options
    from fedmed.data.splits.split_files import split_files
    from fedmed.data.splits.split_picture import Drawn
    from fedmed.data.splits.split_record import as_json
    from fedmed.data.splits.split_text import export_lines, split_table

PUBLISHED = Path(__file__).resolve().parent / "datalist"
"""The published lists, which are part of the project."""


def main(arguments: Sequence[str]) -> None:
    """Run one subcommand."""
    args = parser().parse_args(arguments)
    {"split": split, "audit": audit, "phantom": phantom, "picture": show}[args.command](args)


def parser() -> Parser:
    """The command line."""
    top = Parser(description="Audit a BraTS dataset, make its datalists, or make a synthetic dataset.")
    commands = top.add_subparsers(dest="command", required=True)

    split_ = commands.add_parser("split", help="write the lists of the sites and of site-All for a BraTS tree")
    add_split_arguments(split_, SplitOptions)

    audit_ = commands.add_parser("audit", help="look at every file of a BraTS tree, or of one or all sites' lists")
    audit_.add_argument("what", type=absolute_path, help="a folder of cases, a list, or a folder of lists")
    audit_.add_argument("--json", type=absolute_path, help="write all that was found and measured to this file")
    audit_.add_argument(
        "--dataset_base_dir", type=absolute_path, help="where paths in lists start (default: $DATASET_ROOT)"
    )
    audit_.add_argument("--allow_overlap", action="store_true", help="an overlap of training and validation only warns")

    phantom_ = commands.add_parser("phantom", help="write a synthetic dataset and its lists")
    phantom_.add_argument("out", type=absolute_path, help="dataset folder; must be empty or absent")
    phantom_.add_argument("--datalist", type=absolute_path, help="folder for the lists (default: OUT/datalist)")
    phantom_.add_argument("--sites", type=int, default=4, help="number of sites (default: %(default)s)")
    phantom_.add_argument("--cases", type=int, default=4, help="training cases at each site (default: %(default)s)")
    phantom_.add_argument("--validation", type=int, default=4, help="validation cases (default: %(default)s)")
    phantom_.add_argument(
        "--validation_lists", default=VALIDATION_LISTS[0],
        help="whether all sites share the validation cases or each has as many of its own: shared or per_site "
        "(default: %(default)s)",
    )  # fmt: skip
    phantom_.add_argument(
        "--site_strength", type=float, default=0.0,
        help="how much the sites' scanners differ, from 0 (not at all) to 1 (default: %(default)s)",
    )  # fmt: skip
    phantom_.add_argument(
        "--size", type=int, nargs=3, default=(96, 96, 80), metavar=("X", "Y", "Z"), help="voxels (default: 96 96 80)"
    )
    phantom_.add_argument("--seed", type=int, default=0, help="another seed gives other cases (default: %(default)s)")
    phantom_.add_argument("--layout", default="brats2018", help=f"{' or '.join(NAMINGS)} (default: %(default)s)")

    picture_ = commands.add_parser("picture", help="draw cases, a row each, through the largest slice of the tumour")
    picture_.add_argument("tree", type=absolute_path, help="dataset folder")
    picture_.add_argument(
        "--out", type=absolute_path, required=True, help="the .png, .svg or .pdf to write; replaced if it is there"
    )
    picture_.add_argument(
        "--cases", nargs="+", help="names of cases (default: the first case of each of the first two institutions)"
    )
    return top


def split(args: argparse.Namespace) -> None:
    """Write the lists of a BraTS tree with a record and a picture, and print who got what."""
    options = split_options(args)
    cases = find_cases(args.tree)
    answers = measured(cases) if options.needs_volumes else {}
    volumes = known(answers, options.needs_volumes)
    parts, differing = divided(cases, options, volumes)
    if not options.needs_volumes:  # only to be shown
        answers = measured(cases)
        volumes = known(answers, needed=False)
    validation = parts.validation if parts.own_validation is None else parts.own_validation
    besides = companions(parts, options, volumes, args.tree)
    write_site_lists(args.out, parts.sites, validation, args.tree, cases[0].scheme, args.force, besides)
    unknown = [answer for answer in answers.values() if isinstance(answer, InputError)]
    for sentence in [*differing, *small_sites(parts), *_left_out(unknown)]:
        warn(sentence)
    echo(split_table(parts, facts_with({}), GRADE, GRADES))
    echo(export_lines(args.tree, args.out))


def split_options(args: argparse.Namespace) -> SplitOptions:
    """The options of a split, with the defaults of its way.

    Raises:
        InputError: an option is wrong, or another split shall go into the folder of the published one.
    """
    options = given_options(args, SplitOptions).completed()
    if args.out.resolve() == PUBLISHED and options.by != "published":
        raise InputError(f"{args.out} is for the published lists alone; choose another folder for --by {options.by}.")
    return options


def divided(cases: Sequence[CaseFiles], options: SplitOptions, volumes: Volumes) -> tuple[Split[CaseFiles], list[str]]:
    """The split, and a sentence on each difference between the tree and the published cases."""
    if options.by != "published":
        return split_cases(cases, options, volumes), []
    assignment = read_assignment(PUBLISHED)
    return published_split(cases, assignment), differences(cases, assignment)


def measured(cases: Sequence[CaseFiles]) -> dict[str, float | InputError]:
    """The tumour volume of each case in ml by its name, or why it cannot be measured."""

    def measure(case: CaseFiles) -> float | InputError:
        try:
            return tumour_ml(case.label, label_scheme(case.scheme).labels)
        except InputError as error:
            return error

    with ThreadPoolExecutor(max_workers=4) as pool:  # decompression releases the interpreter's lock
        return dict(zip((case.name for case in cases), pool.map(measure, cases), strict=True))


def known(answers: Mapping[str, float | InputError], needed: bool) -> dict[str, float]:
    """The volumes that could be measured; raises the first reason why one could not, if all are needed."""
    volumes = {}
    for name, answer in answers.items():
        if not isinstance(answer, InputError):
            volumes[name] = answer
        elif needed:
            raise answer
    return volumes


def _left_out(unknown: Sequence[InputError]) -> list[str]:
    if not unknown:
        return []
    tumours = "volume of 1 tumour is" if len(unknown) == 1 else f"volumes of {len(unknown)} tumours are"
    return [f"the {tumours} unknown and left out of record and picture: {unknown[0]}"]


DRAWN = Drawn(GRADE, VOLUME, "whole-tumour volume", "ml", GRADES)
"""The facts in the picture of a split."""


def companions(parts: Split[CaseFiles], options: SplitOptions, volumes: Volumes, tree: Path) -> dict[str, bytes]:
    """The files that go with the lists: the record, the picture and, if there are test cases, their list."""
    caption = "synthetic phantom, no patient data" if is_phantom(tree) else f"{len(parts.cases)} cases"
    about = {"caption": caption, "group": INSTITUTION, "label_scheme": parts.cases[0].scheme}
    return split_files(parts, to_plain(options), facts_with(volumes), DRAWN, tree, **about)


def audit(args: argparse.Namespace) -> None:
    """Show a table a site and what was found; errors end with the exit code of a mistake."""
    if args.json:
        _require_place(args.json)
    at_this_site = os.environ.get("DATASET_ROOT")
    dataset = args.dataset_base_dir or (absolute_path(at_this_site) if at_this_site else None)
    audits, across = audit_brats(args.what, dataset, args.allow_overlap, lambda site: audit_progress(site, echo))
    for found in audits:
        echo(site_table(found))
    if across:
        echo(across_text(across))
    if args.json:
        write_whole(args.json, as_json(sites_document(audits, across, key_of_this_site())))
    errors = sum(len(found.errors) for found in audits) + len(errors_of(across))
    if errors:
        found_errors = f"the audit of {args.what} found {counted(errors, 'error')}, listed above"
        raise InputError(f"{found_errors}; no run starts on these data.")


def _require_place(file: Path) -> None:
    """Refuse a file that cannot be written before the work for it."""
    if not file.parent.is_dir():
        raise InputError(f"{file} cannot be written, as its folder does not exist; make it, or choose another place.")
    if file.is_dir():
        raise InputError(f"{file} is a folder; give the name of a file.")


def phantom(args: argparse.Namespace) -> None:
    """Write a synthetic dataset with its lists."""
    lists = args.out / "datalist" if args.datalist is None else args.datalist
    size = (args.size[0], args.size[1], args.size[2])
    make_phantom(
        args.out, lists, args.sites, args.cases, args.validation, size, args.seed, args.layout,
        args.site_strength, args.validation_lists,
    )  # fmt: skip
    validating = args.validation * (args.sites if args.validation_lists == "per_site" else 1)
    count = args.sites * args.cases + validating
    echo(f"Wrote {count} synthetic cases ({validating} of them for validation); no patient data.")
    echo(export_lines(args.out, lists))


def show(args: argparse.Namespace) -> None:
    """Draw some cases of a tree."""
    format = picture_format(args.out)
    _require_place(args.out)
    what = "synthetic phantoms, no patient data" if is_phantom(args.tree) else args.tree.name
    chosen = chosen_cases(find_cases(args.tree), args.cases)
    write_whole(args.out, case_picture(chosen, what, format))
    echo(f"Drew {', '.join(case.name for case in chosen)} in {args.out}")


if __name__ == "__main__":
    sys.exit(run_script(main))
