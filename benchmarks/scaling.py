"""Growth of a run's time and memory with sites, with cases and with rounds; on small phantoms.

python benchmarks/scaling.py --out benchmarks/scaling        the result is in benchmarks/README.md
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import numpy as np
from matplotlib.figure import Figure

from benchmarks.watched_run import Watched, watch
from fedmed.core import machine
from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.data.phantoms.phantom import make_phantom

FEW_ROUNDS = 3
WINDOW = ("--roi_size", 32, 32, 32, "--infer_roi_size", 48, 48, 48)


def main(arguments: Sequence[str]) -> None:
    """Print a table for sites, one for cases, and how memory grows with rounds."""
    args = _parser().parse_args(arguments)
    rows = [row(args, sites, args.few_cases, FEW_ROUNDS) for sites in args.sites]
    rows += [row(args, args.few_sites, cases, FEW_ROUNDS) for cases in args.cases]
    long = row(args, args.few_sites, args.few_cases, args.rounds)
    echo(f"{table(rows)}\n\n{growth_in_words(long['peak_by_round'])}")
    if args.out:
        write(rows, long, args)


def _parser() -> Parser:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sites", type=int, nargs="+", default=[2, 4, 8, 16], help="(default: %(default)s)")
    parser.add_argument("--cases", type=int, nargs="+", default=[4, 16, 64], help="cases a site (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=120, help="of the run for memory (default: %(default)s)")
    parser.add_argument("--few_sites", type=int, default=2, help="while cases or rounds grow (default: %(default)s)")
    parser.add_argument("--few_cases", type=int, default=2, help="while sites or rounds grow (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=3, default=(48, 48, 40), help="voxels (default: %(default)s)")
    parser.add_argument("--out", type=absolute_path, help="write OUT.json and OUT.png")
    return parser


def row(args: argparse.Namespace, sites: int, cases: int, rounds: int) -> dict[str, Any]:
    """One run in numbers: s, bytes."""
    with TemporaryDirectory(prefix="scaling-") as folder:
        data, runs = Path(folder) / "data", Path(folder) / "runs"
        runs.mkdir()
        make_phantom(data, data / "datalist", sites=sites, cases=cases, validation=2, size=tuple(args.size))
        paths = ("--dataset_base_dir", data, "--datalist_json_path", data / "datalist")
        run: Watched = watch([*paths, "--n_clients", sites, "--num_rounds", rounds, *WINDOW], runs)
    echo(f"{sites} sites, {cases} cases each: {run.usual_round_s:.1f} s a round", sys.stderr)
    numbers = {"round_s": run.usual_round_s, "startup_s": run.startup_s, "peak": run.peak}
    return {"sites": sites, "cases": cases, **numbers, "peak_by_round": run.peak_by_round}


def growth(peak_by_round: Sequence[int]) -> float:
    """Bytes a round by which the memory grows, of a straight line through the second half of the rounds."""
    half = list(peak_by_round[len(peak_by_round) // 2 :])
    return float(np.polyfit(range(len(half)), half, 1)[0]) if len(half) > 1 else 0.0


def growth_in_words(peak_by_round: Sequence[int]) -> str:
    """A sentence on the growth of memory."""
    rounds = len(peak_by_round) - 1
    return f"Memory over {rounds} rounds: {growth(peak_by_round) / 1e6:+.1f} MB a round in the second half of them."


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown; per site and per case too, which stay equal where growth is proportional."""
    lines = ["| sites | cases each | s a round | ms a case | start-up s | peak GB | GB a site |", "|---:" * 7 + "|"]
    for each in rows:
        a_case = 1000 * each["round_s"] / (each["sites"] * each["cases"])
        lines.append(
            f"| {each['sites']} | {each['cases']} | {each['round_s']:.1f} | {a_case:.0f} | {each['startup_s']:.0f} | "
            f"{each['peak'] / 1e9:.1f} | {each['peak'] / 1e9 / each['sites']:.2f} |"
        )
    return "\n".join(lines)


def write(rows: Sequence[dict[str, Any]], long: dict[str, Any], args: argparse.Namespace) -> None:
    """The numbers with the machine, and a figure."""
    settings = {name: value for name, value in vars(args).items() if name != "out"}
    here = machine.describe()
    document = {"settings": settings, "machine": here, "rows": rows, "rounds": long}
    args.out.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n")
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    by_sites, by_cases, by_rounds = figure.subplots(1, 3)
    for axes, rows_of, what in (
        (by_sites, rows[: len(args.sites)], "sites"),
        (by_cases, rows[len(args.sites) :], "cases"),
    ):
        axes.plot(
            [each[what] for each in rows_of], [each["round_s"] for each in rows_of], marker="o", label="s a round"
        )
        axes.plot(
            [each[what] for each in rows_of], [each["peak"] / 1e9 for each in rows_of], marker="s", label="peak GB"
        )
        axes.set_xlabel(what if what == "sites" else "cases a site")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=8)
    by_rounds.plot([value / 1e9 for value in long["peak_by_round"]], color="C1", marker=".")
    by_rounds.set_xlabel("federated rounds")
    by_rounds.set_ylabel("memory of all processes, GB")
    by_rounds.set_ylim(bottom=0)
    figure.supxlabel(machine.one_line(here), fontsize=8, color="0.35")
    figure.savefig(args.out.with_suffix(".png"), dpi=120)


if __name__ == "__main__":
    sys.exit(run_script(main))
