"""Growth of a run's time and memory with sites, in FLARE's simulator and in a pool; with cases and with rounds.

python benchmarks/scaling.py --out benchmarks/scaling        the result is in benchmarks/README.md

On small phantoms of hippocampi, so that what is measured is the federation and not the arithmetic.
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
import psutil
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.watched_run import Watched, watch
from fedmed.core import machine
from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.data.phantoms.hippocampus_phantom import demo_hippocampi

FEW_ROUNDS = 3
EDGE = 24
"""Voxels along each edge of a phantom."""

SIMULATED_SITE = 350_000_000
"""Bytes of a site's process in the simulator that it shares with no other."""

TASK = ("--task", "hippocampus", "--preset", "standard", "--window_size", EDGE, EDGE, EDGE)


def main(arguments: Sequence[str]) -> None:
    """Print a table for sites, one for cases, and how memory grows with rounds."""
    args = _parser().parse_args(arguments)
    pairs = [(env, many) for many in args.sites for env in args.envs if fits(env, many)]
    sites = [row(env, many, args.few_cases, FEW_ROUNDS) for env, many in pairs]
    sites += [row("pool", many, args.few_cases, FEW_ROUNDS) for many in args.pool_sites]
    cases = [row("pool", args.few_sites, many, FEW_ROUNDS) for many in args.cases]
    long = row("pool", args.few_sites, args.few_cases, args.rounds)
    echo(f"{table(sites)}\n\n{table(cases)}\n\n{growth_in_words(long['peak_by_round'])}")
    if args.out:
        write(sites, cases, long, args)


def _parser() -> Parser:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--envs", nargs="+", default=["sim", "pool"], help="of --sites (default: %(default)s)")
    parser.add_argument("--sites", type=int, nargs="+", default=[4, 16, 100], help="(default: %(default)s)")
    parser.add_argument("--pool_sites", type=int, nargs="*", default=[1000], help="in a pool (default: %(default)s)")
    parser.add_argument("--cases", type=int, nargs="+", default=[4, 16, 64], help="cases a site (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=120, help="of the run for memory (default: %(default)s)")
    parser.add_argument("--few_sites", type=int, default=4, help="while cases or rounds grow (default: %(default)s)")
    parser.add_argument("--few_cases", type=int, default=2, help="while sites or rounds grow (default: %(default)s)")
    parser.add_argument("--out", type=absolute_path, help="write OUT.json and OUT.png")
    return parser


def fits(env: str, sites: int) -> bool:
    """True where this machine has the memory for a process a site."""
    needed = sites * SIMULATED_SITE
    fitting = env == "pool" or needed < psutil.virtual_memory().available
    if not fitting:
        echo(f"{env}, {sites} sites: not run, as it would take about {needed / 1e9:.0f} GB", sys.stderr)
    return fitting


def row(env: str, sites: int, cases: int, rounds: int) -> dict[str, Any]:
    """One run in numbers: s, bytes."""
    with TemporaryDirectory(prefix="scaling-") as folder:
        data, runs = Path(folder) / "data", Path(folder) / "runs"
        runs.mkdir()
        demo_hippocampi(data, sites=sites, cases=cases, validation=2, size=(EDGE, EDGE, EDGE))
        paths = ("--dataset_base_dir", data, "--datalist_json_path", data / "datalist", "--env", env)
        run: Watched = watch([*TASK, *paths, "--n_clients", sites, "--num_rounds", rounds], runs)
    echo(f"{env}, {sites} sites, {cases} cases each: {run.usual_round_s:.1f} s a round", sys.stderr)
    numbers = {"round_s": run.usual_round_s, "startup_s": run.startup_s, "peak": run.peak}
    return {"env": env, "sites": sites, "cases": cases, **numbers, "peak_by_round": run.peak_by_round}


def growth(peak_by_round: Sequence[int]) -> float:
    """Bytes a round by which the memory grows, of a straight line through the second half of the rounds."""
    half = list(peak_by_round[len(peak_by_round) // 2 :])
    return float(np.polyfit(range(len(half)), half, 1)[0]) if len(half) > 1 else 0.0


def growth_in_words(peak_by_round: Sequence[int]) -> str:
    """A sentence on the growth of memory."""
    rounds = len(peak_by_round) - 1
    return f"Memory over {rounds} rounds: {growth(peak_by_round) / 1e6:+.1f} MB a round in the second half of them."


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown; per site and round too, which stays equal where growth is proportional."""
    lines = ["| in | sites | cases each | s a round | ms a site | start-up s | peak GB |", "|---|" + "---:|" * 6]
    for each in rows:
        lines.append(
            f"| {each['env']} | {each['sites']} | {each['cases']} | {each['round_s']:.1f} | "
            f"{1000 * each['round_s'] / each['sites']:.0f} | {each['startup_s']:.0f} | {each['peak'] / 1e9:.1f} |"
        )
    return "\n".join(lines)


def write(
    sites: Sequence[dict[str, Any]], cases: Sequence[dict[str, Any]], long: dict[str, Any], args: argparse.Namespace
) -> None:
    """The numbers with the machine, and a figure."""
    settings = {name: value for name, value in vars(args).items() if name != "out"}
    here = machine.describe()
    document = {"settings": settings, "machine": here, "sites": sites, "cases": cases, "rounds": long}
    args.out.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n")
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    times, memory, by_rounds = figure.subplots(1, 3)
    for env in dict.fromkeys(each["env"] for each in sites):
        _draw_env(env, [each for each in sites if each["env"] == env], times, memory)
    times.set(xscale="log", yscale="log", xlabel="sites", ylabel="seconds a round")
    memory.set(xscale="log", yscale="log", xlabel="sites", ylabel="memory of all processes, GB")
    times.legend(fontsize=8)
    by_rounds.plot([value / 1e9 for value in long["peak_by_round"]], color="C1", marker=".")
    by_rounds.set(xlabel="federated rounds", ylabel="memory of all processes, GB")
    by_rounds.set_ylim(bottom=0)
    figure.supxlabel(machine.one_line(here), fontsize=8, color="0.35")
    figure.savefig(args.out.with_suffix(".png"), dpi=120)


def _draw_env(env: str, rows: Sequence[dict[str, Any]], times: Axes, memory: Axes) -> None:
    """An environment's line in both pictures, over the number of sites."""
    counts, color = [each["sites"] for each in rows], "C0" if env == "sim" else "C1"
    times.plot(counts, [each["round_s"] for each in rows], marker="o", color=color, label=env)
    memory.plot(counts, [each["peak"] / 1e9 for each in rows], marker="s", color=color, label=env)


if __name__ == "__main__":
    sys.exit(run_script(main))
