"""A training step of the published network with one change after another, in one process on one GPU or CPU.

python benchmarks/gpu_steps.py --crop 224 224 144 --out steps.json        part of benchmarks/gpu.sh
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import torch
from torch import nn

from fedmed.core import machine
from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.optimizer import make_optimizer
from fedmed.tasks.brats18 import Brats18


def main(arguments: Sequence[str]) -> None:
    """Print a table: seconds a step and peak GPU memory of each way."""
    args = _parser().parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = {}
    for name, way in WAYS.items():
        if name in (args.ways or WAYS):
            rows[name] = measured(way, args, device)
            echo(f"{name}: {rows[name]}", sys.stderr)
    echo(table(rows))
    if args.out:
        args.out.write_text(
            json.dumps({"machine": machine.describe(), "crop": args.crop, "rows": rows}, indent=2) + "\n"
        )


def _parser() -> Parser:
    parser = Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("--crop", type=int, nargs=3, default=(224, 224, 144), help="voxels (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=6, help="timed ones, after two others (default: %(default)s)")
    parser.add_argument("--ways", nargs="+", help=f"only some of: {', '.join(WAYS)}")
    parser.add_argument("--out", type=absolute_path, help="write the numbers as JSON")
    return parser


Way = Mapping[str, bool]

WAYS: Mapping[str, Way] = {
    "fp32": {},
    "bf16": {"bf16": True},
    "bf16, channels-last": {"bf16": True, "channels_last": True},
    "bf16, cudnn.benchmark": {"bf16": True, "benchmark": True},
    "bf16, torch.compile": {"bf16": True, "compiled": True},
}


def measured(way: Way, args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Seconds a step, and peak GPU memory in GB; or why the way does not run here."""
    torch.backends.cudnn.benchmark = way.get("benchmark", False)
    try:
        step = step_of(way, tuple(args.crop), device)
        began = time.perf_counter()
        for _ in range(2):
            step()
        first_s = time.perf_counter() - began
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds = [timed(step, device) for _ in range(args.steps)]
    except Exception as error:  # a compiler or memory that is not there is a result
        return {"failed": f"{type(error).__name__}: {error}"[:200]}
    finally:
        torch.backends.cudnn.benchmark = False
    peak = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None
    return {"step_s": median(seconds), "first_two_s": first_s, "peak_gb": peak}


def step_of(way: Way, crop: tuple[int, ...], device: torch.device) -> Callable[[], None]:
    """A training step of the task's network, loss and optimiser on random numbers."""
    task = Brats18()
    network = task.first_model(0).to(device)
    layout = torch.channels_last_3d if way.get("channels_last") else torch.contiguous_format
    network = network.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer, loss = make_optimizer("adam", task.parameter_groups(network, 1e-4), 1e-5), task.loss()
    model: nn.Module = torch.compile(network) if way.get("compiled") else network  # type: ignore[assignment]
    image = torch.randn(1, 4, *crop, device=device).to(memory_format=layout)
    label = (torch.rand(1, 3, *crop, device=device) > 0.5).float()

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=way.get("bf16", False)):
            output = model(image)
        optimizer.zero_grad()
        loss(output.float(), label).backward()
        optimizer.step()

    return step


def timed(step: Callable[[], None], device: torch.device) -> float:
    """Seconds of one step, to its end on the device."""
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown, compared with the first way."""
    lines = ["| | s a step | times faster | first two steps s | peak GPU GB |", "|---|---:|---:|---:|---:|"]
    first = next(iter(rows.values())).get("step_s")
    for name, row in rows.items():
        if "failed" in row:
            lines.append(f"| {name} | {row['failed']} | | | |")
            continue
        peak = "-" if row["peak_gb"] is None else f"{row['peak_gb']:.1f}"
        faster = f"{first / row['step_s']:.2f}" if first else "-"
        lines.append(f"| {name} | {row['step_s']:.3f} | {faster} | {row['first_two_s']:.1f} | {peak} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_script(main))
