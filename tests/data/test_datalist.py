"""A site's list: read with absolute paths, written as it is read, and every mistake named with its file."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedmed.core.errors import InputError
from fedmed.data.datalist import datalist_path, lists_with, load_datalist, load_split, open_datalist, write_datalist

ENTRY = {"image": ["HGG/a/a_t1ce.nii.gz", "HGG/a/a_t1.nii.gz"], "label": "HGG/a/a_seg.nii.gz", "patient": "p1"}
OTHER = {"image": "b/b.nii.gz", "label": "b/b_seg.nii.gz"}


def written(folder: Path, document: Any) -> Path:
    path = folder / "site-1.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_a_list_is_read_with_absolute_paths(tmp_path: Path) -> None:
    base = tmp_path / "my data"
    document = {"label_scheme": "brats2023", "training": [ENTRY, OTHER], "validation": [OTHER]}
    found = load_datalist(written(tmp_path, document), base)
    first, second = found.training
    assert first.images == (base / "HGG/a/a_t1ce.nii.gz", base / "HGG/a/a_t1.nii.gz")
    assert first.target == base / "HGG/a/a_seg.nii.gz"
    assert first.extra == {"patient": "p1"}
    assert first.name == "a"
    assert second.images == (base / "b/b.nii.gz",)
    assert found.label_scheme == "brats2023"
    assert found.all_cases == found.training + found.validation
    assert found.splits == {"training": found.training, "validation": found.validation}


def test_a_published_list_states_no_scheme(tmp_path: Path) -> None:
    assert load_datalist(written(tmp_path, {"training": [ENTRY], "validation": [ENTRY]}), tmp_path).label_scheme is None


def test_the_test_cases_of_a_list_are_a_split_of_their_own(tmp_path: Path) -> None:
    third = {"image": "../c/c.nii.gz", "label": "c/c_seg.nii.gz"}
    document = {"training": [ENTRY], "validation": [OTHER], "testing": [third]}
    found = load_datalist(written(tmp_path, document), tmp_path / "set")
    assert [case.name for case in found.testing] == ["c"]
    assert found.splits["test"] == found.testing
    assert found.all_cases == (*found.training, *found.validation, *found.testing)
    assert found.outside == (tmp_path / "set" / "../c/c.nii.gz",)
    with pytest.raises(InputError, match=r"testing list of .* is an object"):
        load_datalist(written(tmp_path, {**document, "testing": {}}), tmp_path)


def test_an_empty_list_of_test_cases_is_none(tmp_path: Path) -> None:
    found = load_datalist(written(tmp_path, {"training": [ENTRY], "validation": [OTHER], "testing": []}), tmp_path)
    assert found.testing == ()
    assert set(found.splits) == {"training", "validation"}


def test_the_lists_with_a_split_are_those_of_sites_and_those_that_nobody_can_read(tmp_path: Path) -> None:
    entries = {"training": [ENTRY], "validation": [OTHER], "testing": [ENTRY]}
    for name, content in {
        "of-a-hospital": json.dumps(entries),
        "site-1": json.dumps({**entries, "testing": []}),
        "test": json.dumps({"testing": [ENTRY]}),
        "split": "[]",
        "torn": '{"training": [',
    }.items():
        (tmp_path / f"{name}.json").write_text(content)
    assert set(lists_with(tmp_path, "testing")) == {"of-a-hospital", "torn"}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "site-ü.json"
    write_datalist(path, iter([ENTRY, OTHER]), [OTHER], "brats2018")
    found = load_datalist(path, tmp_path)
    assert [case.name for case in found.training] == ["a", "b"]
    assert [case.name for case in found.validation] == ["b"]
    assert found.label_scheme == "brats2018"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("not json", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
        ([ENTRY], "holds a list"),
        ("3", "holds a number"),
        ({"validation": [ENTRY]}, "training list .* is missing"),
        ({"training": [ENTRY]}, "validation list .* is missing"),
        ({"training": [], "validation": [ENTRY]}, "training list .* is empty"),
        ({"training": [ENTRY], "validation": []}, "validation list .* is empty"),
        ({"training": {"a": ENTRY}, "validation": [ENTRY]}, "training list .* is an object"),
    ],
)
def test_a_file_that_is_no_list_of_cases_is_refused_by_name(tmp_path: Path, document: Any, said: str) -> None:
    path = written(tmp_path, document)
    with pytest.raises(InputError, match=said) as caught:
        load_datalist(path, tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    [
        "a.nii.gz",
        None,
        {},
        {"image": ["a.nii.gz"]},
        {"label": "a.nii.gz"},
        {"image": [], "label": "a.nii.gz"},
        {"image": "", "label": "a.nii.gz"},
        {"image": ["a.nii.gz", " "], "label": "a.nii.gz"},
        {"image": ["a.nii.gz"], "label": True},
        {"image": ["a.nii.gz"], "label": 0.5},
        {"image": ["a.nii.gz"], "label": ""},
        {"image": ["a.nii.gz"], "label": [1, None]},
        {"image": ["a.nii.gz", 3], "label": "b.nii.gz"},
        {"image": ["a.nii.gz"], "label": ["b.nii.gz"]},
        {"image": 3, "label": "b.nii.gz"},
        {"image": {"t1": "a.nii.gz"}, "label": "b.nii.gz"},
    ],
    ids=repr,
)
def test_a_malformed_entry_is_refused_by_its_place(tmp_path: Path, entry: Any) -> None:
    path = written(tmp_path, {"training": [ENTRY, entry], "validation": [ENTRY]})
    with pytest.raises(InputError) as caught:
        load_datalist(path, tmp_path)
    assert f"training[1] of {path}" in str(caught.value)


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("trianing", "training"), ("Training", "training"), ("validaton", "validation"), ("label_sheme", "label_scheme")],
)
def test_a_misspelt_key_of_a_list_is_refused_with_the_right_one(tmp_path: Path, slip: str, meant: str) -> None:
    path = written(tmp_path, {"training": [ENTRY], "validation": [ENTRY], slip: [OTHER]})
    with pytest.raises(InputError, match=f'{path} has the key "{slip}", which is not read; write "{meant}"'):
        load_datalist(path, tmp_path)


@pytest.mark.parametrize(("slip", "meant"), [("patinet", "patient"), ("patient_id", "patient"), ("labels", "label")])
def test_a_misspelt_key_of_a_case_is_refused_by_its_place(tmp_path: Path, slip: str, meant: str) -> None:
    path = written(tmp_path, {"training": [ENTRY, {**OTHER, slip: "x"}], "validation": [ENTRY]})
    with pytest.raises(InputError, match=rf'training\[1\] of {path} has the key "{slip}".*write "{meant}"'):
        load_datalist(path, tmp_path)


def test_other_keys_may_stand_in_a_list_as_in_the_decathlons(tmp_path: Path) -> None:
    other = {"name": "set", "modality": {"0": "MR"}, "labels": {"0": "background"}, "numTraining": 1, "test": ["a.nii"]}
    path = written(tmp_path, {**other, "training": [{**ENTRY, "fold": 1, "grade": "HGG"}], "validation": [OTHER]})
    assert load_datalist(path, tmp_path).training[0].extra["grade"] == "HGG"


@pytest.mark.parametrize(
    "text", ['{"training": [], "validation": [], "training": []}', '{"training": [{"image": "a", "image": "b"}]}']
)
def test_a_key_that_is_stated_twice_is_refused(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=f'{path} states "(training|image)" twice'):
        load_datalist(path, tmp_path)


@pytest.mark.parametrize("odd", ["\x1b[2J", "\x07", "a\nb", "a\tb", "\x9b31m", "\u202egnp.", "\x00"], ids=ascii)
@pytest.mark.parametrize("key", ["image", "label", "patient", "name", "other", None])
def test_control_characters_are_refused_and_do_not_reach_the_terminal(
    tmp_path: Path, odd: str, key: str | None
) -> None:
    value: Any = [f"{odd}.nii.gz"] if key == "image" else f"{odd}.nii.gz"
    entry = {**OTHER, key: value} if key else {**OTHER, odd: 1}
    path = written(tmp_path, {"training": [entry], "validation": [ENTRY]})
    with pytest.raises(InputError, match="which has control characters; correct it there") as caught:
        load_datalist(path, tmp_path)
    assert str(path) in str(caught.value)
    assert odd not in str(caught.value)


def test_a_text_longer_than_any_path_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"training": [{**OTHER, "patient": "x" * 4097}], "validation": [ENTRY]})
    with pytest.raises(InputError, match=r'holds "x{59}\.\.\. of 4097 characters') as caught:
        load_datalist(path, tmp_path)
    assert len(str(caught.value)) < 300 + len(str(path))


@pytest.mark.parametrize("label", ["./", ".", "..", "training/", "training/.", "/"])
def test_a_folder_is_no_labels_file(tmp_path: Path, label: str) -> None:
    """It is taken for a class's name, which the audit refuses, and never for the dataset folder itself."""
    found = load_datalist(written(tmp_path, {"training": [{**OTHER, "label": label}], "validation": [OTHER]}), tmp_path)
    assert found.training[0].target == label


