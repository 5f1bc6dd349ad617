"""What the tests' processes need before any of them imports the libraries; the fixtures are in ``fixtures.py``."""

import os
import sys

import pytest

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # where it is set, each of many processes compiles all files anew
sys.dont_write_bytecode = False


def pytest_configure(config: pytest.Config) -> None:
    """The process that hands the tests out to others runs none of them, and does without what they import."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses"):
        config.pluginmanager.import_plugin("tests.fixtures")
