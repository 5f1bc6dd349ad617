"""What the processes of sites that share a machine inherit."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fedmed.core.settings import Performance
from fedmed.environments.shared_machine import site_variables, threads_of, workspace_of
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder


def test_a_workspace_is_never_used_twice(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "runs", "run")
    assert workspace_of(None, folder) == folder.path / "flare"
    made = []
    for _ in range(3):
        made.append(workspace_of(tmp_path / "work", folder))
        made[-1].mkdir(parents=True)
    assert len(set(made)) == 3
    assert all(path.parent == tmp_path / "work" for path in made)


def test_a_site_learns_where_its_data_lie_and_its_share_of_the_cores(
    small_experiment: Callable[..., Experiment], phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(7)))

    def variables_of(scratch: str, *arguments: str, running: int = 2) -> dict[str, str]:
        (tmp_path / scratch).mkdir()
        return site_variables(small_experiment(*arguments), running, tmp_path / scratch, RunFolder(tmp_path))

    variables = variables_of("first")
    assert variables["DATASET_ROOT"] == str(phantom)
    assert variables["DATALIST_ROOT"] == str(phantom / "datalist")
    assert variables["CACHE_ROOT"] == ""
    kept = variables_of("second", "--cache_dir", "/my cache")
    assert kept["CACHE_ROOT"] == "/my cache"
    assert variables["OMP_NUM_THREADS"] == "3"
    assert "hugetlb" in variables["GLIBC_TUNABLES"]
    returned = variables_of("third", "--freed_memory", "return")
    assert returned.get("GLIBC_TUNABLES") == os.environ.get("GLIBC_TUNABLES")
    assert variables_of("fourth", running=1)["OMP_NUM_THREADS"] == "7"


@pytest.mark.parametrize(
    ("speed", "sites", "cores", "expected"),
    [
        (Performance(), 4, 2, 1),
        (Performance(), 4, 8, 2),
        (Performance(), 4, 11, 2),
        (Performance(), 1, 2, 2),
        (Performance(cpu_threads=2), 4, 2, 2),
        (Performance(cpu_threads=9), 4, 2, 9),
    ],
)
def test_the_cores_are_shared_out_among_the_sites_unless_a_number_is_given(
    speed: Performance, sites: int, cores: int, expected: int
) -> None:
    assert threads_of(speed, sites, cores) == expected
