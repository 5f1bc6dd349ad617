"""The files with the longest tests come first, so that no worker is left with one of them at the end."""

from pathlib import Path

import pytest

from tests.federations import launch

FIRST = ("test_provisioned.py", "test_simulator.py", "test_poc.py", "federations/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((place for place, name in enumerate(FIRST) if name in item.nodeid), len(FIRST)))


@pytest.fixture(scope="session")
def toy_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project that has the toy task and the toy algorithm."""
    return launch.with_toys(tmp_path_factory.mktemp("project"))