@pytest.mark.parametrize(("label", "shown"), [("", '""'), (" ", '" "'), (None, "missing"), ([1.5], r"\[1.5\]")])
def test_a_label_that_is_none_is_shown(tmp_path: Path, label: Any, shown: str) -> None:
    path = written(tmp_path, {"training": [{**OTHER, "label": label}], "validation": [OTHER]})
    with pytest.raises(InputError, match=rf"training\[0\] of {path} has the label {shown}; expected a file"):
        load_datalist(path, tmp_path)


@pytest.mark.parametrize("place", ["../b.nii.gz", "/elsewhere/b.nii.gz", "HGG/../../b.nii.gz"])
def test_files_outside_the_dataset_folder_are_known(tmp_path: Path, place: str) -> None:
    base = tmp_path / "set"
    inside = {**OTHER, "label": "HGG/../b/b_seg.nii.gz"}
    found = load_datalist(written(tmp_path, {"training": [inside], "validation": [{**OTHER, "image": place}]}), base)
    assert found.outside == (base / place,)
    assert load_datalist(written(tmp_path, {"training": [inside], "validation": [inside]}), base).outside == ()


def test_a_file_that_is_not_text_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "site-1.json"
    path.write_bytes(b"\xff\xfe\x00{")
    for bad in (path, tmp_path / "absent.json", tmp_path):
        with pytest.raises(InputError, match=str(bad)):
            load_datalist(bad, tmp_path)


