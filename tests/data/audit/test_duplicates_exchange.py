"""What sites tell a server of their images, and what it finds in it; whatever it is sent."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fedmed.core.errors import InputError
from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.duplicates_exchange import (
    KEY_VARIABLE,
    Comparison,
    answer,
    compare,
    key_of_this_site,
    order_of,
    shares,
)
from fedmed.data.audit.site_audit import SiteAudit, audit_site
from fedmed.data.datalist import Case

KEY, OTHER_KEY = "one secret of all the sites", "another secret of one site"
HASH = "0123456789abcdef" * 4
SURNAME = "Mustermann"


def case(folder: Path, seed: int) -> Case:
    """A case of one image, made anew for each site that holds it."""
    folder = folder / f"Erika {SURNAME} {seed}"
    folder.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 900, (6, 5, 4)).astype(np.int16)
    for name, voxels in (("t1", values), ("seg", (values > 700).astype(np.uint8))):
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / f"{name}.nii.gz")
    return Case((folder / "t1.nii.gz",), folder / "seg.nii.gz", {})


def site(
    folder: Path, name: str, training: Sequence[int], validation: Sequence[int] = (), test: Sequence[int] = ()
) -> SiteAudit:
    seeds = {"training": training, "validation": validation, **({"test": test} if test else {})}
    splits = {split: [case(folder / name, seed) for seed in values] for split, values in seeds.items()}
    return audit_site(name, splits, Rules(("t1",), labels=(0, 1)), lambda case: case.name)


def compared(*sites: SiteAudit, key: str | None = KEY, allow_overlap: bool = False) -> Comparison:
    """By way of JSON, as an answer travels."""
    return compare({audit.site: json.loads(json.dumps(answer(audit, key, allow_overlap))) for audit in sites})


def test_sites_without_a_common_image_are_only_compared(tmp_path: Path) -> None:
    found = compared(site(tmp_path, "A", [1, 2], [3]), site(tmp_path, "B", [4], [5]))
    assert found == Comparison((), ("A", "B"), ())


def test_sites_that_list_the_same_validation_cases_share_them_out(tmp_path: Path) -> None:
    """In one order, however their lists are sorted, so that each case has one site."""
    audits = [site(tmp_path, name, [number], order) for number, (name, order) in enumerate(LISTS.items())]
    given = shares({audit.site: json.loads(json.dumps(answer(audit, KEY, False))) for audit in audits})
    assert given == {"A": (0, 3), "B": (1, 3), "C": (2, 3)}
    orders = {audit.site: order_of(audit) for audit in audits}
    sorted_cases = {name: [LISTS[name][place] for place in order] for name, order in orders.items()}
    assert sorted_cases["A"] == sorted_cases["B"] == sorted_cases["C"]
    scored = [case for name, (first, step) in given.items() for case in sorted_cases[name][first::step]]
    assert sorted(scored) == [11, 12, 13, 14, 15]


LISTS = {"A": [11, 12, 13, 14, 15], "B": [15, 13, 11, 12, 14], "C": [14, 15, 12, 13, 11]}


@pytest.mark.parametrize(
    "lists",
    [
        {"A": [11, 12], "B": [11, 13]},
        {"A": [11, 12], "B": [11]},
        {"A": [11, 11], "B": [11, 11]},
        {"A": [11]},
        {"A": [], "B": []},
    ],
    ids=["one other case", "one case fewer", "a case twice", "one site", "no case"],
)
def test_nothing_is_shared_out_otherwise(tmp_path: Path, lists: dict[str, list[int]]) -> None:
    audits = [site(tmp_path, name, [number], order) for number, (name, order) in enumerate(lists.items())]
    assert shares({audit.site: answer(audit, KEY, False) for audit in audits}) == {}


def test_nor_without_a_key_nor_where_a_label_differs(tmp_path: Path) -> None:
    one, other = site(tmp_path, "A", [1], [11, 12]), site(tmp_path, "B", [2], [11, 12])
    assert shares({"A": answer(one, KEY, False), "B": answer(other, KEY, False)})
    assert shares({"A": answer(one, None, False), "B": answer(other, None, False)}) == {}
    assert shares({"A": answer(one, KEY, False), "B": answer(other, None, False)}) == {}
    label = other.cases[1].case.target
    image = nib.load(label)
    voxels = np.asarray(image.dataobj).copy()
    voxels[0, 0, 0] = 1 - voxels[0, 0, 0]
    nib.save(nib.Nifti1Image(voxels, image.affine), label)
    again = audit_site(
        "B", {"training": [], "validation": [c.case for c in other.cases[1:]]}, one.rules, lambda c: c.name
    )
    assert shares({"A": answer(one, KEY, False), "B": answer(again, KEY, False)}) == {}


def test_an_image_that_two_sites_train_on_is_a_warning(tmp_path: Path) -> None:
    one = site(tmp_path, "A", [1, 2])
    found = compared(one, site(tmp_path, "B", [2, 3]))
    (finding,) = found.findings
    assert (finding.level, finding.check) == ("warning", "duplicate")
    assert "A and B" in finding.sentence


def test_the_image_is_named_so_that_a_site_finds_it_again(tmp_path: Path) -> None:
    one, other = site(tmp_path, "A", [1, 2]), site(tmp_path, "B", [2, 3])
    (name,) = re.findall("image [0-9a-f]+", compared(one, other).findings[0].sentence)
    hashes = [file["hash"] for file in (case["images"]["t1"] for case in one.document(KEY)["cases"])]
    assert [value.startswith(name.removeprefix("image ")) for value in hashes] == [False, True]


@pytest.mark.parametrize(("first", "second"), [("A", "B"), ("B", "A")])
def test_one_sites_training_in_anothers_validation_is_an_error(tmp_path: Path, first: str, second: str) -> None:
    (finding,) = compared(site(tmp_path, first, [1, 2]), site(tmp_path, second, [3], [2])).findings
    assert (finding.level, finding.check) == ("error", "overlap")
    assert f"{first} trains on what {second} validates on" in finding.sentence


@pytest.mark.parametrize(("use", "held"), [("trains", {"training": [2]}), ("validates", {"validation": [2]})])
def test_anothers_test_images_are_met_by_nobody(tmp_path: Path, use: str, held: dict[str, list[int]]) -> None:
    one, other = site(tmp_path, "A", [1], [3], [2]), site(tmp_path, "B", **{"training": [4], "validation": [5], **held})
    (finding,) = compared(one, other).findings
    assert (finding.level, finding.check) == ("error", "overlap")
    assert f"B {use} on what A tests on" in finding.sentence
    assert compared(one, other, allow_overlap=True).findings == ()


def test_common_test_images_are_nothing_and_a_site_without_any_says_nothing_of_them(tmp_path: Path) -> None:
    assert compared(site(tmp_path, "A", [1], [3], [7]), site(tmp_path, "B", [2], [5], [7])).findings == ()
    assert "test" not in answer(site(tmp_path, "C", [1], [3]), KEY, False)


def test_common_validation_images_are_nothing(tmp_path: Path) -> None:
    assert compared(site(tmp_path, "A", [1], [7, 8]), site(tmp_path, "B", [2], [7, 8])).findings == ()


def test_different_keys_are_told_with_the_sites(tmp_path: Path) -> None:
    audits = [site(tmp_path, name, [1]) for name in ("site-1", "site-2", "site-3")]
    keys = (KEY, OTHER_KEY, KEY)
    found = compare({audit.site: answer(audit, key, False) for audit, key in zip(audits, keys, strict=True)})
    (finding,) = found.findings
    assert (finding.level, finding.check) == ("error", "exchange")
    assert all(audit.site in finding.sentence for audit in audits)
    assert f"{KEY_VARIABLE} differs" in finding.sentence
    assert "set the same one at every site" in finding.sentence
    assert KEY not in finding.sentence


def test_a_site_without_a_key_is_silent_and_named(tmp_path: Path) -> None:
    one, other, silent = (site(tmp_path, name, [1]) for name in "ABC")
    assert answer(silent, None, False) == {}
    answers = {"C": answer(silent, None, False), "B": answer(other, KEY, False), "A": answer(one, KEY, False)}
    found = compare(answers)
    assert (found.compared, found.silent) == (("A", "B"), ("C",))
    assert len(found.findings) == 1


def test_nobody_has_a_key(tmp_path: Path) -> None:
    assert compared(site(tmp_path, "A", [1]), site(tmp_path, "B", [1]), key=None) == Comparison((), (), ("A", "B"))
    assert compare({}) == Comparison((), (), ())


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{KEY_VARIABLE} has 5 characters"):
        answer(site(tmp_path, "A", [1]), "short", False)


@pytest.mark.parametrize(("value", "key"), [(None, None), ("", None), (KEY, KEY)])
def test_the_key_is_the_environments(monkeypatch: pytest.MonkeyPatch, value: str | None, key: str | None) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(KEY_VARIABLE, value)
    assert key_of_this_site() == key


def test_an_answer_holds_hashes_and_nothing_else(tmp_path: Path) -> None:
    audit = site(tmp_path, "A", [1, 2], [3])
    told = answer(audit, KEY, False)
    assert {name: len(values) for name, values in told.items()} == {
        "key": 1,
        "training": 2,
        "validation": 1,
        "validation_cases": 1,
    }
    assert all(re.fullmatch("[0-9a-f]{64}", value) for values in told.values() for value in values)
    fingerprints = {value for audited in audit.cases for value in audited.fingerprints}
    assert len(fingerprints) == 3
    for secret in (SURNAME, KEY, "nii", *fingerprints):
        assert secret not in json.dumps(told)


def test_the_order_of_an_answer_says_nothing_of_the_list(tmp_path: Path) -> None:
    forth, back = (answer(site(tmp_path, "A", seeds), KEY, False) for seeds in ([1, 2, 3, 4], [4, 3, 2, 1]))
    assert forth == back
    assert forth["training"] == sorted(forth["training"])


def test_another_key_gives_another_answer(tmp_path: Path) -> None:
    audit = site(tmp_path, "A", [1], [2])
    one, other = (answer(audit, key, False) for key in (KEY, OTHER_KEY))
    assert all(not set(one[name]) & set(other[name]) for name in one)


def test_an_accepted_overlap_leaves_out_validation(tmp_path: Path) -> None:
    one, other = site(tmp_path, "A", [1, 2]), site(tmp_path, "B", [1], [2])
    assert "validation" not in answer(other, KEY, True)
    (finding,) = compared(one, other, allow_overlap=True).findings
    assert finding.level == "warning"


MALFORMED: Mapping[str, Any] = {
    "nothing": None,
    "a number": 5,
    "a string": HASH,
    "a list": [HASH],
    "no key": {"training": [HASH]},
    "an empty key": {"key": [], "training": [HASH]},
    "two keys": {"key": [HASH, HASH]},
    "a string for the key's list": {"key": HASH},
    "a letter for the key's list": {"key": "a"},
    "a number for the key's list": {"key": 5},
    "nothing for the key's list": {"key": None},
    "an object for the key's list": {"key": {HASH: 1}},
    "a string for a list": {"key": [HASH], "training": HASH},
    "an empty string for a list": {"key": [HASH], "training": ""},
    "nothing for a list": {"key": [HASH], "training": None},
    "an object for a list": {"key": [HASH], "training": {HASH: HASH}},
    "a further name": {"key": [HASH], "patients": [HASH]},
    "a name that is no string": {"key": [HASH], 3: []},
    "no hexadecimal digits": {"key": [HASH], "training": ["g" * 64]},
    "capitals": {"key": [HASH], "training": [HASH.upper()]},
    "a case's name": {"key": [HASH], "training": [f"Erika {SURNAME}"]},
    "too few digits": {"key": [HASH], "training": [HASH[1:]]},
    "a new line": {"key": [HASH], "training": [HASH + "\n"]},
    "a number in a list": {"key": [HASH], "training": [5]},
    "a list in a list": {"key": [HASH], "training": [[HASH]]},
    "a key that is a list": {"key": [[HASH]]},
    "something huge": {"key": [HASH], "training": ["a" * 5_000_000]},
    "a huge name": {"key": [HASH], "a" * 5_000_000: []},
}


@pytest.mark.parametrize("given", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_answer_is_an_error_by_the_sites_name_and_the_others_are_compared(given: Any) -> None:
    good = {"key": [HASH], "training": ["a" * 64], "validation": []}
    found = compare({"A": good, "site ü": given, "C": good})
    error, *others = found.findings
    assert (error.level, error.check) == ("error", "exchange")
    assert "site ü" in error.sentence
    assert "update it" in error.sentence
    assert len(error.sentence) < 200
    assert [finding.check for finding in others] == ["duplicate"]
    assert (found.compared, found.silent) == (("A", "C"), ())


def test_many_common_images_make_a_short_sentence() -> None:
    many = {"key": [HASH], "training": [hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(5000)]}
    (finding,) = compare({"A": many, "B": many}).findings
    assert "4997 more" in finding.sentence
    assert len(finding.sentence) < 300


def test_the_comparison_can_be_written_as_json(tmp_path: Path) -> None:
    answers = {audit.site: answer(audit, KEY, False) for audit in (site(tmp_path, "A", [1]), site(tmp_path, "B", [1]))}
    document = json.loads(json.dumps(compare({**answers, "C": {}, "D": 5}).document()))
    assert (document["compared"], document["without_key"]) == (["A", "B"], ["C"])
    assert [finding["level"] for finding in document["findings"]] == ["error", "warning"]
    assert all(set(finding) == {"level", "check", "sentence"} for finding in document["findings"])
    assert SURNAME not in json.dumps(document)
