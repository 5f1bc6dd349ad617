"""Runs of a study as rows of its table, made up."""

from typing import Any

from fedmed.tasks.base import Metric

METRICS = (Metric("dice", "Dice", "", "higher"), Metric("challenge_dice", "Dice, challenge's rule", "", "higher"))


def run_row(mechanism: str, seed: int, epsilon: float | None, dice: float, **more: Any) -> dict[str, Any]:
    usual = {"run": f"run-{seed}", "unit": "patient", "guarantee": "formal", "options": "", "delta": 1e-5}
    numbers = {"seed": seed, "epsilon": epsilon, "dice": dice, "challenge_dice": dice / 2}
    return {**usual, "mechanism": mechanism, **numbers, **more}


NO_EPSILON = {"unit": "none", "guarantee": "none", "delta": None}
RUNS = [
    run_row("none", 0, None, 0.8, **NO_EPSILON),
    run_row("dpsgd", 0, 8.0, 0.4, options="lot 4"),
    run_row("dpsgd", 0, 50.0, 0.7, options="lot 8"),
    run_row("none", 1, None, 0.6, **NO_EPSILON),
    run_row("dpsgd", 1, 8.2, 0.6, options="lot 4"),
    run_row("svt", 0, 4e7, 0.1, unit="site's update", guarantee="heuristic"),
    run_row("percentile", 0, None, 0.3, unit="site's update", guarantee="heuristic", delta=None),
]
