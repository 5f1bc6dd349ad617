"""The arithmetic of a round and nothing else: its training steps and validations, one after another in one process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from fedmed.core.precision import autocast
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite

REPEATS = 5


@dataclass(frozen=True)
class Bare:
    """Seconds of one training step and of one validation case on one CPU thread, or on one GPU."""

    step_s: float
    case_s: float

    def round_s(self, steps: int, cases: float, at_once: int) -> float:
        """A round's seconds where ``at_once`` processors share its work out evenly."""
        return (steps * self.step_s + cases * self.case_s) / at_once


def bare(experiment: Experiment) -> Bare:
    """Time both on the first items of site-1, which are made beforehand."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        site = LocalSite(experiment, "site-1", keep_state=False)
        site.order.restart(0)
        batch = next(iter(site.batches))
        batch = {name: site._tensor(batch[name]) for name in ("image", "label")}
        volume = site._tensor(site._eval_set(None)[0]["image"])[None]
        site.model.train()
        step_s = _seconds(lambda: site._step(batch, site.side), site.device)
        site.model.eval()
        with torch.inference_mode(), autocast(experiment.training.precision, site.device):
            case_s = _seconds(lambda: site.task.infer(site.model, volume), site.device)  # type: ignore[attr-defined]
        return Bare(step_s, case_s)
    finally:
        torch.set_num_threads(threads)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    took = []
    for _ in range(REPEATS + 1):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    return median(took[1:])
