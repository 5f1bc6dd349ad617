"""Properties of every way to split: nobody lost, nobody on two sides, the same from the same seed."""

import json
import random
from collections import Counter
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread

from fedmed.core.errors import InputError
from fedmed.core.options import to_plain
from fedmed.data.brats.brats_layout import CaseFiles, institution_of
from fedmed.data.brats.brats_split import INSTITUTION, facts_with, split_cases
from fedmed.data.brats.split_options import USES, SplitOptions
from fedmed.data.brats.tumour_volume import tumour_ml
from fedmed.data.splits.partition import Split, by_patient
from fedmed.data.splits.partition_ways import by_dirichlet
from fedmed.data.splits.split_cases import small_sites
from fedmed.data.splits.split_picture import Drawn, picture
from fedmed.data.splits.split_record import as_json, holdout_document, split_document

CENTRES = ("CBICA",) * 6 + ("TCIA01",) * 3 + ("TCIA02", "2013")


def made_up(number: int, grade: str | None, visits: int = 1, start: int = 0) -> list[CaseFiles]:
    """Cases of ``number`` patients, named as in BraTS 2018."""
    cases = []
    for i in range(start, start + number):
        patient = f"Brats18_{CENTRES[i % len(CENTRES)]}_{i}"
        for visit in range(1, visits + 1):
            name = f"{patient}_{visit}"
            label = Path(name) / f"{name}_seg.nii.gz"
            cases.append(CaseFiles(name, (Path(name) / "image",), label, "brats2018", grade, patient))
    return cases


COHORT = made_up(210, "HGG") + made_up(75, "LGG", start=210)
VISITS = made_up(60, "HGG") + made_up(25, "HGG", visits=3, start=60) + made_up(30, "LGG", visits=2, start=85)
VOLUMES = dict(zip((c.name for c in COHORT + VISITS), np.random.default_rng(0).gamma(3, 30, 1000), strict=False))

WAYS: dict[str, SplitOptions] = {
    "iid": SplitOptions("iid", sites=7),
    "iid per site": SplitOptions("iid", validation="per_site", test=0.1),
    "institution": SplitOptions("institution", test=0.2),
    "institution per site": SplitOptions("institution", validation="per_site"),
    "grade": SplitOptions("grade", sites=5, test=0.1),
    "tumour_volume": SplitOptions("tumour_volume", test=0.1),
    "tumour_volume per site": SplitOptions("tumour_volume", sites=3, validation="per_site"),
    "quantity": SplitOptions("quantity", sites=6, power=1.5),
    "dirichlet": SplitOptions("dirichlet", sites=5, alpha=0.3, test=0.1),
    "dirichlet per site": SplitOptions("dirichlet", sites=9, alpha=0.05, over="volume", validation="per_site"),
}
every_way = pytest.mark.parametrize("options", WAYS.values(), ids=WAYS.keys())
every_cohort = pytest.mark.parametrize("cases", [COHORT, VISITS], ids=["one visit", "more visits"])


def parts_of(split: Split) -> list[tuple[CaseFiles, ...]]:
    return [*split.sites.values(), split.validation, split.test]


def at_sites(split: Split) -> list[tuple[CaseFiles, ...]]:
    """Each site's cases, those of its own validation too."""
    own = split.own_validation or {}
    return [cases + own.get(site, ()) for site, cases in split.sites.items()]


def counts(split: Split, grade: str) -> np.ndarray:
    return np.array([sum(case.grade == grade for case in cases) for cases in at_sites(split)])


@every_cohort
@every_way
def test_every_case_once_and_no_patient_on_two_sides(cases: list[CaseFiles], options: SplitOptions) -> None:
    split = split_cases(cases, options, VOLUMES)
    assert sorted(c.name for part in parts_of(split) for c in part) == sorted(c.name for c in cases)
    owners = Counter(patient for part in parts_of(split) for patient in {case.patient for case in part})
    assert set(owners.values()) == {1}
    assert all(split.sites.values())
    assert split.validation
    assert bool(split.test) == (options.test is not None)
    assert list(split.sites) == [f"site-{i}" for i in range(1, len(split.sites) + 1)]
    assert options.sites is None or len(split.sites) == options.sites


