"""A running federation: a job is for sites that are there, or for enough of them."""

import pytest

from fedmed.core.errors import InputError
from fedmed.environments.prod import expect_connected

WANTED = ("a", "b", "c")


@pytest.mark.parametrize(
    ("connected", "needed", "missing"),
    [
        ("abc", None, ""),
        ("abcd", None, ""),
        ("abc", 3, ""),
        ("ab", 2, "c"),
        ("b", 1, "a, c"),
        ("bd", 1, "a, c"),
    ],
)
def test_enough_sites_are_accepted_and_who_is_missing_is_told(
    connected: str, needed: int | None, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expect_connected(WANTED, list(connected), needed)
    told = capsys.readouterr().out
    assert told == (
        f"without {missing}: not connected; who comes later takes part from the next job on\n" if missing else ""
    )


@pytest.mark.parametrize(
    ("connected", "needed", "said"),
    [
        ("ab", None, r"c is not connected to the server \(connected: a, b\)"),
        ("ab", 3, "c is not connected"),
        ("a", 2, r"b, c are not connected .*start what is missing"),
        ("", 1, r"a, b, c are not connected to the server \(connected: none\)"),
        ("xyz", 1, "a, b, c are not"),  # others are no help
    ],
)
def test_too_few_are_refused(connected: str, needed: int | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        expect_connected(WANTED, list(connected), needed)
