"""Runs in words."""

from collections.abc import Callable

from fedmed.analysis.comparison.configuration import configurations
from fedmed.experiment import Experiment

Make = Callable[..., Experiment]


def test_runs_are_told_by_their_choices(small_experiment: Make) -> None:
    runs = [
        small_experiment("--n_clients", "1"),
        small_experiment(),
        small_experiment("--enable_dp"),
        small_experiment("--algorithm", "fedprox", "--fedproxloss_mu", "0.1"),
    ]
    assert configurations(runs) == [
        "central",
        "fedavg, 2 sites",
        "fedavg, 2 sites, svt",
        "fedprox (fedproxloss_mu 0.1), 2 sites",
    ]


def test_what_differs_is_told_of_every_run(small_experiment: Make) -> None:
    runs = [small_experiment("--enable_dp", "--seed", "1"), small_experiment("--enable_dp", "--dp_epsilon", "21")]
    assert configurations(runs) == [
        "fedavg, 2 sites, svt (dp_epsilon 0.001), seed 1",
        "fedavg, 2 sites, svt (dp_epsilon 21), seed 0",
    ]
    runs = [small_experiment(), small_experiment("--roi_size", "32", "32", "16", "--learning_rate", "5e-5")]
    assert configurations(runs) == [
        "fedavg, 2 sites, roi_size 24x24x24, learning_rate 0.0001",
        "fedavg, 2 sites, roi_size 32x32x16, learning_rate 5e-05",
    ]


def test_speed_paths_and_rounds_are_no_part_of_it(small_experiment: Make) -> None:
    runs = [small_experiment(), small_experiment("--num_rounds", "7", "--cache_dataset", "1", "--job_name", "other")]
    assert configurations(runs) == ["fedavg, 2 sites"] * 2