@every_cohort
@every_way
def test_seed_decides_and_order_does_not(cases: list[CaseFiles], options: SplitOptions) -> None:
    shuffled = list(cases)
    random.Random(5).shuffle(shuffled)
    split = split_cases(cases, options, VOLUMES)
    assert split_cases(shuffled, options, VOLUMES) == split
    assert split_cases(cases, replace(options, seed=1), VOLUMES) != split


@every_way
def test_own_validation_belongs_to_the_site(options: SplitOptions) -> None:
    split = split_cases(COHORT, options, VOLUMES)
    if options.validation != "per_site":
        assert split.own_validation is None
        assert all(split.validation_of(site) == split.validation for site in split.sites)
        return
    larger = split_cases(COHORT, replace(options, validation_share=0.3), VOLUMES)
    for more, less in zip(at_sites(larger), at_sites(split), strict=True):
        assert {*more} == {*less}  # how much validates does not change who is where
    assert split.own_validation is not None
    for site, training in split.sites.items():
        own = split.validation_of(site)
        total = len(own) + len(training)
        assert abs(len(own) - max(1, 0.15 * total)) <= 1
    assert sorted(c.name for v in split.own_validation.values() for c in v) == [c.name for c in split.validation]


def test_nothing_is_drawn_for_the_published_split() -> None:
    with pytest.raises(ValueError, match="nothing is drawn for --by published"):
        split_cases(COHORT, SplitOptions(), {})


def test_ways_share_test_and_validation_cases() -> None:
    splits = [split_cases(COHORT, SplitOptions(way, test=0.1), VOLUMES) for way in ("iid", "quantity", "dirichlet")]
    assert len({(split.test, split.validation) for split in splits}) == 1
    assert (len(splits[0].test), len(splits[0].validation)) == (29, 38)
    high = sum(case.grade == "HGG" for case in splits[0].test)
    assert abs(high - 29 * 210 / 285) <= 1


@pytest.mark.parametrize("sites", [1, 2, 3, 7, 20])
def test_iid_sizes_and_grades_are_equal(sites: int) -> None:
    split = split_cases(COHORT, SplitOptions("iid", sites=sites), {})
    sizes = [len(cases) for cases in at_sites(split)]
    assert max(sizes) - min(sizes) <= 1
    assert np.ptp(counts(split, "LGG")) <= 2


def test_institution_is_a_site() -> None:
    split = split_cases(COHORT, WAYS["institution"], {})
    assert dict(split.groups) == {"site-1": "2013", "site-2": "CBICA", "site-3": "TCIA01", "site-4": "TCIA02"}
    for site, cases in split.sites.items():
        assert {institution_of(case.name) for case in cases} == {split.groups[site]}


@pytest.mark.parametrize("seed", range(20))
def test_institution_of_one_patient_keeps_it(seed: int) -> None:
    cases = made_up(11, "HGG")
    split = split_cases(cases, SplitOptions("institution", seed=seed, validation_share=0.4, test=0.1), {})
    assert len(split.sites) == 4


@pytest.mark.parametrize(
    ("name", "institution"),
    [
        ("Brats18_CBICA_AAB_1", "CBICA"),
        ("Brats18_TCIA13_654_1", "TCIA13"),
        ("Brats18_2013_27_1", "2013"),
        ("BraTS19_TMC_06290_1", "TMC"),
        ("BraTS20_Training_001", None),
        ("BraTS2021_00000", None),
        ("BraTS-GLI-00005-000", None),
        ("Brats18_CBICA", None),
    ],
)
def test_institution_in_a_name(name: str, institution: str | None) -> None:
    assert institution_of(name) == institution


@pytest.mark.parametrize("sites", [2, 3, 4, 5, 10])
def test_grades_are_apart(sites: int) -> None:
    split = split_cases(COHORT, SplitOptions("grade", sites=sites), {})
    mixed = (counts(split, "HGG") > 0) & (counts(split, "LGG") > 0)
    assert mixed.sum() <= 1
    assert np.ptp([len(cases) for cases in split.sites.values()]) <= 1


@pytest.mark.parametrize("validation", ["shared", "per_site"])
def test_tumours_grow_from_site_to_site(validation: Any) -> None:
    split = split_cases(COHORT, SplitOptions("tumour_volume", sites=6, validation=validation), VOLUMES)
    volumes = [[VOLUMES[case.name] for case in cases] for cases in at_sites(split)]
    assert all(max(one) <= min(next_one) for one, next_one in pairwise(volumes))
    assert np.ptp([len(v) for v in volumes]) <= 1


