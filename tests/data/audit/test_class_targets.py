"""The audit of pictures whose targets are classes, from their lists on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedmed.data.audit.audit_table import class_counts, site_line, site_table
from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.site_audit import SiteAudit, audit_site, overlaps
from fedmed.data.datalist import load_datalist

CLASSES = ("normal", "pneumonia", "effusion")
RULES = Rules(("xray",), dimensions=2, classes=CLASSES)
SEVERAL = Rules(("xray",), dimensions=2, classes=CLASSES, several=True)


def draw(folder: Path, name: str, seed: int) -> str:
    values = np.random.default_rng(seed).integers(1, 256, (16, 18), dtype=np.uint8)
    Image.fromarray(values).save(folder / name, quality=95)
    return name


def audited(folder: Path, training: list[Any], validation: list[Any], rules: Rules = RULES, **how: Any) -> SiteAudit:
    """The audit of a list of entries, which are a picture's number with its label."""
    parts = {
        part: [{"image": draw(folder, f"{seed}.png", seed), "label": label} for seed, label in entries]
        for part, entries in (("training", training), ("validation", validation))
    }
    (folder / "site-1.json").write_text(json.dumps(parts), encoding="utf-8")
    found = load_datalist(folder / "site-1.json", folder)
    return audit_site("site-1", found.splits, rules, lambda case: case.name, **how)


def errors(audit: SiteAudit) -> list[tuple[str, str]]:
    return [(finding.check, finding.sentence) for finding in audit.errors]


SOUND = [(1, "normal"), (2, 1), (3, "pneumonia")]


def test_a_sound_list_of_classes_has_no_findings(tmp_path: Path) -> None:
    audit = audited(tmp_path, SOUND, [(4, 2)])
    assert audit.findings == ()
    assert [case.classes for case in audit.cases] == [["normal"], [1], ["pneumonia"], [2]]
    assert site_line(audit) == "site-1: 3 training + 1 validation cases of 4 patients: 0 errors, 0 warnings"


def test_the_table_counts_the_classes_of_each_split(tmp_path: Path) -> None:
    audit = audited(tmp_path, SOUND, [(4, 2)])
    assert class_counts(audit) == {
        "training": {"normal": 1, "pneumonia": 2, "effusion": 0},
        "validation": {"normal": 0, "pneumonia": 0, "effusion": 1},
    }
    text = site_table(audit)
    assert "  classes (training + validation): normal 1 + 0, pneumonia 2 + 0, effusion 0 + 1" in text
    assert "xray  16x18" in text
    assert "spacing" not in text


def test_several_classes_count_each(tmp_path: Path) -> None:
    audit = audited(tmp_path, [(1, []), (2, [1, "effusion"]), (3, ["pneumonia"])], [(4, [0])], SEVERAL)
    assert audit.findings == ()
    assert class_counts(audit)["training"] == {"normal": 0, "pneumonia": 2, "effusion": 1}


@pytest.mark.parametrize(
    ("label", "rules", "said"),
    [
        ("tumour", RULES, "1: the class 'tumour' is not known; expected one class of normal, pneumonia, effusion"),
        (3, RULES, "1: the class 3 is not known"),
        ([0, 1], RULES, "1: the target is 0, 1; expected one class"),
        ([0, "rib"], SEVERAL, "1: the class 'rib' is not known; expected classes of"),
        ("2.png", RULES, "expected one class"),
    ],
)
def test_an_unknown_class_is_an_error_that_is_not_counted(tmp_path: Path, label: Any, rules: Rules, said: str) -> None:
    audit = audited(tmp_path, [(1, label), (2, 0)], [(4, 2)], rules)
    ((check, sentence),) = errors(audit)
    assert check == "target"
    assert said in sentence
    assert sum(class_counts(audit)["training"].values()) == 1


def test_an_unreadable_picture_is_an_error_beside_its_class(tmp_path: Path) -> None:
    list_path = tmp_path / "site-1.json"
    audited(tmp_path, [(1, 9), (2, 0)], [(4, 2)])
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    found = load_datalist(list_path, tmp_path)
    audit = audit_site("site-1", found.splits, RULES, lambda case: case.name)
    assert [check for check, _ in errors(audit)] == ["target", "readable"]
    assert str(tmp_path / "1.png") in errors(audit)[1][1]


def test_a_missing_picture_is_an_error(tmp_path: Path) -> None:
    audited(tmp_path, [(1, 1), (2, 0)], [(4, 2)])
    (tmp_path / "4.png").unlink()
    found = load_datalist(tmp_path / "site-1.json", tmp_path)
    ((check, sentence),) = errors(audit_site("site-1", found.splits, RULES, lambda case: case.name))
    assert check == "readable"
    assert "4 lacks 1 of its files" in sentence


def test_the_same_picture_in_both_splits_is_an_error(tmp_path: Path) -> None:
    draw(tmp_path, "again.png", 1)
    parts = {
        "training": [{"image": draw(tmp_path, "1.png", 1), "label": 0}],
        "validation": [{"image": "again.png", "label": 0}],
    }
    (tmp_path / "site-1.json").write_text(json.dumps(parts), encoding="utf-8")
    found = load_datalist(tmp_path / "site-1.json", tmp_path)
    ((check, sentence),) = errors(audit_site("site-1", found.splits, RULES, lambda case: case.name))
    assert check == "overlap"
    assert "1 (training) and again (validation) hold the same images" in sentence


def test_the_same_picture_at_two_sites_is_found(tmp_path: Path) -> None:
    sites = []
    for site, validation in (("one", (7, 0)), ("two", (1, 0))):
        (tmp_path / site).mkdir()
        sites.append(audited(tmp_path / site, [(1 if site == "one" else 5, 0)], [validation]))
    found = overlaps([sites[0], audit_named(sites[1], "site-2")], False)
    assert [(finding.level, finding.check) for finding in found] == [("error", "overlap")]


def audit_named(audit: SiteAudit, site: str) -> SiteAudit:
    return SiteAudit(site, audit.rules, audit.cases, audit.findings)


def test_two_cases_of_one_name_are_a_warning(tmp_path: Path) -> None:
    for folder in ("a/x", "b/x"):
        (tmp_path / folder).mkdir(parents=True)
    parts = {
        "training": [
            {"image": draw(tmp_path, "a/x/1.png", 1), "label": 0},
            {"image": draw(tmp_path, "b/x/1.png", 2), "label": 0},
        ],
        "validation": [{"image": draw(tmp_path, "3.png", 3), "label": 1}],
    }
    (tmp_path / "site-1.json").write_text(json.dumps(parts), encoding="utf-8")
    found = load_datalist(tmp_path / "site-1.json", tmp_path)
    (finding,) = audit_site("site-1", found.splits, RULES, lambda case: case.images[0].as_posix()).findings
    assert (finding.level, finding.check) == ("warning", "name")
    assert "are both called x" in finding.sentence


def test_the_contents_of_a_case_include_its_classes(tmp_path: Path) -> None:
    one, other, same = (audited(tmp_path, [(1, label)], [(4, 2)]).cases[0].whole for label in ("normal", 1, "normal"))
    assert one == same != other


def test_the_document_has_the_classes(tmp_path: Path) -> None:
    document = json.loads(json.dumps(audited(tmp_path, [(1, [1, 2])], [(4, [])], SEVERAL).document()))
    assert document["cases"][0]["classes"] == [1, 2]
    assert document["cases"][0]["label"] is None
    assert "classes" not in document["cases"][1]
