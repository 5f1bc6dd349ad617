"""The cost of a federated round: the published recipe's settings and this project's, in turn on the same phantoms.

python benchmarks/round_time.py --seeds 3 --rounds 8 --out benchmarks/round_time     published against ours
python benchmarks/round_time.py --steps                                              one change after another
python benchmarks/round_time.py --gpu 0 --size 240 240 155 --roi_size 224 224 144 --infer_roi_size 240 240 160

The results are in benchmarks/README.md.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.bare_loop import bare
from benchmarks.watched_run import Watched, watch
from fedmed.command_line import read_experiment
from fedmed.core import machine
from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.experiment import Experiment

CORES = len(os.sched_getaffinity(0))

PUBLISHED = (
    *("--preset", "published", "--cache_gb", 0, "--num_workers", 1, "--cpu_threads", CORES),
    *("--memory_format", "contiguous", "--poll_s", 0, "--freed_memory", "return"),
)
"""The published arithmetic, and the published way: nothing kept, one loader process, every core for every site."""

STEPS: Mapping[str, tuple[object, ...]] = {
    "published": (),
    "threads = cores / sites": ("--cpu_threads", max(1, CORES // 4)),
    "bf16": ("--precision", "auto"),
    "normalised before the crop, kept on disk": ("--normalize", "volume", "--cache_gb", 20),
    "a thread instead of a loader process": ("--num_workers", 0),
    "windows that fit the volume": ("--windows", "fitted"),
    "each validation case scored once": ("--validation", "split"),
    "channels-last, quick group norm": ("--memory_format", "auto"),
    "freed memory kept, in huge pages": ("--freed_memory", "keep"),
    "FLARE's waits 0.05 s": ("--poll_s", 0.05),
    "cases in memory": ("--cache_dataset", 1),
    "cropped to the brain": ("--crop_to_brain",),
    "validation every 2 rounds": ("--validate_every", 2),
}
"""Each adds its options to those before it."""

OURS = ("--preset", "standard", "--cache_dataset", 1, "--crop_to_brain")

BOTH: Mapping[str, tuple[object, ...]] = {
    "published": PUBLISHED,
    "ours": OURS,
    "ours in a pool": (*OURS, "--env", "pool"),
    "ours in a pool, validated every 2 rounds": (*OURS, "--env", "pool", "--validate_every", 2),
}


def main(arguments: Sequence[str]) -> None:
    """Print a table; with ``--out`` write its numbers, the machine and a figure too."""
    args = read_arguments(arguments)
    ways = steps() if args.steps else BOTH
    ways = {name: way for name, way in ways.items() if name in (args.ways or ways)}
    with TemporaryDirectory(prefix="round-time-") as folder:
        place = Path(folder)
        sites = {"sites": args.sites, "cases": args.cases, "validation": args.validation}
        make_phantom(place / "data", place / "data" / "datalist", size=tuple(args.size), **sites)
        found = in_turn(ways, args, place)
    echo(table(found))
    if args.out:
        write(found, args, args.out)


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = Parser(description=__doc__.partition("\n")[0])
    for name, default, what in (
        ("sites", 4, "sites"),
        ("cases", 4, "training cases at each site"),
        ("validation", 4, "validation cases that all sites list"),
        ("rounds", 3, "federated rounds; the first is left out of the median"),
        ("epochs", 1, "local epochs a round"),
        ("seeds", 1, "repetitions with seeds 0, 1, 2, ..."),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default: %(default)s)")
    for name, size in (("size", (96, 96, 80)), ("roi_size", (64, 64, 64)), ("infer_roi_size", (96, 96, 96))):
        parser.add_argument(f"--{name}", type=int, nargs=3, default=size, help="voxels (default: %(default)s)")
    parser.add_argument("--learning_rate", type=float, default=1.5e-3, help="Adam's (default: %(default)s)")
    parser.add_argument("--gpu", help="GPU of all sites (default: none)")
    parser.add_argument("--steps", action="store_true", help="measure one change after another instead")
    parser.add_argument("--ways", nargs="+", help="only these rows of the table")
    parser.add_argument("--out", type=absolute_path, help="write OUT.json and OUT.png")
    return parser.parse_args(arguments)


def steps() -> dict[str, tuple[object, ...]]:
    """The options of each step, with those of the steps before it; what is given twice counts the last time."""
    ways, so_far = {}, list(PUBLISHED)
    for name, more in STEPS.items():
        so_far += more
        ways[name] = tuple(so_far)
    return ways


def in_turn(ways: Mapping[str, Sequence[object]], args: argparse.Namespace, place: Path) -> dict[str, dict[str, Any]]:
    """All ways with one seed before the next seed, so that a machine that slows down does so for all."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for seed in range(args.seeds):
        for name, way in ways.items():
            runs[name].append(measured(way, args, place, seed))
            last = runs[name][-1]
            echo(f"{name}, seed {seed}: {last['round_s']:.1f} s a round, Dice {last['dice'][-1]:.3f}", sys.stderr)
    return {name: pooled(each) for name, each in runs.items()}