@pytest.mark.parametrize(("sites", "power"), [(4, 1.0), (6, 1.5), (5, 0.0), (3, 2.0)])
def test_sizes_follow_the_power_law(sites: int, power: float) -> None:
    split = split_cases(COHORT, SplitOptions("quantity", sites=sites, power=power), {})
    sizes = np.array([len(cases) for cases in split.sites.values()])
    law = np.arange(1, sites + 1) ** -power
    assert np.abs(sizes - sizes.sum() * law / law.sum()).max() < 1
    assert np.abs(counts(split, "LGG") - sizes * counts(split, "LGG").sum() / sizes.sum()).max() <= 1.5


def test_steep_power_law_leaves_no_site_empty() -> None:
    split = split_cases(COHORT, SplitOptions("quantity", sites=8, power=50.0, validation="per_site"), {})
    assert [len(cases) for cases in at_sites(split)] == [285 - 14, *[2] * 7]


@pytest.mark.parametrize("seed", range(5))
def test_dirichlet_tends_to_iid(seed: int) -> None:
    even = split_cases(COHORT, SplitOptions("iid", sites=6, seed=seed), {})
    near = split_cases(COHORT, SplitOptions("dirichlet", sites=6, alpha=1e6, seed=seed), {})
    for grade in ("HGG", "LGG"):
        assert np.abs(counts(near, grade) - counts(even, grade)).max() <= 1


@pytest.mark.parametrize("over", ["grade", "volume"])
@pytest.mark.parametrize("seed", range(5))
def test_small_alpha_is_skewed(seed: int, over: Any) -> None:
    """Most of a bin lies at one site; at iid none would have more than a quarter of it."""
    split = split_cases(COHORT, SplitOptions("dirichlet", alpha=0.05, over=over, seed=seed), VOLUMES)
    if over == "grade":
        bins = [counts(split, "HGG"), counts(split, "LGG")]
    else:
        ends = np.quantile([VOLUMES[c.name] for cases in at_sites(split) for c in cases], [0, 0.25, 0.5, 0.75, 1])
        bins = list(np.transpose([np.histogram([VOLUMES[c.name] for c in s], ends)[0] for s in at_sites(split)]))
    assert np.mean([b.max() / b.sum() for b in bins]) > 0.5


@pytest.mark.parametrize("alpha", [1e5, 1e6])
def test_the_largest_alphas_are_iid(alpha: float) -> None:
    cases = [CaseFiles(f"{i}", (), Path("seg"), "brats2018", "HGG", f"{i}") for i in range(40)]
    options = SplitOptions("dirichlet", alpha=alpha, validation_share=0.2)
    assert [len(part) for part in split_cases(cases, options, {}).sites.values()] == [8, 8, 8, 8]


@pytest.mark.parametrize("alpha", [1e-300, 1e-5, 1e300])
def test_dirichlet_of_any_alpha_leaves_no_site_empty(alpha: float) -> None:
    dealt = by_dirichlet([by_patient(COHORT[:20], facts_with({}))], 6, alpha, np.random.default_rng(0), least=2)
    assert sum(map(len, dealt)) == 20
    assert min(map(len, dealt)) >= 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (SplitOptions("institution"), "Case_001 states no institution"),
        (SplitOptions("grade"), "^9 patients without a grade"),
        (SplitOptions("dirichlet"), "^9 patients without a grade"),
        (SplitOptions("tumour_volume"), r"The tumour volume of Case_00\d is not known"),
        (SplitOptions("iid", sites=9), "9 patients cannot be split into 9 sites .* at least 10"),
        (SplitOptions("iid", sites=5, validation="per_site"), "at least 10 patients"),
        (SplitOptions("iid", seed=-1), "--seed is -1"),
        (SplitOptions("iid", sites=0), "--sites is 0"),
        (SplitOptions("iid", test=1.0), "--test is 1.0"),
        (SplitOptions("dirichlet", alpha=0.0), "--alpha is 0.0; expected a number above 0"),
        (SplitOptions("dirichlet", alpha=1e300), r"--alpha is 1e\+300; expected a number above 0 and at most 1e\+12"),
        (SplitOptions("quantity", power=-1.0), "--power is -1.0"),
        (SplitOptions("dirichlet", alpha=float("nan")), "--alpha is nan"),
        (SplitOptions("iid", validation_share=0.0), "--validation_share is 0.0"),
    ],
)
def test_what_cannot_be_done_is_said(options: SplitOptions, words: str) -> None:
    cases = [CaseFiles(f"Case_00{i}", (), Path("seg"), "brats2018", None, f"Case_00{i}") for i in range(1, 10)]
    with pytest.raises(InputError, match=words):
        split_cases(cases, options, {})


