"""Errors of the operating system are told to their user in a sentence, with the file and what to do."""

import errno
from pathlib import Path

import pytest

from fedmed.core.errors import InputError, counted, in_words


def test_our_own_sentences_stay_as_they_are() -> None:
    assert in_words(InputError("a is b; do c.")) == "a is b; do c."


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_the_file(number: int) -> None:
    said = in_words(OSError(number, "no space", "/data/my list.json"))
    assert said.startswith("/data/my list.json cannot be used (no space); free some space")


def test_a_path_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory") as caught:
        tmp_path.read_bytes()
    assert in_words(caught.value).startswith(f"{tmp_path} cannot be used")
    assert "permissions" in in_words(caught.value)


def test_an_error_without_a_file_keeps_its_words() -> None:
    assert in_words(OSError("no words of the system")) == "no words of the system"


def test_one_of_a_thing_is_told_in_the_singular() -> None:
    assert [counted(number, "error") for number in (0, 1, 2)] == ["0 errors", "1 error", "2 errors"]
