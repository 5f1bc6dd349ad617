"""The folder of kept results: whole entries or none, a limit, and one sentence where it cannot be used."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.data.prepared.cache import Cache

SRC = Path(__file__).resolve().parents[3] / "src"


def name(number: int) -> str:
    return f"{number:064x}.case"


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", 1000)


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)), json.dumps({"a": 1}).encode()])
def test_what_is_written_is_read_by_every_cache_of_the_folder(cache: Cache, data: bytes) -> None:
    assert cache.read(name(1)) is None
    assert cache.write(name(1), data)
    assert cache.read(name(1)) == Cache(cache.folder, 1000).read(name(1)) == data
    assert cache.read(name(2)) is None
    assert files(cache.folder) == {name(1)}


def test_only_its_owner_may_look_into_it(cache: Cache) -> None:
    cache.write(name(1), b"a brain")
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert (cache.folder / name(1)).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", ["cut", "emptied", "one bit", "longer", "a folder"])
def test_a_damaged_entry_counts_as_none_and_is_replaced(cache: Cache, damage: str) -> None:
    cache.write(name(1), b"0123456789" * 5)
    path = cache.folder / name(1)
    whole = path.read_bytes()
    if damage == "a folder":
        path.unlink()
        path.mkdir()
        assert cache.read(name(1)) is None
        return
    changes = {"cut": whole[:-7], "emptied": b"", "one bit": b"1" + whole[1:], "longer": whole + b"0"}
    path.write_bytes(changes[damage])
    assert cache.read(name(1)) is None
    assert cache.write(name(1), b"anew")
    assert cache.read(name(1)) == b"anew"


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path) -> None:
    before = Cache(tmp_path, 1000)
    for number in range(3):
        before.write(name(number), bytes(300))
        age(tmp_path / name(number), 100 - number)
    assert before.read(name(0)) is not None  # used now; the next in age is 1
    age(tmp_path / name(0), 50)
    assert Cache(tmp_path, 1000).write(name(3), bytes(300))
    assert files(tmp_path) == {name(0), name(2), name(3)}


def test_what_this_run_uses_makes_no_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Or a cache smaller than the run's cases would replace each by the next, and never find one."""
    cache = Cache(tmp_path, 1000)
    stored = [cache.write(name(number), bytes(300)) for number in range(6)]
    assert stored == [True, True, True, False, False, False]
    assert files(tmp_path) == {name(0), name(1), name(2)}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert str(tmp_path) in said[0]
    assert "--cache_gb" in said[0]


def test_nothing_is_removed_for_what_has_no_room_anyway(tmp_path: Path) -> None:
    Cache(tmp_path, 1000).write(name(0), bytes(300))
    age(tmp_path / name(0), 100)
    assert not Cache(tmp_path, 1000).write(name(1), bytes(2000))
    assert files(tmp_path) == {name(0)}


@pytest.mark.parametrize("size", [1, 90, 96, 100, 400, 996, 997])
def test_the_limit_holds(tmp_path: Path, size: int) -> None:
    for run in range(3):
        cache = Cache(tmp_path, 1000)
        for number in range(20):
            cache.write(name(20 * run + number), bytes(size))
            assert cache.used_bytes() <= 1000
        for path in tmp_path.iterdir():
            age(path, 100)
    room = 1000 // (size + 4)
    assert files(tmp_path) == {name(40 + number) for number in range(min(room, 20))} or room >= 20


def test_files_of_others_in_the_folder_are_neither_counted_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_bytes(bytes(5000))
    age(tmp_path / "thesis.docx", 10**6)
    cache = Cache(tmp_path, 1000)
    assert cache.write(name(1), bytes(900))
    assert cache.used_bytes() == 904
    assert files(tmp_path) == {"thesis.docx", name(1)}


