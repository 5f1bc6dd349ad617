"""The files with the longest tests come first, so that no worker is left with one of them at the end."""

from pathlib import Path

import pytest

from fedmed.runs.run_folder import RunFolder
from tests.federations import here, launch
from tests.federations.provisioned import JOB, KEY, ROUNDS, SITES
from tests.toy.toy_task import make_toy

FIRST = (
    *("test_provisioned.py", "test_simulator.py", "test_installed_code.py", "test_poc.py", "test_notebooks.py"),
    "federations/",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((place for place, name in enumerate(FIRST) if name in item.nodeid), len(FIRST)))


@pytest.fixture(scope="session")
def toy_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project that has the toy task and the toy algorithm."""
    return launch.with_toys(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a provisioned federation's sites in one folder, as a pool has them."""
    place = tmp_path_factory.mktemp("hospitals") / "data"
    make_toy(place, cases=4, validation=4, noise=20.0)
    for number, site in enumerate(SITES, start=1):
        (place / "datalist" / f"site-{number}.json").rename(place / "datalist" / f"{site}.json")
    return place


@pytest.fixture(scope="session")
def pooled_hospitals(hospitals: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """What a provisioned federation's job comes to in a pool."""
    lists = ["--dataset_base_dir", hospitals, "--datalist_json_path", hospitals / "datalist", "--n_clients", len(SITES)]
    arguments = [*JOB, *ROUNDS, *lists, "--env", "pool"]
    return here.run(tmp_path_factory.mktemp("pooled"), *arguments, DUPLICATES_KEY=KEY).well()
