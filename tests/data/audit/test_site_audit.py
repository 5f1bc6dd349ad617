"""The audit of a site: what is wrong with its files stops it by the name of the file, what is odd only warns."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.audit.finding import Finding, refuse_errors
from fedmed.data.audit.site_audit import SiteAudit, audit_site, outside, overlaps
from fedmed.data.brats.brats_layout import NAMINGS
from fedmed.data.brats.brats_rules import brats_rules, patient_of
from fedmed.data.datalist import Case, load_datalist

SHAPE = (24, 22, 20)
AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
NAMING = NAMINGS["brats2018"]


def write(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def make_case(root: Path, name: str, seed: int) -> Case:
    """A sound case: a brain in a margin of zeros, with a tumour of all three labels."""
    rng = np.random.default_rng(seed)
    brain = np.zeros(SHAPE, bool)
    brain[4:-4, 4:-4, 4:-4] = True
    images = []
    for part in NAMING.image:
        voxels = np.where(brain, rng.integers(100, 900, SHAPE), 0).astype(np.int16)
        images.append(write(NAMING.path(root / name, name, part), voxels))
    label = np.zeros(SHAPE, np.uint8)
    label[8:14, 8:14, 8:14] = 2
    label[9:12, 9:12, 9:12] = 4
    label[10, 10, 10] = 1
    return Case(tuple(images), write(NAMING.path(root / name, name, "seg"), label), {})


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    return [make_case(tmp_path / "Spital Zürich", f"Brats18_X_{i}_1", i) for i in range(3)]


def audit(training: list[Case], validation: list[Case] | None = None, **how: Any) -> SiteAudit:
    splits = {"training": training, "validation": validation or []}
    return audit_site("site-1", splits, brats_rules("brats2018"), patient_of, **how)


def only(found: SiteAudit) -> Finding:
    """The one finding, which must stop a run."""
    assert len(found.findings) == 1, found.findings
    with pytest.raises(InputError) as refused:
        refuse_errors(found.findings, "site-1")
    assert found.findings[0].sentence in str(refused.value)
    assert "\n" not in str(refused.value)
    return found.findings[0]


def test_sound_cases_pass_whatever_letters_their_paths_hold(cases: list[Case]) -> None:
    assert audit(cases[:2], cases[2:]).findings == ()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def changed(change: Callable[[np.ndarray], np.ndarray], affine: np.ndarray = AFFINE) -> Callable[[Path], None]:
    return lambda path: write(path, change(np.asarray(nib.load(path).dataobj)), affine) and None


def with_one(value: float) -> Callable[[Path], None]:
    def put(voxels: np.ndarray) -> np.ndarray:
        spoilt = voxels.astype(np.float32)
        spoilt[10, 10, 10] = value
        return spoilt

    return changed(put)


TURN = np.array([[0.98, -0.2, 0, 0], [0.2, 0.98, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])

BAD_IMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncated, "copy it again"),
    "damaged": (damaged, "copy it again"),
    "empty": (lambda path: path.write_bytes(b"") and None, "0 bytes"),
    "text": (lambda path: path.write_text("no volume") and None, "is no NIfTI file"),
    "not there": (Path.unlink, "correct its list"),
    "4D": (changed(lambda voxels: voxels[..., None].repeat(2, axis=3)), "one file a modality"),
    "NaN": (with_one(np.nan), "1 voxel that is NaN or infinite"),
    "Inf": (with_one(np.inf), "1 voxel that is NaN or infinite"),
    "rotated affine": (changed(lambda voxels: voxels, TURN @ AFFINE), "resampled to one grid"),
    "flipped affine": (changed(lambda voxels: voxels, np.eye(4)), "orientation RAS against LPS"),
    "other spacing": (changed(lambda voxels: voxels, AFFINE * 2), "resampled to one grid"),
    "other shape": (changed(lambda voxels: voxels[1:]), "resampled to one grid"),
    "zero": (changed(np.zeros_like), "is 0 everywhere"),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_is_an_error_that_names_the_file_and_the_remedy(cases: list[Case], kind: str) -> None:
    spoil, words = BAD_IMAGES[kind]
    spoil(cases[1].images[2])
    found = only(audit(cases))
    assert found.level == "error"
    assert str(cases[1].images[2]) in found.sentence
    assert words in found.sentence


def test_labels_of_another_scheme_are_an_error_with_the_values(cases: list[Case]) -> None:
    changed(lambda label: np.where(label == 4, 3, label))(cases[0].target)
    found = only(audit(cases))
    assert found.sentence.startswith(f"{cases[0].target} holds the label values 3, which brats2018 does not know")
    assert "label_scheme" in found.sentence
    assert not audit_site("s", {"training": cases[:1]}, brats_rules("brats2023"), patient_of).findings


def test_a_missing_modality_is_an_error(cases: list[Case]) -> None:
    three = Case(cases[0].images[:3], cases[0].target, {})
    assert "3 image files" in only(audit([three, *cases[1:]])).sentence


def test_all_errors_are_found_and_the_first_is_told_with_their_number(cases: list[Case]) -> None:
    for case in cases:
        truncated(case.images[0])
    found = audit(cases)
    assert len(found.errors) == 3
    with pytest.raises(InputError, match="and 2 more errors"):
        refuse_errors(found.findings, "site-1")


def test_a_warning_does_not_stop_a_run(cases: list[Case]) -> None:
    changed(np.zeros_like)(cases[0].target)
    found = audit(cases)
    assert [(f.level, f.check) for f in found.findings] == [("warning", "empty tumour")]
    refuse_errors(found.findings, "site-1")


def test_a_label_of_another_case_lies_outside_the_brain(cases: list[Case]) -> None:
    changed(lambda label: np.roll(label, 12, axis=0))(cases[0].target)
    assert only(audit(cases)).check == "tumour outside"


def test_a_patient_in_training_and_validation_is_an_error_unless_accepted(tmp_path: Path) -> None:
    first, second = make_case(tmp_path, "Brats18_X_7_1", 1), make_case(tmp_path, "Brats18_X_7_2", 2)
    assert "one patient, Brats18_X_7" in only(audit([first], [second])).sentence
    accepted = audit([first], [second], allow_overlap=True)
    assert [f.level for f in accepted.findings] == ["warning"]


def reoriented(path: Path) -> None:
    """The same volume stored along other axes, compressed otherwise."""
    image = nib.load(path)
    voxels = np.asarray(image.dataobj)[::-1, :, ::-1]
    affine = image.affine @ np.array([[-1, 0, 0, SHAPE[0] - 1], [0, 1, 0, 0], [0, 0, -1, SHAPE[2] - 1], [0, 0, 0, 1]])
    write(path, np.asarray(voxels), affine)


@pytest.mark.parametrize("spoil", [lambda path: None, reoriented], ids=["renamed", "renamed and re-oriented"])
def test_the_same_images_under_another_name_are_found(cases: list[Case], spoil: Callable[[Path], None]) -> None:
    folder = cases[0].target.parent
    other = shutil.copytree(folder, folder.with_name("Brats18_Y_9_1"))
    copy = Case(tuple(other / path.name for path in cases[0].images), other / cases[0].target.name, {}, other.name)
    for path in (*copy.images, copy.target):
        spoil(path)
    within = audit([*cases, copy])
    assert [(f.level, f.check) for f in within.findings] == [("warning", "duplicate")]
    assert "Brats18_X_0_1" in within.findings[0].sentence
    assert "Brats18_Y_9_1" in within.findings[0].sentence
    assert "hold the same images" in only(audit(cases, [copy])).sentence


def test_one_label_for_two_cases_is_an_error(cases: list[Case]) -> None:
    mixed = Case(cases[1].images, cases[0].target, {"patient": "other"})
    sentence = next(f.sentence for f in audit([cases[0], mixed, cases[2]]).errors if f.check == "label")
    assert all(str(path) in sentence for path in (cases[0].target, cases[0].images[0], cases[1].images[0]))
    assert not [f for f in audit([cases[0], cases[0]]).findings if f.check == "label"]


@pytest.fixture
def decathlon(tmp_path: Path) -> Path:
    """Eight cases in flat folders, of which the last has a volume of another spacing; its list."""
    entries = []
    for i in range(8):
        made = make_case(tmp_path / "made", f"m{i}", i)
        affine = AFFINE if i < 7 else AFFINE @ np.diag([9.0, 9, 9, 1])
        images = [f"imagesTr/BRATS_{i:03d}_{k}.nii.gz" for k in range(4)]
        for path, name in zip((*made.images, made.target), (*images, f"labelsTr/BRATS_{i:03d}.nii.gz"), strict=True):
            write(tmp_path / name, np.asarray(nib.load(path).dataobj), affine)
        entries.append({"image": images, "label": f"labelsTr/BRATS_{i:03d}.nii.gz"})
    (tmp_path / "site-1.json").write_text(json.dumps({"training": entries[:6], "validation": entries[6:]}))
    return tmp_path / "site-1.json"


def test_flat_folders_keep_their_cases_apart(decathlon: Path) -> None:
    found = load_datalist(decathlon, decathlon.parent)
    result = audit_site("site-1", found.splits, brats_rules(None), patient_of)
    assert result.errors == []
    assert {audited.patient for audited in result.cases} == {f"BRATS_{i:03d}" for i in range(8)}
    assert result.findings
    assert all(f.check == "outlier" and f.sentence.startswith("BRATS_007 (") for f in result.findings)


def test_files_outside_the_dataset_folder_are_a_warning_after_the_errors(decathlon: Path) -> None:
    listed = load_datalist(decathlon, decathlon.parent / "labelsTr" / "..")
    assert outside(listed) == []
    (warning,) = outside(replace(listed, outside=(Path("/etc/hosts"), Path("/etc/group"))))
    assert warning.level == "warning"
    assert "names 2 files that lie outside the dataset folder, such as /etc/hosts; look" in warning.sentence
    audit = audit_site("s", {"training": []}, brats_rules(None), patient_of).with_findings([warning])
    levels = [f.level for f in audit.with_findings([Finding("error", "x", "y"), warning]).findings]
    assert levels == ["error", "warning", "warning"]


def test_the_same_images_in_flat_folders_are_named(decathlon: Path) -> None:
    for k in range(4):
        shutil.copy(
            decathlon.parent / f"imagesTr/BRATS_000_{k}.nii.gz", decathlon.parent / f"imagesTr/BRATS_006_{k}.nii.gz"
        )
    found = load_datalist(decathlon, decathlon.parent)
    (error,) = audit_site("site-1", found.splits, brats_rules(None), patient_of).errors
    assert error.sentence.startswith("BRATS_000 (training) and BRATS_006 (validation) hold the same images")


def test_overlaps_between_sites_name_the_cases(cases: list[Case]) -> None:
    def at(site: str, training: list[Case], validation: list[Case]) -> SiteAudit:
        splits = {"training": training, "validation": validation}
        return audit_site(site, splits, brats_rules(None), patient_of)

    shared = [at("site-1", cases[:1], cases[2:]), at("site-2", cases[1:2], cases[2:])]
    assert overlaps(shared, False) == []
    leaked = overlaps([at("site-1", cases[:1], cases[2:]), at("site-2", cases[1:2], cases[:1])], False)
    assert [f.level for f in leaked] == ["error"]
    assert "site-1 trains on what site-2 validates on: Brats18_X_0_1" in leaked[0].sentence
    twice = overlaps([at("site-1", cases[:2], cases[2:]), at("site-2", cases[1:2], cases[2:])], False)
    assert [f.level for f in twice] == ["warning"]


def test_a_patient_at_two_sites_is_found_by_name(tmp_path: Path) -> None:
    first, second = make_case(tmp_path, "Brats18_X_7_1", 1), make_case(tmp_path, "Brats18_X_7_2", 2)
    third, fourth = make_case(tmp_path, "Brats18_X_8_1", 3), make_case(tmp_path, "Brats18_X_9_1", 4)

    def at(site: str, training: Case, validation: Case) -> SiteAudit:
        splits = {"training": [training], "validation": [validation]}
        return audit_site(site, splits, brats_rules(None), patient_of)

    leaked = overlaps([at("site-1", first, third), at("site-2", fourth, second)], False)
    assert [(f.level, f.check) for f in leaked] == [("error", "overlap")]
    assert "site-1 trains on patients that site-2 validates on: Brats18_X_7" in leaked[0].sentence
    twice = overlaps([at("site-1", first, third), at("site-2", second, third)], False)
    assert [(f.level, f.check) for f in twice] == [("warning", "duplicate")]
    assert overlaps([at("site-1", first, third), at("site-2", fourth, third)], False) == []


def test_a_case_is_read_once_however_often_it_is_listed(cases: list[Case]) -> None:
    class Store(dict[str, bytes]):
        def read(self, name: str) -> bytes | None:
            return self.get(name)

        def write(self, name: str, content: bytes) -> bool:
            assert name not in self, "measured twice"
            self[name] = content
            return True

    store = Store()
    first = audit(cases, [cases[0]], book=FactsBook(store), allow_overlap=True)
    again = audit(cases, [cases[0]], book=FactsBook(store), allow_overlap=True)
    assert len(store) == 3
    assert first == again


def test_a_changed_file_is_measured_anew(cases: list[Case]) -> None:
    book = FactsBook()
    assert not audit(cases, book=book).findings
    with_one(np.nan)(cases[0].images[0])
    assert audit(cases, book=book).errors


def test_progress_is_told_after_each_case(cases: list[Case]) -> None:
    told: list[tuple[int, int]] = []
    audit(cases, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_document_is_json_and_holds_no_unkeyed_fingerprint(cases: list[Case]) -> None:
    found = audit(cases[:2], cases[2:])
    marks = {mark for audited in found.cases for mark in audited.fingerprints}
    plain, keyed = json.dumps(found.document()), json.dumps(found.document("k" * 32))
    assert len(marks) == 12
    assert not any(mark in plain or mark in keyed for mark in marks)
    assert "hash" not in plain
    case = json.loads(keyed)["cases"][0]
    assert (case["name"], case["split"], case["patient"]) == ("Brats18_X_0_1", "training", "Brats18_X_0")
    assert case["images"]["t1ce"]["shape"] == list(SHAPE)
    assert case["label"]["counts"]["4"] == 26
    assert all(len(image["hash"]) == 64 for image in case["images"].values())