def test_one_grade_cannot_be_split_by_grade() -> None:
    with pytest.raises(InputError, match="of one grade"):
        split_cases(made_up(20, "HGG"), SplitOptions("grade"), {})


def test_institution_of_one_patient_cannot_validate_on_its_own() -> None:
    with pytest.raises(InputError, match="site-1 2013 gets one patient; --validation per_site expects at least 2"):
        split_cases(made_up(11, "HGG"), SplitOptions("institution", validation="per_site"), {})


def test_institutions_of_one_patient_each_leave_none_for_validation() -> None:
    cases = [case for case in made_up(11, "HGG") if case.patient.endswith(("_0", "_6", "_9", "_10"))]
    with pytest.raises(InputError, match="No patient can be set apart for validation"):
        split_cases(cases, SplitOptions("institution"), {})


@pytest.mark.parametrize("way", USES)
@pytest.mark.parametrize(
    "given",
    [
        {"sites": 4},
        {"alpha": 0.5},
        {"over": "grade"},
        {"power": 1.0},
        {"validation": "shared"},
        {"test": 0.1},
        {"seed": 0},
    ],
)
def test_options_without_effect_are_refused(way: Any, given: dict[str, Any]) -> None:
    options = SplitOptions(way, **given)
    (name,) = given
    if name in USES[way]:
        assert options.completed().completed() == options.completed()
        return
    with pytest.raises(InputError, match=f"--{name} is .* expected no value with --by {way}"):
        options.completed()


def test_small_sites_are_warned_of() -> None:
    split = Split({"site-1": tuple(COHORT[:5]), "site-2": tuple(COHORT[5:9])}, tuple(COHORT[9:12]))
    (sentence,) = small_sites(split)
    assert sentence.startswith("site-2 has 4 training cases, fewer than 5: ")


@every_way
def test_record_names_every_case(options: SplitOptions) -> None:
    split = split_cases(COHORT, options, VOLUMES)
    record = json.loads(as_json(split_document(split, to_plain(options.completed()), facts_with(VOLUMES), INSTITUTION)))
    assert record["options"]["by"] == options.by
    for site, cases in split.sites.items():
        assert [row["case"] for row in record["sites"][site]["training"]] == [case.name for case in cases]
        assert len(record["sites"][site]["validation"]) == len(split.validation_of(site))
        assert record["sites"][site].get("institution") == split.groups.get(site)
    row = record["sites"]["site-1"]["training"][0]
    assert set(row) == {"case", "patient", "grade", "institution", "volume_ml"}
    assert row["volume_ml"] == pytest.approx(VOLUMES[row["case"]], abs=1e-3)
    bare = split_document(split, {}, facts_with({}))["sites"]["site-1"]["training"][0]
    assert "volume_ml" not in bare


def test_list_of_test_cases() -> None:
    split = split_cases(COHORT, SplitOptions("iid", test=0.1), {})
    document = holdout_document(split.test, Path(), "brats2018")
    assert set(document) == {"label_scheme", "testing"}
    assert [case["patient"] for case in document["testing"]] == [case.patient for case in split.test]


@pytest.mark.parametrize("way", ["institution", "dirichlet per site"])
def test_picture_is_drawn_with_and_without_volumes(way: str) -> None:
    split, drawn = split_cases(COHORT, WAYS[way], VOLUMES), Drawn("grade", "volume_ml")
    both, one = (imread(BytesIO(picture(split, facts_with(volumes), drawn, "title"))) for volumes in (VOLUMES, {}))
    assert both.size > 1.5 * one.size
    assert both.std() > 0.05


def test_tumour_volume_counts_voxels_of_their_size(tmp_path: Path) -> None:
    label = np.zeros((5, 6, 7), np.uint8)
    label[1:3, 2, 3:5] = [[1, 2], [4, 4]]
    nib.save(nib.Nifti1Image(label, np.diag([-2.0, 1.0, 3.0, 1.0])), tmp_path / "seg.nii.gz")
    assert tumour_ml(tmp_path / "seg.nii.gz") == pytest.approx(4 * 6 / 1000)