def test_what_a_killed_writer_left_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    for left in (".old.part", ".new.part"):
        (tmp_path / left).write_bytes(b"half")
    age(tmp_path / ".old.part", 7200)
    Cache(tmp_path, 1000)
    assert files(tmp_path) == {".new.part"}


def test_a_writer_that_is_stopped_leaves_nothing(cache: Cache) -> None:
    (cache.folder / name(1)).mkdir()  # so that the last step, the renaming, fails
    assert not cache.write(name(1), bytes(10))
    assert files(cache.folder) == {name(1)}


@pytest.mark.parametrize("place", ["/proc/fedmed/cache", "/proc", "/sys/kernel", "file", "file/cache"])
def test_a_folder_that_cannot_be_written_is_refused_with_the_remedy(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / place  # an absolute place stays itself
    with pytest.raises(InputError) as caught:
        Cache(folder, 1000)
    message = str(caught.value)
    assert str(folder) in message
    assert "--cache_dir" in message
    assert "--cache_gb 0" in message
    assert message.count("\n") == 0


def limited(most_bytes: int, script: str, folder: Path) -> str:
    """What ``script`` prints in a process in which no file can grow beyond ``most_bytes``, as on a full disk."""
    before = "import resource, sys, logging; from pathlib import Path; from fedmed.data.prepared.cache import Cache; "
    before += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes})); folder = Path(sys.argv[1])\n"
    command = [sys.executable, "-c", before + script, str(folder)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SRC)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_full_disk_is_noticed_at_once(tmp_path: Path) -> None:
    script = "from fedmed.core.errors import InputError\ntry: Cache(folder, 10**9)\nexcept InputError as e: print(e)"
    said = limited(0, script, tmp_path / "c")
    assert f"{tmp_path / 'c'} cannot be written (File too large)" in said
    assert files(tmp_path / "c") == set()


def test_a_disk_that_fills_up_is_told_once_and_left_clean(tmp_path: Path) -> None:
    script = f"""
cache = Cache(folder, 10**9)
print([cache.write(f"{{n:064x}}.case", bytes(size)) for n, size in enumerate((5000, 50000, 50000, 10))])
print(cache.read("{name(0)}") == bytes(5000))
"""
    said = limited(10_000, script, tmp_path)
    assert "[True, False, False, False]\nTrue\n" in said
    assert said.count("takes no more (File too large)") == 1
    assert str(tmp_path) in said
    assert "--cache_dir" in said
    assert files(tmp_path) == {name(0)}


def test_many_processes_may_fill_and_empty_it_at_once(tmp_path: Path) -> None:
    """Readers see whole entries or none, while writers replace and evict them."""
    script = """
import random, sys
from pathlib import Path
from fedmed.data.prepared.cache import Cache
found = 0
for turn in range(8):
    cache = Cache(Path(sys.argv[1]), 60_000)
    for n in random.Random(int(sys.argv[2]) + turn).sample(range(12), 12):
        name, data = f"{n:064x}.case", bytes([n]) * (5000 + n)
        seen = cache.read(name)
        assert seen in (None, data)
        found += seen is not None
        assert seen or cache.write(name, data) in (True, False)
assert cache._storing
print(found)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    variables = {**os.environ, "PYTHONPATH": str(SRC)}
    run = [
        subprocess.Popen([*command, str(seed)], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for seed in range(4)
    ]
    for process in run:
        out, error = process.communicate()
        assert process.returncode == 0, error.decode()
        assert int(out) > 0
    assert all(file.endswith(".case") for file in files(tmp_path))
    assert Cache(tmp_path, 60_000).used_bytes() <= 60_000 + 4 * 5100  # and what four wrote in one moment


def test_a_folder_of_many_small_entries_is_not_looked_through_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    look = os.scandir
    cache = Cache(tmp_path, 10**9)
    monkeypatch.setattr(os, "scandir", lambda folder: (looks.append(folder), look(folder))[1])
    for number in range(200):
        assert cache.write(name(number), bytes(100))
    assert len(looks) < 5
