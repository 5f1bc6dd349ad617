"""Options: a field of a dataclass is the command-line option and the key in the JSON file."""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from fedmed.core.errors import InputError
from fedmed.core.options import (
    add_options,
    expect,
    expect_between,
    expect_positive,
    expect_share,
    from_plain,
    option,
    option_names,
    to_plain,
)


@dataclass(frozen=True)
class Sample:
    number: int = option(3, "a number")
    limit: int | None = option(None, "a number or nothing")
    share: float = option(0.5, "a share")
    flag: bool = option(False, "a flag")
    size: tuple[int, int, int] | None = option(None, "three edges")
    folder: Path | None = option(None, "a folder")
    mode: Literal["fast", "slow"] = option("fast", "a mode")
    word: str | None = option(None, "a word")
    inner: int = 7
    channels: Literal[1, 3] = option(1, "one number of several")


FULL = Sample(4, 9, 0.25, True, (8, 16, 24), Path("/a b/c"), "slow", "two words")


def parse(*arguments: str, taken: set[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_options(parser.add_argument_group("sample"), Sample, set() if taken is None else taken)
    return vars(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--number", "4"], "number", 4),
        (["--limit", "9"], "limit", 9),
        (["--share", "1e-4"], "share", 1e-4),
        (["--share", "2"], "share", 2.0),
        (["--size", "8", "16", "24"], "size", [8, 16, 24]),
        (["--mode", "slow"], "mode", "slow"),
        (["--channels", "3"], "channels", 3),
        (["--word", "two words"], "word", "two words"),
        (["--folder", "/a b/c"], "folder", Path("/a b/c")),
        (["--flag"], "flag", True),
    ],
)
def test_a_field_becomes_an_option_of_its_type(arguments: list[str], name: str, value: Any) -> None:
    parsed = parse(*arguments)[name]
    assert parsed == value
    assert type(parsed) is type(value) or isinstance(value, Path)


@pytest.mark.parametrize(
    "arguments",
    [
        "--number 1.5",
        "--number x",
        "--share x",
        "--size 8 16",
        "--size 8 16 1.5",
        "--mode other",
        "--channels 2",
        "--flag yes",
    ],
)
def test_a_value_of_another_type_is_refused(arguments: str) -> None:
    with pytest.raises(SystemExit):
        parse(*arguments.split())


def test_a_path_is_made_absolute_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = parse("--folder", "data set/x")["folder"]
    monkeypatch.chdir("/")
    assert folder.absolute() == tmp_path / "data set" / "x"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse("--folder", "~/x")["folder"] == tmp_path / "x"


def test_a_field_without_help_is_no_option() -> None:
    assert "inner" not in option_names(Sample)
    with pytest.raises(SystemExit):
        parse("--inner", "1")


def test_a_name_that_is_taken_is_not_added_again() -> None:
    taken = {"number"}
    with pytest.raises(SystemExit):
        parse("--number", "4", taken=taken)
    assert taken == option_names(Sample)


def test_help_states_the_default() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument_group("sample"), Sample, set())
    assert "a share (default: 0.5)" in parser.format_help()


@pytest.mark.parametrize("sample", [Sample(), FULL])
def test_plain_values_pass_through_json_and_back(sample: Sample) -> None:
    revived = from_plain(Sample, json.loads(json.dumps(to_plain(sample))))
    assert revived == sample
    assert isinstance(revived.size, tuple | None)
    assert isinstance(revived.folder, Path | None)


def test_what_a_file_leaves_out_has_its_default() -> None:
    assert from_plain(Sample, {"number": 5}) == Sample(number=5)


@pytest.mark.parametrize("name", ["nonsense", "inner"])
def test_a_name_that_is_no_option_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is no option of sample"):
        from_plain(Sample, {"number": 5, name: 1})


@pytest.mark.parametrize(
    ("check", "bad", "expected"),
    [
        (expect_positive, [0, -1, 1e18, math.nan, math.inf, -math.inf], "above 0"),
        (lambda name, value: expect_between(name, value, 2, 9), [1, 10, math.nan, math.inf, -math.inf], "from 2 to 9"),
        (expect_share, [-0.1, 1.5, math.nan, math.inf, -math.inf], "between 0 and 1"),
    ],
)
def test_a_value_out_of_range_is_shown_with_what_was_expected(check: Any, bad: list[float], expected: str) -> None:
    for value in bad:
        with pytest.raises(InputError) as caught:
            check("thing", value)
        assert f"--thing is {value};" in str(caught.value)
        assert expected in str(caught.value)


def test_the_ends_of_a_range_are_accepted() -> None:
    expect_positive("x", 1e-300)
    expect_between("x", 2, 2, 2)
    expect_share("x", 0)
    expect_share("x", 1)


def test_a_size_is_shown_as_it_is_typed() -> None:
    with pytest.raises(InputError, match=r"--size is 8 16 24; expected more\."):
        expect(False, "size", (8, 16, 24), "more")
