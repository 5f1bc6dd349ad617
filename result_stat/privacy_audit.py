"""Attacks on a finished run, beside the privacy that it states: what its model and updates give away of its patients.

python result_stat/privacy_audit.py artifacts/run-001                membership inference on the best model
python result_stat/privacy_audit.py artifacts/run-001 --inversion    and an image from a site's first update

The tables name cases: they stay here, and are no part of what a site may send.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.files import write_whole
from fedmed.core.options import expect, expect_between
from fedmed.core.progress import importing, waiting

with importing(__name__):
    from torch import nn

    from fedmed.analysis.attacks.membership_audit import audit_membership, networks
    from fedmed.analysis.attacks.membership_cases import Subject, subjects
    from fedmed.analysis.attacks.stated_privacy import stated_privacy_of
    from fedmed.analysis.evaluation.case_scoring import caching_after
    from fedmed.analysis.inversion import inversion_picture
    from fedmed.analysis.inversion.exposure import attacked_image
    from fedmed.analysis.inversion.gradient_inversion import Search
    from fedmed.analysis.inversion.inversion_audit import audit_inversion, exposure_document, exposure_text
    from fedmed.data.audit.case_facts import FactsBook
    from fedmed.data.prepared.cache import Caching
    from fedmed.experiment import Experiment
    from fedmed.runs.run_folder import RunFolder
    from result_stat.evaluate import model_name

DATA = ("dataset_base_dir", "datalist_json_path")
SMALL = 16
"""The edge of an attacked image, where a network takes one so small: the search for a larger one takes long."""
NAME, PICTURE = "privacy_audit", "privacy_inversion.png"
STAY = "The .csv names cases: it stays on this machine, like the list of cases itself."


def main(arguments: Sequence[str]) -> None:
    """Attack, print and save."""
    args = parser().parse_args(arguments)
    check(args)
    run = RunFolder.open(args.run)
    experiment, stated = with_data(run.experiment(), args), stated_privacy_of(run)
    models = networks(run, experiment, args.model, args.reference)
    edge = edge_of(args.inversion_size, models[0]) if args.inversion else 0
    held = caching_after(experiment, run.name)
    people, scheme = subjects(experiment, experiment.data, FactsBook(held.disk))
    out = RunFolder(args.out or run.path)
    out.path.mkdir(parents=True, exist_ok=True)
    echo(f"{run.name}: {len(people)} cases, each through the model and the reference")
    with waiting(f"{run.name}: the cases go through the models"):
        audit = audit_membership(experiment, models, people, scheme, held, stated, args.seed)
    echo(f"\n{audit.text()}")
    out.write_text(f"{NAME}.csv", audit.table.to_csv(index=False))
    write_whole(out.path / f"{NAME}.png", audit.picture(f"{run.name}, {Path(args.model).name} model"))
    reference = str(args.reference or "the run's first weights")
    document = {"run": run.name, "model": args.model, "reference": reference, "seed": args.seed, **audit.document()}
    if args.inversion:
        document["inversion"] = inverted(run.name, experiment, people[0], scheme, held, out, edge, args)
    out.write_json(NAME, document)
    echo(f"\n{out.path / NAME}.json, .csv and .png{f', {PICTURE}' if args.inversion else ''}\n{STAY}")


def inverted(
    label: str,
    experiment: Experiment,
    subject: Subject,
    scheme: str | None,
    held: Caching,
    out: RunFolder,
    edge: int,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Invert a first update on an image or crop of one subject, print how well that went and draw it; its numbers."""
    search = Search(steps=args.inversion_steps, seed=args.seed)
    attacked = attacked_image(experiment, subject.case, scheme, held, edge)
    echo(f"\ninversion of a first update on {attacked.size}, label known to the attacker")
    with waiting("updates are inverted"):
        exposure = audit_inversion(experiment, attacked, search)
    echo(exposure_text(exposure))
    caption = f"{label}: a site's first update on {attacked.size}, label known"
    channels = [f"channel {number}" for number in range(1, attacked.image.shape[1] + 1)]
    modalities = experiment.task.label_map().get("input_channels", channels)
    write_whole(out.path / PICTURE, inversion_picture.picture(exposure, modalities, caption))
    return exposure_document(exposure, edge, search)


def parser() -> Parser:
    """The command line."""
    parser = Parser(description="Attacks on a finished run, beside what its privacy promised.")
    parser.add_argument("run", type=absolute_path, help="run folder")
    parser.add_argument(
        "--model", type=model_name, default="best", help="best, last or a .pt file (default: %(default)s)"
    )
    parser.add_argument(
        "--reference",
        type=absolute_path,
        help="run folder or .pt that sets a case's difficulty (default: first weights)",
    )
    parser.add_argument("--dataset_base_dir", type=absolute_path, help="dataset folder (default: the run's)")
    parser.add_argument("--datalist_json_path", type=absolute_path, help="folder of the lists (default: the run's)")
    parser.add_argument("--out", type=absolute_path, help="folder of the results (default: the run's)")
    parser.add_argument("--inversion", action="store_true", help="also invert a site's first update")
    parser.add_argument(
        "--inversion_size", type=int, metavar="N",
        help=f"edge of the crop in voxels, or of the image in pixels (default: {SMALL}, or the least of the network)",
    )  # fmt: skip
    parser.add_argument("--inversion_steps", type=int, default=400, metavar="N", help="steps of the search")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap, the search and the noise")
    return parser


def check(args: argparse.Namespace) -> None:
    """Refuse values out of range.

    Raises:
        InputError: there is one.
    """
    if args.inversion_size is not None:
        expect_between("inversion_size", args.inversion_size, 1, 256)
    expect_between("inversion_steps", args.inversion_steps, 1, 1_000_000)
    expect(0 <= args.seed < 2**32, "seed", args.seed, "a whole number from 0 to 2^32 - 1")


def edge_of(given: int | None, network: nn.Module) -> int:
    """The edge of the image that is attacked: the given one, or else ``SMALL`` or the least that the network takes.

    Raises:
        InputError: the edge is not divisible as the network needs it, or too short.
    """
    divisor, least = (int(getattr(network, name, 1)) for name in ("DIVISOR", "LEAST_EDGE"))
    edge = max(SMALL, least) if given is None else given
    ok = edge % divisor == 0 and edge >= least
    expect(ok, "inversion_size", edge, f"a number of at least {least} that {divisor} divides")
    return edge


def with_data(experiment: Experiment, args: argparse.Namespace) -> Experiment:
    """The run's experiment on the data that are named, or else on the run's."""
    named = {name: getattr(args, name) or getattr(experiment.data, name) for name in DATA}
    return experiment.with_data(dataclasses.replace(experiment.data, **named))


if __name__ == "__main__":
    sys.exit(run_script(main))
