"""The key follows contents, order and recipe, never names."""

from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.data.prepared.content_key import content_key


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a b.nii.gz", tmp_path / "ä.nii.gz"]
    for path, content in zip(paths, (b"one", b"two"), strict=True):
        path.write_bytes(content)
    return paths


def test_a_renamed_file_keeps_the_key(files: list[Path], tmp_path: Path) -> None:
    before = content_key(files, "r")
    moved = files[0].rename(tmp_path / "other")
    assert content_key([moved, files[1]], "r") == before


def test_contents_order_division_and_recipe_decide(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "whole").write_bytes(b"onetwo")
    keys = [content_key(files, "r"), content_key(files, "s"), content_key(files[::-1], "r")]
    keys += [content_key(files[:1], "r"), content_key([tmp_path / "whole"], "r")]
    files[0].write_bytes(b"One")
    keys.append(content_key(files, "r"))
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 64 for key in keys)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.nii"):
        content_key([tmp_path / "gone.nii"], "r")
