"""Files of lines that grow while they are read: nobody sees a part of a line, and nothing is read twice."""

import multiprocessing
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmed.core.lines import append_json_line, json_lines, whole_lines, write_json_lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.jsonl"


def test_a_file_that_is_not_there_has_no_lines(path: Path) -> None:
    assert whole_lines(path) == ([], 0)
    assert whole_lines(path, 7) == ([], 7)
    assert json_lines(path) == []


def test_a_line_in_the_making_is_read_when_it_is_whole(path: Path) -> None:
    path.write_bytes(b"one\ntwo")
    first = whole_lines(path)
    assert first == (["one"], 4)
    with path.open("ab") as file:
        file.write(b" and a half\n")
    assert whole_lines(path, first.offset) == (["two and a half"], 19)
    assert whole_lines(path, 19) == ([], 19)


@settings(deadline=None, max_examples=30)
@given(texts=st.lists(st.text(st.characters(exclude_characters="\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")), max_size=6))
def test_read_in_parts_of_any_size_all_lines_come_once(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("lines") / "log"
    found: list[str] = []
    offset = 0
    for number, byte in enumerate("".join(f"{text}\n" for text in texts).encode(errors="replace")):
        with path.open("ab") as file:
            file.write(bytes([byte]))
        if number % 3 == 0:
            lines, offset = whole_lines(path, offset)
            found += lines
    found += whole_lines(path, offset).lines
    assert found == [text.encode(errors="replace").decode() for text in texts]


def test_objects_are_appended_and_a_half_written_one_is_left_out(path: Path) -> None:
    write_json_lines(path, [{"round": 0}])
    append_json_line(path, {"round": 1, "words": "Zürich\nGenève"})
    with path.open("a") as file:
        file.write('{"round": 2')  # the power failed
    assert json_lines(path) == [{"round": 0}, {"round": 1, "words": "Zürich\nGenève"}]
    write_json_lines(path, [{"round": 9}])
    assert json_lines(path) == [{"round": 9}]


def _add_on_a_disk_that_fills_up(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    with pytest.raises(OSError, match=r"records\.jsonl"):
        append_json_line(path, {"text": "x" * 200})
    append_json_line(path, {"round": 2})  # there is room for less


def test_a_line_that_does_not_fit_on_the_disk_leaves_nothing_that_the_next_one_is_added_to(path: Path) -> None:
    append_json_line(path, {"round": 1})
    process = multiprocessing.get_context("fork").Process(target=_add_on_a_disk_that_fills_up, args=(path,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert json_lines(path) == [{"round": 1}, {"round": 2}]
