"""hospitals.json: the entries as they are read, and a sentence on each mistake."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedmed.core.errors import InputError, Problems
from fedmed.data.brain_mri.classes import CLASSES
from fedmed.data.brain_mri.hospitals import nearest, read_hospitals
from tests.data.brain_mri.written_heads import PLACE, hospital, write_hospitals
from tests.scripts import ROOT

GOOD = hospital("North", "north", {"glioma": "glioma"})


def sentences(tmp_path: Path, *entries: Any) -> tuple[str, ...]:
    with pytest.raises(Problems) as caught:
        read_hospitals(write_hospitals(tmp_path, *entries))
    return caught.value.sentences


def test_the_public_sets_are_in_the_order_in_which_copies_stay() -> None:
    found = read_hospitals(ROOT / "dataset_brain_mri" / "hospitals.json")
    assert [each.name for each in found] == ["Figshare", "SARTAJ", "Br35H"]
    assert {*found[1].class_map.values()} == {*CLASSES}
    assert {*found[2].class_map.values()} == {"no_tumor"}
    assert found[0].class_map["pituitary tumor"] == "pituitary"


def test_an_entry_is_read_as_it_stands(tmp_path: Path) -> None:
    entry = hospital("Krankenhaus Süd", "süd/mr bilder", {"Kein Tumor": "no_tumor"}, fictional=False)
    (found,) = read_hospitals(write_hospitals(tmp_path, entry))
    assert found.facts() == {"name": "Krankenhaus Süd", **PLACE, "fictional": False}
    assert (found.folder, found.class_map) == ("süd/mr bilder", {"Kein Tumor": "no_tumor"})


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({**GOOD, "name": " "}, 'hospital 1 has the name " "'),
        ({**GOOD, "name": "N\u202eorth"}, "hospital 1 has the name"),
        ({**GOOD, "folder": "../north"}, "inside the set's folder"),
        ({**GOOD, "folder": "/data"}, "inside the set's folder"),
        ({**GOOD, "class_map": {}}, "North has the class_map {}"),
        ({**GOOD, "class_map": {"g": "gliom"}}, "of which glioma is most like it"),
        ({**GOOD, "class_map": {"g": 3}}, "maps \"g\" to 3; expected one of glioma"),
        ({**GOOD, "class_map": {"a/b": "glioma"}}, "expected the name of a folder"),
        ({**GOOD, "class_map": {"Glioma": "glioma", "glioma ": "meningioma"}}, "but for case"),
        ({**GOOD, "location": {**PLACE, "latitude": 90.1}}, "latitude 90.1; expected degrees from -90 to 90"),
        ({**GOOD, "location": {**PLACE, "longitude": -181}}, "expected degrees from -180 to 180"),
        ({**GOOD, "location": {**PLACE, "latitude": float("nan")}}, "latitude NaN"),
        ({**GOOD, "location": {**PLACE, "latitude": True}}, "latitude true"),
        ({**GOOD, "location": {**PLACE, "latitude": "50"}}, 'latitude "50"'),
        ({**GOOD, "location": {"city": "A"}}, "North's location lacks country"),
        ({**GOOD, "location": "Aachen"}, "expected an object with city"),
        ({**GOOD, "fictional": "yes"}, 'fictional "yes"; expected true or false'),
        ({**GOOD, "beds": 3}, 'North has "beds", which is not read'),
        ({"name": "North"}, "North lacks folder"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(tmp_path: Path, entry: Any, words: str) -> None:
    found = sentences(tmp_path, entry)
    assert any(words in sentence for sentence in found), found
    assert all(sentence.endswith(".") for sentence in found)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    found = sentences(tmp_path, {**GOOD, "fictional": 1, "folder": ""}, hospital("NORTH ", "b", {"x": "glioma"}))
    assert len(found) == 3
    assert '2 hospitals are called "north"' in found[2]


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "[3]", '[{"name": "a", "name": "b"}]', "[" * 100_000])
def test_a_file_that_is_no_list_of_objects_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "hospitals.json").write_text(text)
    with pytest.raises(InputError, match=r"hospitals\.json"):
        read_hospitals(tmp_path / "hospitals.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_hospitals(tmp_path / "other.json")


def test_nearest_goes_by_likeness_without_regard_to_case() -> None:
    assert nearest("PITUITARY-Tumour", ["glioma", "Pituitary tumor", "none"]) == "Pituitary tumor"
    assert nearest("", ["glioma"]) == "glioma"


def test_two_folders_may_be_of_one_class(tmp_path: Path) -> None:
    entry = hospital("North", "north", {"low grade": "glioma", "high grade": "glioma"})
    (found,) = read_hospitals(write_hospitals(tmp_path, entry))
    assert json.dumps(found.class_map) == '{"low grade": "glioma", "high grade": "glioma"}'
