"""The records of a running job, as a user of the federation is answered: every line once, from a byte on."""

import json
from pathlib import Path

from nvflare.apis.fl_context import FLContext

from fedmed.core.names import RECORDS_TOPIC
from fedmed.environments.flare.records_handler import AFTER, AT_ONCE, FOUND, NEXT, RecordsHandler


def written(path: Path, count: int) -> list[str]:
    lines = [json.dumps({"round": number, "said": "two\nlines, Zürich"}) for number in range(count)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return lines


def asked(handler: RecordsHandler, question: object) -> tuple[list[str], int]:
    answer = handler(RECORDS_TOPIC, question, FLContext())
    return answer[FOUND], answer[NEXT]


def test_every_record_is_told_once_in_answers_of_limited_size(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    lines, known, told, sizes = written(path, 90), 0, [], []
    handler = RecordsHandler(path)
    while True:
        found, known = asked(handler, {AFTER: known})
        if not found:
            break
        told += found
        sizes.append(len(found))
    assert told == lines
    assert max(sizes) == AT_ONCE
    assert known == path.stat().st_size


def test_a_line_that_is_being_written_is_told_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    handler, lines = RecordsHandler(path), written(path, 1)
    with path.open("a") as file:
        file.write('{"round": ')
        file.flush()
        found, known = asked(handler, {AFTER: 0})
        assert found == lines
        file.write("1}\n")
        file.flush()
        assert asked(handler, {AFTER: known})[0] == ['{"round": 1}']


def test_before_the_first_record_there_are_none(tmp_path: Path) -> None:
    assert asked(RecordsHandler(tmp_path / "rounds.jsonl"), {AFTER: 0}) == ([], 0)


def test_a_question_of_another_form_is_answered_from_the_beginning(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    lines = written(path, 1)
    for question in (None, {}, {AFTER: -5}, {AFTER: "7"}, [3]):
        assert asked(RecordsHandler(path), question)[0] == lines
