"""What a finished run gives away of the patients it was trained on: attacks beside what its privacy promised.

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

import pandas as pd
import torch
from torch import nn
from torch.utils.data import Dataset

from fedmed.analysis.attacks import audit_report, inversion_picture, membership_picture, stated_privacy
from fedmed.analysis.attacks.exposure import Exposure, crop_of, expose
from fedmed.analysis.attacks.inversion import Search
from fedmed.analysis.attacks.membership import Found, Treated, attack, table_of, treated
from fedmed.analysis.attacks.membership_cases import subjects
from fedmed.analysis.attacks.network import initial_network
from fedmed.analysis.attacks.protection import Protect, gaussian, of_run
from fedmed.analysis.attacks.stated_privacy import Promise, promise_of
from fedmed.analysis.evaluation.case_scoring import caching_after
from fedmed.analysis.evaluation.trained_model import model_file, network_of
from fedmed.core.cli import Parser, absolute_path
from fedmed.core.errors import InputError, in_words
from fedmed.core.files import write_whole
from fedmed.core.memory_format import channels_last, use_channels_last
from fedmed.core.options import expect, expect_at_least
from fedmed.data.audit.case_facts import FactsBook
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from model import BratsSegResNet

DATA = ("dataset_base_dir", "datalist_json_path")
NAME, PICTURE = "privacy_audit", "privacy_inversion.png"
UNPROTECTED = "no privacy"
NOISE = 1.0
"""z of the Gaussian mechanism that an inversion is shown with."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack, print and save; 0 when done, 2 when something given cannot be used."""
    try:
        args = parser().parse_args(arguments)
        check(args)
        audit(args)
    except (InputError, OSError) as error:
        print(f"error: {' '.join(in_words(error).split())}", file=sys.stderr)
        return 2
    return 0


def parser() -> Parser:
    """The command line."""
    parser = Parser(description="Attacks on a finished run, beside what its privacy promised.")
    parser.add_argument("run", type=absolute_path, help="run folder")
    parser.add_argument("--model", type=_model, default="best", help="best, last or a .pt file (default: %(default)s)")
    parser.add_argument(
        "--reference",
        type=absolute_path,
        help="run folder or .pt that sets a case's difficulty (default: first weights)",
    )
    parser.add_argument("--dataset_base_dir", type=absolute_path, help="dataset folder (default: the run's)")
    parser.add_argument("--datalist_json_path", type=absolute_path, help="folder of the lists (default: the run's)")
    parser.add_argument("--out", type=absolute_path, help="folder of the results (default: the run's)")
    parser.add_argument("--inversion", action="store_true", help="also invert a site's first update")
    parser.add_argument("--inversion_size", type=int, default=16, metavar="N", help="voxels along an edge of the crop")
    parser.add_argument("--inversion_steps", type=int, default=400, metavar="N", help="steps of the search")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap, the search and the noise")
    return parser


def check(args: argparse.Namespace) -> None:
    """Refuse values out of range.

    Raises:
        InputError: there is one.
    """
    size = args.inversion_size
    expect(size > 0 and size % BratsSegResNet.DIVISOR == 0, "inversion_size", size, "a number above 0 that 8 divides")
    expect_at_least("inversion_steps", args.inversion_steps, 1)
    expect(0 <= args.seed < 2**32, "seed", args.seed, "a whole number from 0 to 2^32 - 1")


def audit(args: argparse.Namespace) -> None:
    """Everything: read the run, attack it, print the table and leave the files."""
    run = RunFolder.open(args.run)
    experiment, promised = with_data(run.experiment(), args), promise_of(run)
    target, reference = networks(run, experiment, args)
    held = caching_after(experiment, run.name)
    people, scheme = subjects(experiment, experiment.data, FactsBook(held.disk))
    out = folder(args.out or run.path)
    print(f"{run.name}: {len(people)} cases, each through the model and the reference", flush=True)
    cases = experiment.task.eval_set([each.case for each in people], scheme, held)
    table = table_of(people, *(treated_by(experiment, model, cases) for model in (target, reference)))
    found = attack(table, seed=args.seed)
    print(f"\n{audit_report.as_text(found, promised)}\n\n{stated_privacy.in_words(promised)}", flush=True)
    write_membership(out, table, found, promised, f"{run.name}, {Path(args.model).name} model")
    told = document(args, run, found, promised)
    if args.inversion:
        edge = args.inversion_size
        crop = crop_of(experiment, people[0].case, scheme, held, (edge, edge, edge))
        exposure = exposed(experiment, crop, args)
        told["inversion"] = inversion_document(exposure, args)
        caption = f"{run.name}: a site's first update on one crop of {args.inversion_size}^3, label known"
        modalities = experiment.task.label_map()["input_channels"]
        write_whole(out.path / PICTURE, inversion_picture.picture(exposure, modalities, caption))
    out.write_json(NAME, told)
    print(f"\n{out.path / NAME}.json, .csv and .png{f', {PICTURE}' if args.inversion else ''}\n{STAY}")


