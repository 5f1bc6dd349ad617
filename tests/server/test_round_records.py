"""What the server tells of a job's rounds."""

import json
from pathlib import Path

from nvflare.apis.fl_context import FLContext

from fedmed.server.round_records import AFTER, FOUND, TOPIC, Teller, add_record, read_records, write_records


def written(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps({"round": number}) + "\n" for number in range(count)))
    return path


def test_a_line_that_is_being_written_is_not_read_yet(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    assert read_records(path) == []
    with written(path, 2).open("a") as file:
        file.write('{"round": ')
        file.flush()
        assert read_records(path) == [{"round": 0}, {"round": 1}]


def test_everything_is_told_once_in_answers_of_limited_size(tmp_path: Path) -> None:
    teller, known = Teller(written(tmp_path / "rounds.jsonl", 90)), []
    while answer := teller(TOPIC, {AFTER: len(known)}, FLContext())[FOUND]:
        assert len(answer) <= 20
        known += answer
    assert known == [{"round": number} for number in range(90)]


def test_a_question_of_another_form_is_answered_from_the_beginning(tmp_path: Path) -> None:
    teller = Teller(written(tmp_path / "rounds.jsonl", 1))
    assert teller(TOPIC, None, FLContext()) == teller(TOPIC, {AFTER: -5}, FLContext()) == {FOUND: [{"round": 0}]}


def test_records_are_added_after_those_of_an_earlier_job_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    add_record(path, {"round": 9, "of": "another job"})
    earlier = [{"round": 0, "said": "two\nlines"}, {"round": 1}]
    write_records(path, earlier)
    assert read_records(path) == earlier
    add_record(path, {"round": 2})
    assert read_records(path) == [*earlier, {"round": 2}]
    assert read_records(path, after=2) == [{"round": 2}]
    write_records(path, [])
    assert read_records(path) == []
