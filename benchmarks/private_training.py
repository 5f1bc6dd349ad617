"""The cost of privacy mechanisms in time and memory, beside plain training, in turn on the same phantoms.

python benchmarks/private_training.py --rounds 4        the result is in benchmarks/README.md
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from benchmarks.watched_run import Watched, watch
from fedmed.core import machine
from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.data.phantoms.phantom import make_phantom

WAYS: Mapping[str, tuple[object, ...]] = {
    "none": (),
    "svt": ("--privacy", "svt"),
    "gaussian": ("--privacy", "gaussian", "--dp_noise_multiplier", 1),
    "gaussian, secure noise": ("--privacy", "gaussian", "--dp_noise_multiplier", 1, "--dp_secure_noise"),
    "dpsgd": ("--privacy", "dpsgd", "--dp_noise_multiplier", 1, "--batch_size", 4),
    "dpsgd, secure noise": (
        *("--privacy", "dpsgd", "--dp_noise_multiplier", 1, "--batch_size", 4),
        "--dp_secure_noise",
    ),
}
"""A patient passes once an epoch in each: one a step in plain training, four a step on average under dpsgd."""


def main(arguments: Sequence[str]) -> None:
    """Print a table; with ``--out`` write its numbers and the machine too."""
    args = _parser().parse_args(arguments)
    with TemporaryDirectory(prefix="private-") as folder:
        data = Path(folder) / "data"
        size = (args.size[0], args.size[1], args.size[2])
        make_phantom(data, data / "datalist", sites=2, cases=args.patients, validation=1, size=size)
        found = {name: _watched(way, args, Path(folder), data) for name, way in WAYS.items()}
    echo(table(found))
    if args.out:
        numbers = {name: {"round_s": run.usual_round_s, "peak": run.peak} for name, run in found.items()}
        settings = {name: value for name, value in vars(args).items() if name != "out"}
        document = {"settings": settings, "machine": machine.describe(), "found": numbers}
        args.out.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n")


def _parser() -> Parser:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--patients", type=int, default=8, help="training patients a site (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="the first is left out (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=3, default=(80, 80, 72), help="voxels (default: %(default)s)")
    parser.add_argument("--roi_size", type=int, nargs=3, default=(64, 64, 64), help="voxels (default: %(default)s)")
    parser.add_argument("--out", type=absolute_path, help="write OUT.json")
    return parser


def _watched(way: Sequence[object], args: argparse.Namespace, place: Path, data: Path) -> Watched:
    """Two sites, a round of one epoch, no validation after the first round."""
    usual = (
        *("--dataset_base_dir", data, "--datalist_json_path", data / "datalist", "--cache_dir", place / "cache"),
        *("--n_clients", 2, "--num_rounds", args.rounds, "--roi_size", *args.roi_size, "--cache_dataset", 1),
    )
    with TemporaryDirectory(prefix="run-", dir=place) as folder:
        return watch([*usual, "--validate_every", 1000, *way], Path(folder))


def table(found: Mapping[str, Watched]) -> str:
    """Markdown: a row a mechanism, compared with the first one."""
    plain = next(iter(found.values()))
    lines = ["| | s a round | times plain | peak GB | times plain |", "|---|---:|---:|---:|---:|"]
    lines += [
        f"| {name} | {run.usual_round_s:.1f} | {run.usual_round_s / plain.usual_round_s:.2f} | {run.peak / 1e9:.2f} | "
        f"{run.peak / plain.peak:.2f} |"
        for name, run in found.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_script(main))
