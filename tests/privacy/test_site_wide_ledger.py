"""The ledger over all jobs: appended to by who holds its lock, never rewritten, and refused where it is not whole."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fedmed
from fedmed.core.errors import InputError
from fedmed.core.names import SITE_LEDGER_VARIABLE
from fedmed.privacy.site_wide_ledger import (
    HEAD,
    KEY,
    LINES,
    BookedJob,
    SiteWideLedger,
    Tokens,
    begin_site_wide_ledger,
    site_wide_ledger,
)

BOOKS = """
import sys
from pathlib import Path
from fedmed.privacy.site_wide_ledger import BookedJob, SiteWideLedger
ledger = SiteWideLedger(Path(sys.argv[1]))
job = BookedJob(sys.argv[2], "north", "gaussian", "set", (1.0, 1.0))
for number in range(1, 31):
    with ledger.locked():
        ledger.catch_up()
        ledger.book(job, [frozenset(["a"])], number, 1)
"""


def job(name: str = "job", dataset: str = "set", noise: tuple[float, float] | None = (2.0, 0.5)) -> BookedJob:
    return BookedJob(name, "north", "dpsgd", dataset, noise)


def patients(ledger: SiteWideLedger, *names: str) -> list[Tokens]:
    return [frozenset([ledger.token(name)]) for name in names]


@pytest.fixture
def ledger(tmp_path: Path) -> SiteWideLedger:
    return begin_site_wide_ledger(tmp_path / "ledger")


def book(ledger: SiteWideLedger, *numbers: int, **described: object) -> None:
    for number in numbers:
        with ledger.locked():
            ledger.catch_up()
            ledger.book(job(**described), patients(ledger, "Anna", "Bert"), number, 4)  # type: ignore[arg-type]


def test_what_was_booked_is_read_again(ledger: SiteWideLedger) -> None:
    book(ledger, 1, 2, 3)
    book(ledger, 1, name="other", noise=None)
    again = SiteWideLedger(ledger.folder)
    assert again.jobs == ledger.jobs
    assert (again.jobs[job()].rounds, again.jobs[job()].steps) == (3, 12)
    assert again.datasets == {"set": tuple(patients(again, "Anna", "Bert"))}
    assert again.since == ledger.since != ""
    anna, nobody = again.histories([*patients(again, "Anna"), *patients(again, "Zoe")])
    assert (anna, nobody) == (((2.0, 0.5, 12),), ())


def test_it_is_appended_to_and_nothing_in_it_names_a_patient(ledger: SiteWideLedger) -> None:
    before = b""
    for number in range(1, 4):
        book(ledger, number)
        now = (ledger.folder / LINES).read_bytes()
        assert now.startswith(before)
        before = now
    assert b"Anna" not in before
    assert begin_site_wide_ledger(ledger.folder.parent / "other").token("Anna") != ledger.token("Anna")
    assert {path.stat().st_mode & 0o777 for path in ledger.folder.iterdir()} == {0o600}
    assert ledger.folder.stat().st_mode & 0o777 == 0o700


def test_one_that_is_there_is_never_begun_anew(ledger: SiteWideLedger) -> None:
    with pytest.raises(InputError, match="never begun anew"):
        begin_site_wide_ledger(ledger.folder)


def without_last(count: int) -> Callable[[Path], None]:
    """Takes so many lines off the end."""

    def take(folder: Path) -> None:
        lines = (folder / LINES).read_bytes().splitlines(keepends=True)
        (folder / LINES).write_bytes(b"".join(lines[:-count]))

    return take


def replaced(old: bytes, new: bytes) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / LINES).read_bytes()
        assert old in text
        (folder / LINES).write_bytes(text.replace(old, new, 1))

    return edit


DAMAGE: dict[str, Callable[[Path], None]] = {
    "no folder": shutil.rmtree,
    "no lines": lambda folder: (folder / LINES).unlink(),
    "no head": lambda folder: (folder / HEAD).unlink(),
    "no key": lambda folder: (folder / KEY).unlink(),
    "another key": lambda folder: (folder / KEY).write_text("ab" * 32),
    "empty": lambda folder: (folder / LINES).write_bytes(b""),
    "the last line gone": without_last(1),
    "the last three lines gone": without_last(3),
    "fewer steps": replaced(b'"steps": 4', b'"steps": 1'),
    "more noise": replaced(b"[2.0, 0.5]", b"[9.0, 0.5]"),
    "another head": lambda folder: (folder / HEAD).write_text('{"lines": 2, "seal": ""}'),
    "no JSON": replaced(b'"steps"', b"steps"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_one_that_is_lost_or_was_edited_is_refused(
    ledger: SiteWideLedger, damage: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    book(ledger, 1, 2, 3)
    monkeypatch.setenv(SITE_LEDGER_VARIABLE, str(ledger.folder))
    assert site_wide_ledger() is not None
    damage(ledger.folder)
    with pytest.raises(InputError, match=r"holds no ledger|is damaged or was edited"):
        site_wide_ledger()


@pytest.mark.parametrize("loss", ["no lines", "no head", "empty", "the last line gone", "another head"])
def test_a_process_that_has_read_it_notices_a_loss_too(ledger: SiteWideLedger, loss: str) -> None:
    book(ledger, 1, 2, 3)
    DAMAGE[loss](ledger.folder)
    with pytest.raises(InputError, match="is damaged or was edited"):
        book(ledger, 4)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_other_byte_is_noticed(ledger: SiteWideLedger, data: st.DataObject) -> None:
    if not ledger.jobs:
        book(ledger, 1, 2)
    path = ledger.folder / LINES
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    path.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
    try:
        with pytest.raises(InputError, match="is damaged or was edited"):
            SiteWideLedger(ledger.folder)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("begun", [b"", b'{"at": "2026-'])
def test_a_process_that_is_killed_while_it_books_leaves_one_that_goes_on(ledger: SiteWideLedger, begun: bytes) -> None:
    """Before the head was moved, and while the line was written."""
    head = (ledger.folder / HEAD).read_bytes()
    book(ledger, 1, 2)
    (ledger.folder / HEAD).write_bytes(head)
    with (ledger.folder / LINES).open("ab") as file:
        file.write(begun)
    again = SiteWideLedger(ledger.folder)
    assert again.jobs[job()].rounds == 2
    book(again, 3)
    assert SiteWideLedger(ledger.folder).jobs[job()].rounds == 3


def test_processes_that_book_at_once_lose_nothing(ledger: SiteWideLedger) -> None:
    variables = {**os.environ, "PYTHONPATH": str(Path(fedmed.__path__[0]).parent)}
    command = [sys.executable, "-c", BOOKS, str(ledger.folder)]
    begun = [subprocess.Popen([*command, name], env=variables) for name in ("one", "two")]
    assert [process.wait(timeout=300) for process in begun] == [0, 0]
    found = SiteWideLedger(ledger.folder)
    assert sorted((each.job, rounds.rounds) for each, rounds in found.jobs.items()) == [("one", 30), ("two", 30)]
