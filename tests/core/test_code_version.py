"""The fingerprint of code: the same for the same files wherever they lie, another one for any other."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import job
from fedmed.core.code_version import OTHER_CODE, code_here, expect_code, fingerprint, script
from fedmed.core.errors import InputError


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "package" / "part").mkdir(parents=True)
    for name in ("package/__init__.py", "package/part/a.py", "package/part/b.py", "client.py"):
        (tmp_path / name).write_text(f"name = {name!r}\n")
    return tmp_path


def found(code: Path) -> str:
    return fingerprint(code / "package", [code / "client.py"])


CHANGES: dict[str, Callable[[Path], object]] = {
    "a line": lambda code: (code / "package" / "part" / "a.py").write_text("other = 1\n"),
    "a name": lambda code: (code / "package" / "part" / "a.py").rename(code / "package" / "part" / "c.py"),
    "a file more": lambda code: (code / "package" / "part" / "empty.py").touch(),
    "a file less": lambda code: (code / "package" / "part" / "b.py").unlink(),
    "the script": lambda code: (code / "client.py").write_text(""),
    "two files exchanged": lambda code: [
        (code / "package" / "part" / name).write_text(f"name = 'package/part/{other}'\n")
        for name, other in (("a.py", "b.py"), ("b.py", "a.py"))
    ],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_of_the_code_changes_it(code: Path, change: Callable[[Path], object]) -> None:
    before = found(code)
    change(code)
    assert found(code) != before


def test_neither_the_place_nor_what_python_leaves_there_changes_it(code: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(code, tmp_path / "with a blank" / "copy")
    (copy / "package" / "__pycache__").mkdir()
    (copy / "package" / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"compiled")
    assert found(copy) == found(code)


def test_what_a_job_is_made_with_is_what_runs_here() -> None:
    root = Path(job.__file__).parent
    assert code_here() == fingerprint(root / "src" / "fedmed", [root / "client.py", root / "model.py"])
    expect_code(code_here())


def test_other_code_is_refused_with_both_versions_and_what_to_do() -> None:
    with pytest.raises(InputError, match=f"{OTHER_CODE} 0123456789ab was expected, and {code_here()} .*install"):
        expect_code("0123456789ab")


def test_a_script_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match=r"no nowhere_at_all\.py here; start FLARE with PYTHONPATH="):
        script("nowhere_at_all")
