"""The pool's options: what is refused before anything starts, how many workers there are, and what the summary says."""

import os
from collections.abc import Callable

import pytest

from fedmed.core.errors import InputError
from fedmed.environments.pool import Pool
from fedmed.experiment import Experiment

Make = Callable[..., Experiment]


@pytest.mark.parametrize(
    ("pool", "more", "words"),
    [
        ({"workers": 0}, [], "workers is 0"),
        ({"workers": -1}, [], "workers is -1"),
        ({"workers": 3}, [], "workers is 3; expected at most 2, the number of sites"),
        ({"state_gb": -0.5}, [], "state_gb is -0.5"),
        ({"state_gb": float("nan")}, [], "state_gb is nan"),
        ({"state_gb": 1e7}, [], "state_gb is 1"),
        ({}, ["--num_workers", "2"], "--num_workers 2 would start"),
        ({"gpu": "x"}, [], "--gpu"),
    ],
)
def test_what_does_not_fit_is_refused(small_experiment: Make, pool: dict, more: list[str], words: str) -> None:
    experiment = small_experiment(*more)
    with pytest.raises(InputError) as caught:
        Pool(**pool).check(experiment)
    assert words in str(caught.value)


@pytest.mark.parametrize("pool", [Pool(), Pool(workers=1), Pool(workers=2), Pool(state_gb=0)])
def test_what_fits_is_accepted(small_experiment: Make, pool: Pool) -> None:
    pool.check(small_experiment())
    assert not pool.processes_persist(small_experiment())


def test_a_gpu_is_checked_against_the_machine(small_experiment: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    Pool(gpu="0").check(small_experiment())
    with pytest.raises(InputError, match="GPU 1"):
        Pool(gpu="0,1").check(small_experiment())


@pytest.mark.parametrize(
    ("gpus", "pool", "sites", "count"),
    [
        (0, Pool(), 1000, len(os.sched_getaffinity(0))),
        (0, Pool(), 1, 1),
        (0, Pool(workers=7), 1000, 7),
        (1, Pool(), 1000, 1),
        (4, Pool(gpu="0,1,3"), 1000, 3),
        (4, Pool(gpu="0,1,3"), 2, 2),
        (4, Pool(gpu="0", workers=5), 1000, 5),
    ],
)
def test_there_is_a_worker_a_core_or_a_gpu_and_no_more_than_sites(
    monkeypatch: pytest.MonkeyPatch, gpus: int, pool: Pool, sites: int, count: int
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert pool.count(sites) == count


@pytest.mark.parametrize(
    ("gpus", "pool", "words"),
    [
        (0, Pool(workers=2), "pool of 2 worker processes, on the CPU"),
        (0, Pool(workers=1), "pool of 1 worker process, on the CPU"),
        (0, Pool(workers=1, gpu="0"), "on the CPU: this machine has no GPU, so --gpu 0 is not used"),
        (1, Pool(), "pool of 1 worker process, on GPU 0"),
        (2, Pool(gpu="0,1"), "pool of 2 worker processes, on GPUs 0,1"),
    ],
)
def test_the_summary_says_where_the_sites_run(
    small_experiment: Make, monkeypatch: pytest.MonkeyPatch, gpus: int, pool: Pool, words: str
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert pool.statement(small_experiment()).endswith(words)
