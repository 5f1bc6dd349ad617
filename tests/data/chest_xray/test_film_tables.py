"""NIH's tables and lists are read as they are, and every mistake in them is one sentence."""

from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.data.chest_xray.film_tables import age_in_years, patient_of_name, read_film_tables
from fedmed.data.chest_xray.findings import FINDINGS
from tests.data.chest_xray.written_films import HEADER, write_table


@pytest.mark.parametrize(
    ("stated", "years"),
    [("57", 57), ("060Y", 60), ("030M", 2), ("011M", 0), ("005D", 0), ("411", None), ("411Y", None), ("", None),
     ("old", None), ("120", 120)],
)  # fmt: skip
def test_ages_of_all_of_nihs_forms(stated: str, years: int | None) -> None:
    assert age_in_years(stated) == years


def test_the_patient_is_in_nihs_names_and_others_are_alone() -> None:
    assert patient_of_name("00011997_003.png") == ("00011997", 3)
    assert patient_of_name("a/b/film 7.dcm") == ("film 7", None)


def test_a_table_is_read_as_nih_writes_it(tmp_path: Path) -> None:
    rows = "00000013_005.png,Emphysema|Infiltration,5,13,060Y,M,AP,3056,2544,0.139,0.139,\n"
    (tmp_path / "Data_Entry_2017.csv").write_text(HEADER + rows)
    found = read_film_tables([tmp_path])
    film = found.films["00000013_005.png"]
    assert (film.findings, film.patient, film.view) == (("Infiltration", "Emphysema"), "00000013", "AP")
    assert (film.age, film.follow_up, film.sex) == (60, 5, "M")
    assert found.problems == found.odd == []


def test_the_header_of_the_sample_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "sample_labels.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y\n"
        "00000013_026.png,No Finding,26,13,057Y,M,AP,2500,2048,0.168,0.168\n"
    )
    film = read_film_tables([tmp_path]).films["00000013_026.png"]
    assert (film.findings, film.age, film.patient) == ((), 57, "00000013")


def test_columns_that_are_missing_are_taken_from_the_name_or_unknown(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("image index,Finding Labels\nfolder/00000007_002.png,Hernia\n")
    film = read_film_tables([tmp_path]).films["00000007_002.png"]
    assert (film.findings, film.patient, film.follow_up, film.view, film.age) == (("Hernia",), "00000007", 2, "", None)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("Effusions", "the unknown finding 'Effusions'; the nearest is 'Effusion'"),
        ("Pleural Thickening|Mass", "nearest is 'Pleural_Thickening'"),
        ("No Finding|Mass", "'No Finding' beside a finding"),
        ("", "an empty finding"),
        ("Mass|", "an empty finding"),
        ("Mass|Mass", "a finding twice"),
    ],
)
def test_a_mistake_in_the_findings_is_named_with_its_line(tmp_path: Path, labels: str, said: str) -> None:
    write_table(tmp_path, {"00000001_000.png": "Mass", "00000002_000.png": labels, "00000003_000.png": labels})
    (sentence,) = read_film_tables([tmp_path]).problems
    assert sentence.startswith("Line 3 of Data_Entry_2017.csv has")
    assert said in sentence
    assert sentence.endswith("(2 lines in all).")


def test_a_film_that_is_listed_twice_is_a_mistake(tmp_path: Path) -> None:
    write_table(tmp_path, {"00000001_000.png": "Mass"})
    with (tmp_path / "Data_Entry_2017.csv").open("a") as file:
        file.write("00000001_000.png,Mass,0,1,50,F,PA,64,64,0.1,0.1,\n")
    assert read_film_tables([tmp_path]).problems == [
        "Data_Entry_2017.csv lists 00000001_000.png twice or more; leave one line for each film."
    ]


def test_two_tables_must_agree_on_a_film(tmp_path: Path) -> None:
    write_table(tmp_path, {"00000001_000.png": "Mass", "00000002_000.png": "Mass"})
    write_table(tmp_path, {"00000001_000.png": "Mass"}, "sample_labels.csv")
    assert read_film_tables([tmp_path]).problems == []
    write_table(tmp_path, {"00000002_000.png": "Hernia"}, "sample_labels.csv")
    (sentence,) = read_film_tables([tmp_path]).problems
    assert "other findings than Data_Entry_2017.csv for 00000002_000.png" in sentence


def test_an_age_that_cannot_be_is_unknown_and_told(tmp_path: Path) -> None:
    write_table(tmp_path, {"00000001_000.png": "Mass"})
    path = tmp_path / "Data_Entry_2017.csv"
    path.write_text(path.read_text().replace(",50,", ",411,"))
    found = read_film_tables([tmp_path])
    assert found.films["00000001_000.png"].age is None
    assert found.odd == ["Line 2 of Data_Entry_2017.csv has the age '411', which counts as unknown."]


def test_published_lists_give_the_parts(tmp_path: Path) -> None:
    write_table(tmp_path, {"00000001_000.png": "Mass", "00000002_000.png": "Mass"})
    (tmp_path / "train_val_list.txt").write_text("00000001_000.png\n")
    (tmp_path / "test_list.txt").write_text("00000002_000.png\n\n")
    found = read_film_tables([tmp_path])
    assert found.parts == {"00000001_000.png": "train_val", "00000002_000.png": "test"}
    assert found.problems == []


def test_lists_of_fourteen_columns_give_the_findings_in_chexnets_order(tmp_path: Path) -> None:
    marks = ["0"] * 14
    marks[1] = marks[13] = "1"
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "val_list.txt").write_text(f"00011997_000.png {' '.join(marks)}\n")
    found = read_film_tables([tmp_path, tmp_path / "labels"])
    film = found.films["00011997_000.png"]
    assert film.findings == (FINDINGS[1], FINDINGS[13]) == ("Cardiomegaly", "Hernia")
    assert (film.patient, found.parts["00011997_000.png"]) == ("00011997", "val")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no film"),
        ("00000001_000.png 1 0\n", "expected the name of a film, alone or with 14 numbers"),
        (f"00000001_000.png{' 2' * 14}\n", "expected the name of a film"),
        ("00000001_000.png\n00000001_000.png\n", "lists 00000001_000.png twice"),
    ],
)
def test_a_list_of_another_form_is_a_mistake(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "train_list.txt").write_text(text)
    (sentence,) = read_film_tables([tmp_path]).problems
    assert said in sentence


def test_a_film_of_two_parts_is_a_mistake(tmp_path: Path) -> None:
    for name in ("train_val_list.txt", "test_list.txt"):
        (tmp_path / name).write_text("00000001_000.png\n")
    (sentence,) = read_film_tables([tmp_path]).problems
    assert "names 00000001_000.png, which another list has in test" in sentence


def test_boxes_are_counted_and_other_tables_passed_over(tmp_path: Path) -> None:
    (tmp_path / "BBox_List_2017.csv").write_text(
        'Image Index,Finding Label,"Bbox [x,y,w,h]",,,\n00000001_000.png,Infiltrate,1,2,3,4\n'
    )
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    found = read_film_tables([tmp_path])
    assert found.boxes == 1
    assert found.odd == ["notes.csv has no columns Image Index and Finding Labels; passed over."]
    assert found.problems == []


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Data_Entry_2017.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_film_tables([tmp_path])