def test_a_site_finds_its_list_in_the_folder(tmp_path: Path) -> None:
    path = written(tmp_path, {})
    assert datalist_path(tmp_path, "site-1") == path


def test_a_single_file_is_the_list_of_whatever_site(tmp_path: Path) -> None:
    path = written(tmp_path, {})
    assert datalist_path(path, "site-All") == path


def test_a_missing_list_names_what_the_folder_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.json file"):
        datalist_path(tmp_path, "site-1")
    for name in ("site-2.json", "site-1.json"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"site-3 has no datalist.*site-1\.json, site-2\.json"):
        datalist_path(tmp_path, "site-3")


def test_a_folder_that_is_not_there_is_asked_for_by_option_and_variable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone does not exist.*--datalist_json_path.*DATALIST_ROOT"):
        datalist_path(tmp_path / "gone", "site-1")


def entry(label: str, **more: Any) -> dict[str, Any]:
    return {"image": ["x.nii.gz"], "label": label, **more}


def pictures(*names: str, label: Any = 0) -> list[dict[str, Any]]:
    return [{"image": name, "label": label} for name in names]


def names_of(tmp_path: Path, training: list[dict[str, Any]]) -> list[str]:
    path = written(tmp_path, {"training": training, "validation": [ENTRY]})
    return [case.name for case in load_datalist(path, tmp_path).training]


