"""Cases have numbers, and texts lose what may name a patient while figures stay."""

import pytest

from fedmed.analysis.dashboard.case_aliases import CaseAliases, names_of
from fedmed.analysis.report.report_page import Listing, Picture, Section, Table, Text
from tests.analysis.dashboard.patient_names import NAMES, PATIENTS, traces_in

ALIASES = CaseAliases.of([(site, case) for site, names in NAMES.items() for case in names], PATIENTS)


def test_a_case_is_its_number_in_the_order_of_the_names_at_its_site() -> None:
    aliases = CaseAliases.of([("b", "z"), ("a", "y"), ("a", "x"), ("a", "x")])
    assert [aliases.alias("a", "x"), aliases.alias("a", "y"), aliases.alias("b", "z")] == [
        "case 1 of a", "case 2 of a", "case 1 of b"
    ]  # fmt: skip
    assert aliases.alias("b", "DOE") == "a case of b"


@pytest.mark.parametrize(
    "text",
    [
        "doe^jane_T1 is odd",
        "case Roe_Richard_2, of Roe_Richard.",
        "van der Meer, Jan has no label",
        "MRN-4711-0815 scan: 3 findings",
        "seg_Roe_Richard_2_final",
        "FileNotFoundError: [Errno 2] No such file: '/srv/clinic/van der Meer, Jan/t1.nii.gz'",
        "C:\\Mercy\\DOE\\t1.dcm and Doe-Jane.dcm",
        "(0010,0010) PN Roe^Richard",
        "PatientName: Jane Doe",
        "Patient's Name = Jane Doe",
        "PatientBirthDate 19470229",
        "Institution Name: Mercy Hospital",
        "read DOE^J^MIDDLE",
    ],
)
def test_what_may_name_a_patient_goes(text: str) -> None:
    assert traces_in(ALIASES.clean(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "0.7899 [0.7313, 0.8272] on 119 validation cases", "n/a", "step 12/40", "round 3 of 5", "HD95 (mm)", "-",
        "site-1: mean Dice 0.5 (2 of 2 cases), p < 0.001", "learning_rate 0.001", "a guess is 50 %",
    ],
)  # fmt: skip
def test_figures_and_plain_words_stay(text: str) -> None:
    assert ALIASES.clean(text) == text


def test_every_text_of_a_section_is_clean_and_pictures_stay() -> None:
    word = "Roe_Richard"
    section = Section(word, [Text(word), Listing([word]), Table(word, (word,), [[word]]), Picture(word, b"png")])
    text, listing, table, picture = ALIASES.section(section).parts
    assert (text, listing) == (Text("[name]"), Listing(["[name]"]))
    assert table == Table("[name]", ["[name]"], [["[name]"]])
    assert picture == Picture("[name]", b"png")


def test_a_short_number_is_no_name_but_a_long_one_is() -> None:
    aliases = CaseAliases.of([("a", "12"), ("a", "20230042")])
    assert aliases.clean("12 cases, and 20230042.") == "12 cases, and [name]."


def test_names_come_from_the_lists_and_from_what_was_measured() -> None:
    splits = {"a": {"training": ["one"], "validation": ["two"]}}
    stats = {"a": {"training": 1, "cases": [{"name": "three", "patient": "four"}]}, "b": {"training": 0}}
    assert names_of(splits, stats).secrets == {"one", "two", "three", "four"}
    assert names_of({}, {}).secrets == set()