def measured(way: Sequence[object], args: argparse.Namespace, place: Path, seed: int = 0) -> dict[str, Any]:
    """One run and its bare loop."""
    data = place / "data"
    options = [
        *("--dataset_base_dir", data, "--datalist_json_path", data / "datalist"),
        *("--n_clients", args.sites, "--num_rounds", args.rounds, "--aggregation_epochs", args.epochs),
        *("--cache_dir", place / "cache", "--roi_size", *args.roi_size, "--infer_roi_size", *args.infer_roi_size),
        *("--learning_rate", args.learning_rate, "--seed", seed, *(("--gpu", args.gpu) if args.gpu else ()), *way),
    ]
    experiment = read_experiment([str(option) for option in options])
    with TemporaryDirectory(prefix="run-", dir=place) as folder:
        run = watch(options, Path(folder))
    return facts(run, _bare_round_s(experiment, args))


def _bare_round_s(experiment: Experiment, args: argparse.Namespace) -> float:
    once = experiment.performance.validation == "split"
    cases = args.validation * (1 if once else args.sites) / experiment.training.validate_every
    processors = len(args.gpu.split(",")) if args.gpu else min(args.sites, CORES)
    return bare(experiment).round_s(args.sites * args.cases * args.epochs, cases, processors)


def facts(run: Watched, bare_round_s: float) -> dict[str, Any]:
    """A run in numbers: s, GB, shares of 1, Dice by round."""
    return {
        "round_s": run.usual_round_s,
        "bare_round_s": bare_round_s,
        "share_of_arithmetic": bare_round_s / run.usual_round_s,
        "startup_s": run.startup_s,
        "peak_gb": run.peak / 1e9,
        "gpu_busy": mean(run.gpu_busy) / 100 if run.gpu_busy else None,
        "gpu_peak_gb": run.gpu_peak_mib * 2**20 / 1e9,
        "dice": run.dice,
        "runs": [asdict(run)],
    }


def pooled(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several seeds: the mean of each number, and by round the mean Dice."""
    numbers = {name: mean(run[name] for run in runs) for name, value in runs[0].items() if isinstance(value, float)}
    rounds = zip(*(run["dice"] for run in runs), strict=True)
    dice = [mean(values) if None not in values else None for values in rounds]
    return {**runs[0], **numbers, "dice": dice, "runs": [each for run in runs for each in run["runs"]]}


def last_dice(found: Mapping[str, Any]) -> list[float]:
    """The final model's Dice of each seed."""
    return [run["dice"][-1] for run in found["runs"]]


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: a row a way, compared with the first one."""
    first = next(iter(found.values()))
    lines = [
        "| | s a round | times faster | arithmetic | start-up s | peak GB | final Dice |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, each in found.items():
        dice = last_dice(each)
        spread = f" ({min(dice):.3f} to {max(dice):.3f})" if len(dice) > 1 else ""
        busy = (
            f", GPU busy {each['gpu_busy']:.0%}, {each['gpu_peak_gb']:.1f} GB" if each["gpu_busy"] is not None else ""
        )
        lines.append(
            f"| {name} | {each['round_s']:.1f} | {first['round_s'] / each['round_s']:.1f} | "
            f"{each['share_of_arithmetic']:.0%}{busy} | {each['startup_s']:.0f} | {each['peak_gb']:.1f} | "
            f"{mean(dice):.3f}{spread} |"
        )
    return "\n".join(lines)


def write(found: Mapping[str, Mapping[str, Any]], args: argparse.Namespace, out: Path) -> None:
    """``out``.json with the machine and the settings, ``out``.png with the seconds and the Dice of each way."""
    settings = {name: value for name, value in vars(args).items() if name != "out"}
    here = machine.describe()
    document = {"settings": settings, "machine": here, "found": found}
    out.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n")
    draw(found, machine.one_line(here), out.with_suffix(".png"))


def draw(found: Mapping[str, Mapping[str, Any]], where: str, path: Path) -> None:
    """Seconds a round and the part of them that is arithmetic; Dice by round, a line a seed."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    bars, curves = figure.subplots(1, 2)
    for place, (name, each) in enumerate(found.items()):
        bars.barh(place, each["round_s"], color="0.8", label="all else" if place == 0 else None)
        bars.barh(place, each["bare_round_s"], color="tab:blue", label="arithmetic" if place == 0 else None)
        bars.text(each["round_s"], place, f" {each['round_s']:.1f} s", va="center")
        for number, run in enumerate(each["runs"]):
            scored = {done: dice for done, dice in enumerate(run["dice"]) if dice is not None}
            label = name if number == 0 else None
            curves.plot(scored.keys(), scored.values(), color=f"C{place}", marker=".", alpha=0.8, label=label)
    bars.set_yticks(range(len(found)), list(found))
    bars.invert_yaxis()
    bars.set_xlim(right=1.25 * max(each["round_s"] for each in found.values()))
    bars.set_xlabel("seconds a round, median after the first")
    curves.set_xlabel("federated rounds")
    curves.set_ylabel("mean Dice on phantoms")
    curves.xaxis.set_major_locator(MaxNLocator(integer=True))
    bars.legend(loc="lower right", fontsize=8)
    curves.legend(fontsize=8)
    figure.supxlabel(where, fontsize=8, color="0.35")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    sys.exit(run_script(main))