def test_cases_in_one_folder_are_called_by_their_images(tmp_path: Path) -> None:
    flat = ["imagesTr/BRATS_001.nii.gz", "imagesTr/BRATS 1.2 ä.nii", "imagesTr/BRATS_003.NII.GZ", "own/x.nii.gz"]
    assert names_of(tmp_path, pictures(*flat)) == ["BRATS_001", "BRATS 1.2 ä", "BRATS_003", "x"]


@pytest.mark.parametrize(
    ("images", "name"),
    [
        (["f/c_t1ce.nii.gz", "f/c_t1.nii.gz", "f/c_t2.nii.gz"], "c"),
        (["f/c_t1ce.nii.gz", "f/c_t1.nii.gz"], "c"),
        (["f/BraTS-GLI-00005-000-t1c.nii.gz", "f/BraTS-GLI-00005-000-t1n.nii.gz"], "BraTS-GLI-00005-000"),
        (["imagesTr/h_01_0000.nii.gz", "imagesTr/h_01_0001.nii.gz"], "h_01"),
        (["f/t1.nii.gz", "f/t2.nii.gz"], "f"),
    ],
)
def test_several_images_name_their_case_by_what_they_have_in_common(
    tmp_path: Path, images: list[str], name: str
) -> None:
    assert names_of(tmp_path, [{"image": images, "label": "seg.nii.gz"}]) == [name]


def test_a_name_that_several_cases_would_have_gives_way_to_their_folders(tmp_path: Path) -> None:
    assert names_of(tmp_path, pictures("p1/scan.png", "p2/scan.png", "p2/other.png")) == ["p1", "p2", "other"]


def test_a_stated_name_stays(tmp_path: Path) -> None:
    stated = {"image": "p2/scan.png", "label": 1, "name": "second"}
    assert names_of(tmp_path, [*pictures("p1/scan.png", "p3/scan.png"), stated]) == ["p1", "p3", "second"]


def test_no_name_comes_from_a_label_file(tmp_path: Path) -> None:
    one, other = (pictures("z.png", label=label) for label in ("masks/m1.png", "masks/m2.png"))
    assert names_of(tmp_path, one) == names_of(tmp_path, other) == ["z"]


@pytest.mark.parametrize(
    ("label", "target"),
    [
        (3, 3),
        (0, 0),
        ("pneumonia", "pneumonia"),
        ("no tumour", "no tumour"),
        ([0, "effusion"], (0, "effusion")),
        ([], ()),
    ],
)
def test_a_label_may_be_a_class_or_several(tmp_path: Path, label: Any, target: Any) -> None:
    path = written(tmp_path, {"training": pictures("a.png", label=label), "validation": [ENTRY]})
    case = load_datalist(path, tmp_path).training[0]
    assert case.target == target
    assert case.files == (tmp_path / "a.png",)


@pytest.mark.parametrize("label", ["mask.png", "MASK.TIF", "a_seg.nii.gz", "masks/a", "a.jpeg"])
def test_a_label_that_is_called_as_files_are_is_one(tmp_path: Path, label: str) -> None:
    path = written(tmp_path, {"training": pictures("a.png", label=label), "validation": [ENTRY]})
    case = load_datalist(path, tmp_path).training[0]
    assert case.target == tmp_path / label
    assert case.files == (tmp_path / "a.png", tmp_path / label)


def test_a_list_without_a_scheme_states_none(tmp_path: Path) -> None:
    write_datalist(tmp_path / "site-1.json", pictures("a.png"), pictures("b.png"))
    assert load_datalist(tmp_path / "site-1.json", tmp_path).label_scheme is None


