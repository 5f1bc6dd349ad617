"""A file is written whole or not at all, whatever goes wrong."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import fedmed.core.files
from fedmed.core.files import private_folder, staging_folder, write_together, write_whole

FULL_DISK = """
import resource, sys
from pathlib import Path
from fedmed.core.files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(Path(sys.argv[1]), bytes(5000))
except OSError as error:
    print(error)
    sys.exit(7)
"""


def test_what_is_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a b ü.json"
    for content in (b"first, and longer", b"second", b""):
        write_whole(path, content)
        assert path.read_bytes() == content
        assert os.listdir(tmp_path) == [path.name]


def test_a_failure_in_the_middle_keeps_the_old_file_and_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    path.write_bytes(b"old")
    environment = {**os.environ, "PYTHONPATH": str(Path(fedmed.core.files.__file__).parents[2])}
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert child.returncode == 7, child.stderr
    assert str(path) in child.stdout
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "a.json"
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(path, b"x")
    assert str(path) in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_of_several_files_all_are_written_or_none(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_bytes(b"old")
    with pytest.raises(FileNotFoundError, match="gone"):
        write_together({old: b"1", new: b"2", tmp_path / "gone" / "a.json": b"3"})
    assert old.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [old.name]
    write_together({old: b"1", new: b"2"})
    assert (old.read_bytes(), new.read_bytes()) == (b"1", b"2")
    assert sorted(os.listdir(tmp_path)) == [new.name, old.name]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("folder", "umask", "file"),
    [(0o700, 0o022, 0o600), (0o755, 0o022, 0o644), (0o755, 0o077, 0o600), (0o775, 0o002, 0o664), (0o750, 0o022, 0o640)],
)
def test_a_file_is_no_more_open_than_its_folder_and_the_user_allow(
    tmp_path: Path, folder: int, umask: int, file: int
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in").chmod(folder)
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "in" / "a", b"x")
    finally:
        os.umask(before)
    assert mode(tmp_path / "in" / "a") == file


def test_a_private_folder_is_its_owners_alone_with_all_that_was_missing_above_it(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    private_folder(tmp_path / "open" / "new" / "site")
    assert [mode(tmp_path / "open" / name) for name in ("", "new", "new/site")] == [0o755, 0o700, 0o700]
    private_folder(tmp_path / "open")
    assert mode(tmp_path / "open") == 0o700


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file" / "a.json"
    path.parent.write_bytes(b"kept")
    with pytest.raises(OSError, match="Not a directory") as caught:
        write_whole(path, b"x")
    assert str(path) in str(caught.value)
    assert path.parent.read_bytes() == b"kept"


def test_a_folder_in_the_files_place_is_named_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory") as caught:
        write_whole(path, b"x")
    assert str(path) in str(caught.value)
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(path) == ["inside"]


def test_a_name_that_the_disk_does_not_take_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    with pytest.raises(OSError, match="too long") as caught:
        write_whole(path, b"x")
    assert str(path) in str(caught.value)


def test_readers_see_no_part_while_threads_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "shared"
    contents = [bytes([k]) * (k * 50_000) for k in (1, 2, 3)]
    failed: list[Exception] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(40):
                write_whole(path, content)
        except OSError as error:
            failed.append(error)

    write_whole(path, contents[0])
    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    seen = {path.read_bytes() for _ in range(100)}
    for thread in threads:
        thread.join()
    assert failed == []
    assert seen <= set(contents)
    assert os.listdir(tmp_path) == ["shared"]


@pytest.mark.parametrize("inside", [False, True])
def test_a_staging_folder_is_gone_afterwards_with_what_was_made_for_it(tmp_path: Path, inside: bool) -> None:
    with pytest.raises(SystemExit), staging_folder(tmp_path / "new" / "set", inside) as stage:
        sys.exit((stage / "half").write_text("x"))
    assert os.listdir(tmp_path) == []


def test_files_are_staged_inside_a_folder_and_what_it_holds_stays(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    with staging_folder(tmp_path, inside=True) as stage:
        assert stage.is_relative_to(tmp_path)
        assert stage.parent.name.startswith(".")
        (stage / "new").write_text("new")
        (stage / "new").replace(tmp_path / "new")
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]
    with pytest.raises(OSError, match="full") as caught, staging_folder(tmp_path, inside=True):
        raise OSError(28, "full", "elsewhere")
    assert caught.value.filename == str(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["new", "old"]
