"""The files with the longest tests come first, so that no worker is left with one of them at the end."""

import pytest

FIRST = (
    *("simulator/test_faults.py", "federations/test_faults.py", "test_deployment.py", "test_published_lines.py"),
    *("test_failures.py", "federations/"),
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((place for place, name in enumerate(FIRST) if name in item.nodeid), len(FIRST)))