def networks(run: RunFolder, experiment: Experiment, args: argparse.Namespace) -> tuple[nn.Module, nn.Module]:
    """The network under attack and the reference.

    Raises:
        InputError: there are no such weights, or they are of another network.
    """
    target = network_of(experiment.task, model_file(run, args.model))
    if args.reference is None:
        return target, initial_network(experiment)
    other = model_file(RunFolder.open(args.reference), "best") if args.reference.is_dir() else args.reference
    return target, network_of(experiment.task, other)


def exposed(experiment: Experiment, crop: Exposure, args: argparse.Namespace) -> Exposure:
    """Invert the first update on a crop, and say how well that went."""
    protections: dict[str, Protect | None] = {UNPROTECTED: None}
    own = of_run(experiment)
    if own is not None:
        protections[f"the run's {experiment.privacy.name}"] = own
    protections[f"Gaussian z = {NOISE:g}"] = gaussian(None, NOISE, args.seed)
    print(f"\ninversion of a first update on {args.inversion_size}^3 voxels, label known to the attacker", flush=True)
    exposure = expose(experiment, crop, protections, Search(steps=args.inversion_steps, seed=args.seed))
    for each in exposure.attempts:
        told = f"PSNR {each.psnr:5.1f} dB  correlation {each.correlation:5.2f}"
        print(f"  {each.observed:<12} {each.protection:<16} {told}")
    print(exposure.verdict(UNPROTECTED))
    return exposure


def treated_by(experiment: Experiment, model: nn.Module, cases: Dataset[Any]) -> list[Treated]:
    """How a model does on each case, computed as at the sites."""
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    model.to(device)
    if channels_last(experiment.performance, device):
        use_channels_last(model)
    return treated(experiment.task, model, cases, device, experiment.training.precision)


def write_membership(
    out: RunFolder, table: pd.DataFrame, found: Sequence[Found], promised: Promise | None, caption: str
) -> None:
    """Leave the table of the cases and the picture."""
    bound = promised.of_patients() if promised else None
    out.write_text(f"{NAME}.csv", table.to_csv(index=False))
    write_whole(out.path / f"{NAME}.png", membership_picture.picture(table, found, bound, caption))


def inversion_document(exposure: Exposure, args: argparse.Namespace) -> dict[str, Any]:
    """An inversion's numbers as JSON values."""
    attempts = [{k: v for k, v in each._asdict().items() if k != "image"} for each in exposure.attempts]
    verdict = exposure.verdict(UNPROTECTED).splitlines()
    return {"size": args.inversion_size, "steps": args.inversion_steps, "attempts": attempts, "verdict": verdict}


def document(
    args: argparse.Namespace, run: RunFolder, found: Sequence[Found], promised: Promise | None
) -> dict[str, Any]:
    """What was attacked, and what came out, as JSON values without any case's name."""
    return {
        "run": run.name,
        "model": args.model,
        "reference": str(args.reference or "the run's first weights"),
        "seed": args.seed,
        "attacks": [audit_report.as_json(each, promised) for each in found],
        "promise": stated_privacy.as_json(promised),
    }


def with_data(experiment: Experiment, args: argparse.Namespace) -> Experiment:
    """The run's experiment on the data that are named, or else on the run's."""
    named = {name: getattr(args, name) or getattr(experiment.data, name) for name in DATA}
    return experiment.with_data(dataclasses.replace(experiment.data, **named))


def folder(path: Path) -> RunFolder:
    """Where the results go, made if it is not there.

    Raises:
        OSError: it cannot be made.
    """
    path.mkdir(parents=True, exist_ok=True)
    return RunFolder(path)


def _model(text: str) -> str:
    return text if text in ("best", "last") else str(absolute_path(text))


STAY = "The .csv names cases: it stays on this machine, like the list of cases itself."

if __name__ == "__main__":
    sys.exit(main())
