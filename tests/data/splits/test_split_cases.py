"""Splits of pictures by their classes: nobody lost, nobody on two sides, every class everywhere or apart."""

import json
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from fedmed.core.errors import InputError
from fedmed.data.datalist import load_datalist
from fedmed.data.splits.partition import Split, by_patient
from fedmed.data.splits.site_lists import write_site_lists
from fedmed.data.splits.split_cases import SplitPlan, draw_split
from fedmed.data.splits.split_picture import Drawn, picture
from fedmed.data.splits.split_record import as_json, split_document
from tests.data.splits.made_up import Picture, facts_of, pictures

COHORT = [*pictures(60, "normal"), *pictures(20, "glioma", each=3), *pictures(30, "meningioma", each=2)]
PATIENTS = by_patient(COHORT, facts_of)
CLASSES = ("glioma", "meningioma", "normal")

PLANS = [
    SplitPlan("iid", "class", sites=3, test=0.1),
    SplitPlan("group", "class", "class"),
    SplitPlan("order", "class", "class", sites=3),
    SplitPlan("order", "class", "age", sites=4, validation="per_site"),
    SplitPlan("quantity", "class", sites=4, power=1.5),
    SplitPlan("dirichlet", "class", "class", sites=5, alpha=0.3, test=0.1),
    SplitPlan("dirichlet", "class", "age", sites=3, alpha=0.1, validation="per_site"),
]
every_plan = pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.way} {plan.by} {plan.validation}")


def counts(cases: tuple[Picture, ...]) -> np.ndarray:
    found = Counter(case.kind for case in cases)
    return np.array([found[kind] for kind in CLASSES])


@every_plan
def test_every_case_once_and_no_patient_on_two_sides(plan: SplitPlan) -> None:
    split = draw_split(PATIENTS, plan)
    parts = [*split.sites.values(), split.validation, split.test]
    assert sorted(case.name for part in parts for case in part) == sorted(case.name for case in COHORT)
    owners = Counter(patient for part in parts for patient in {case.patient for case in part})
    assert set(owners.values()) == {1}
    assert all(split.sites.values())
    assert plan.sites in (None, len(split.sites))
    assert draw_split(PATIENTS, plan) == split
    assert draw_split(PATIENTS, replace(plan, seed=1)) != split


def test_iid_gives_every_part_its_share_of_every_class() -> None:
    split = draw_split(PATIENTS, PLANS[0])
    for cases in split.sites.values():
        assert np.abs(counts(cases) - counts(tuple(COHORT)) * len(cases) / len(COHORT)).max() <= 3
    assert counts(split.validation).min() > 0
    assert counts(split.test).min() > 0


def test_in_order_the_classes_are_apart() -> None:
    assert sum(int(np.count_nonzero(counts(cases))) for cases in draw_split(PATIENTS, PLANS[2]).sites.values()) <= 5


def test_a_group_is_a_site() -> None:
    split = draw_split(PATIENTS, PLANS[1])
    assert list(split.groups.values()) == list(CLASSES)
    for site, cases in split.sites.items():
        assert {case.kind for case in cases} == {split.groups[site]}


def test_a_small_alpha_is_skewed() -> None:
    def spread(alpha: float) -> float:
        split = draw_split(PATIENTS, SplitPlan("dirichlet", "class", "class", sites=4, alpha=alpha))
        return float(np.std([counts(cases) for cases in split.sites.values()], axis=0).mean())

    assert spread(0.1) > 3 * spread(1e6)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (SplitPlan("order", "class", "grade", sites=2), "The grade of .* is not known"),
        (SplitPlan("group", "class", "hospital"), "The hospital of .* is not known"),
        (SplitPlan("dirichlet", "class", "grade", sites=2), "The grade of .* is not known"),
        (SplitPlan("iid", "class", sites=110), "110 patients cannot be split into 110 sites"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused(plan: SplitPlan, said: str) -> None:
    with pytest.raises(InputError, match=said):
        draw_split(PATIENTS, plan)


def test_one_class_cannot_be_split_by_class() -> None:
    with pytest.raises(InputError, match=r"All patients are of one class .normal."):
        draw_split(by_patient(pictures(9, "normal"), facts_of), SplitPlan("order", "class", "class", sites=2))


def test_the_lists_state_the_classes(tmp_path: Path) -> None:
    split = draw_split(PATIENTS, PLANS[0])
    write_site_lists(tmp_path / "lists", split.sites, split.validation, tmp_path)
    read = load_datalist(tmp_path / "lists" / "site-1.json", tmp_path)
    assert [case.target for case in read.training] == [case.kind for case in split.sites["site-1"]]
    assert [case.name for case in read.validation] == [case.name for case in split.validation]
    assert read.label_scheme is None


def test_the_record_has_the_facts_and_the_groups() -> None:
    split: Split[Picture] = draw_split(PATIENTS, PLANS[1])
    record = json.loads(as_json(split_document(split, {"by": "class"}, facts_of, "class")))
    assert record["options"] == {"by": "class"}
    assert [record["sites"][site]["class"] for site in split.sites] == list(CLASSES)
    assert set(record["sites"]["site-1"]["training"][0]) == {"case", "patient", "class", "age"}


@pytest.mark.parametrize("plan", [PLANS[0], PLANS[3]], ids=["shared", "own validation"])
def test_the_picture_shows_every_class(plan: SplitPlan) -> None:
    image = imread(BytesIO(picture(draw_split(PATIENTS, plan), facts_of, Drawn("class", "age", "age", "years"), "a")))
    seen = {tuple(colour) for colour in (255 * image[..., :3].reshape(-1, 3)).round().astype(int)}
    assert {(213, 94, 0), (0, 114, 178), (0, 158, 115)} <= seen