def test_a_case_in_both_splits_shares_its_folder_with_nobody(tmp_path: Path) -> None:
    found = load_datalist(written(tmp_path, {"training": [ENTRY], "validation": [ENTRY]}), tmp_path)
    assert [case.name for case in found.all_cases] == ["a", "a"]


@pytest.mark.parametrize(
    ("value", "patient"), [(None, None), ("", None), ("  ", None), ("p 1", "p 1"), (7, "7"), (0, "0")]
)
def test_a_patient_is_text_or_not_stated(tmp_path: Path, value: Any, patient: str | None) -> None:
    path = written(tmp_path, {"training": [entry("a/a.nii", patient=value)], "validation": [ENTRY]})
    assert load_datalist(path, tmp_path).training[0].extra.get("patient") == patient


@pytest.mark.parametrize("value", [True, 1.5, ["p"], {"id": 1}])
def test_a_patient_of_another_type_is_refused_by_list_and_case(tmp_path: Path, value: Any) -> None:
    path = written(tmp_path, {"training": [entry("a/a.nii", patient=value)], "validation": [ENTRY]})
    with pytest.raises(InputError, match=r"the patient .*expected text") as caught:
        load_datalist(path, tmp_path)
    assert f"training[0] of {path} (a/a.nii)" in str(caught.value)


def test_one_split_is_read_alone(tmp_path: Path) -> None:
    cases, scheme = load_split(
        written(tmp_path, {"label_scheme": "brats2023", "testing": [ENTRY]}), tmp_path, "testing"
    )
    assert (cases[0].name, cases[0].target, scheme) == ("a", tmp_path / "HGG/a/a_seg.nii.gz", "brats2023")
    with pytest.raises(InputError, match=r"The testing list of .* is missing"):
        load_split(written(tmp_path, {"training": [ENTRY]}), tmp_path, "testing")


def test_a_case_has_the_same_name_read_alone_or_with_the_others(tmp_path: Path) -> None:
    """In a folder of many images a case is named after its image, though only one of them is in the split."""
    flat = [{"image": [f"images/{name}.nii.gz"], "label": f"labels/{name}.nii.gz"} for name in ("a", "b")]
    path = written(tmp_path, {"training": flat[:1], "validation": flat[1:]})
    assert load_split(path, tmp_path, "validation")[0] == load_datalist(path, tmp_path).validation
    assert load_split(path, tmp_path, "validation")[0][0].name == "b"


def test_a_case_is_written_on_one_line(tmp_path: Path) -> None:
    write_datalist(tmp_path / "site-1.json", [ENTRY, OTHER], [OTHER], "brats2018")
    lines = (tmp_path / "site-1.json").read_text().splitlines()
    assert [json.loads(line.rstrip(",")) for line in lines if "_seg" in line] == [ENTRY, OTHER, OTHER]
    assert lines[1] == '  "label_scheme": "brats2018",'


def test_a_list_is_opened_when_some_of_its_files_are_there(tmp_path: Path) -> None:
    path = written(tmp_path, {"training": [ENTRY], "validation": [OTHER]})
    with pytest.raises(InputError, match=r"holds none of the 2 cases of .*a_seg.nii.gz .* put the data there, or"):
        open_datalist(path, tmp_path / "set")
    (tmp_path / "prepare.py").touch()  # as beside a dataset folder of this project
    with pytest.raises(InputError, match=r"put the data there, as .*README.md says, or"):
        open_datalist(path, tmp_path / "set")
    image = tmp_path / "set" / "b" / "b.nii.gz"
    image.parent.mkdir(parents=True)
    image.touch()
    assert open_datalist(path, tmp_path / "set") == load_datalist(path, tmp_path / "set")


def test_a_list_of_absolute_paths_is_opened_too(tmp_path: Path) -> None:
    path = written(tmp_path, {"training": [entry("/nowhere/a_seg.nii")], "validation": [OTHER]})
    with pytest.raises(InputError, match=r": /nowhere/a_seg.nii and the others are not there"):
        open_datalist(path, tmp_path)
