"""Paths that FLARE's command lines do not split."""

import re
import tempfile
from pathlib import Path

import pytest

from fedmed.environments.plain_paths import scratch_folder, spaceless


def test_a_path_without_white_space_stays_as_it_is(tmp_path: Path) -> None:
    assert spaceless(Path("/a/b-c_d.e"), tmp_path) == Path("/a/b-c_d.e")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["my data/run", "it's/run", 'a"b/run', "tab\there/run", "back\\slash/run", "my venv", "a b/c d"]
)
def test_a_path_that_would_be_split_is_reached_by_one_that_is_not(name: str, tmp_path: Path) -> None:
    path, scratch = tmp_path / name, tmp_path / "scratch"
    path.mkdir(parents=True)
    scratch.mkdir()
    short = spaceless(path, scratch)
    assert not re.search(r"[\s'\"\\]", str(short))
    (short / "mark").touch()
    assert (path / "mark").exists()


def test_a_path_need_not_be_there_yet(tmp_path: Path) -> None:
    (tmp_path / "my runs").mkdir()
    short = spaceless(tmp_path / "my runs" / "flare", tmp_path)
    short.mkdir()
    assert (tmp_path / "my runs" / "flare").is_dir()


def test_the_scratch_folder_has_no_white_space_and_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spaced = tmp_path / "a b"
    spaced.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spaced))
    with scratch_folder() as scratch:
        assert scratch.is_dir()
        assert " " not in str(scratch)
    assert not scratch.exists()
