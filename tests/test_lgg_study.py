"""The study of gliomas by institution: its plan, its lists, and figures of rows whose answers are known."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import lgg
from benchmarks.lgg_figure import figure
from benchmarks.lgg_splits import made_lists
from benchmarks.lgg_tables import differences, document, figures, other_scores, tables, worst
from fedmed.analysis.comparison.table_document import markdown
from fedmed.command_line import read_experiment
from fedmed.core.errors import InputError
from fedmed.data.datalist import load_datalist
from tests.data.lgg.written_scans import write_set

PATIENTS = {"CS": range(6), "DU": range(8), "EZ": range(1)}
RUN = {
    "task": {"network": "unet_16", "image_size": 64},
    "training": {"num_rounds": 2, "aggregation_epochs": 1.0},
    "hours": 1.5,
    "machine": "a machine",
}


def rows(part: str, way: str, seed: int, value: float, codes: Sequence[str], sites: Sequence[str]) -> pd.DataFrame:
    """A Dice and two slices' presence of every patient of some institutions, by the model of each site."""
    found = []
    for site in sites:
        for code in codes:
            for number in PATIENTS[code]:
                case = f"TCGA_{code}_{number}_2000"
                about = (part, way, seed, site, case, f"TCGA_{code}_{number}", code)
                found.append((*about, "tumour", "dice", value + 0.01 * number))
                for target, truth in (("slice 1", 0.0), ("slice 2", 1.0)):
                    found += [(*about, target, "truth", truth), (*about, target, "score", truth)]
                found.append((*about, "tumour", "slice_dice", value))
                found.append((*about, "tumour", "slice_hd95", 3.0))
    columns = ["part", "way", "seed", "site", "case", "patient", "institution", "target", "quantity", "value"]
    return pd.DataFrame(found, columns=columns)


@pytest.fixture
def scores() -> pd.DataFrame:
    """Two seeds; alone, each site scores its own patients and the one who is no site's, whom both models score."""
    every, found = list(PATIENTS), []
    for seed in (0, 1):
        found.append(rows("folds", "central", seed, 0.8 + 0.02 * seed, every, ["shared"]))
        found.append(rows("folds", "fedavg", seed, 0.7 + 0.02 * seed, every, ["shared"]))
        found.append(rows("folds", "local", seed, 0.5, ["CS", "EZ"], ["site-1"]))
        found.append(rows("folds", "local", seed, 0.6, ["DU", "EZ"], ["site-2"]))
        found.append(rows("hold_out", "fedavg", seed, 0.65, ["CS"], ["shared"]))
        for place, value in enumerate((0.3, 0.5), start=1):
            found.append(rows("hold_out", "local", seed, value, ["CS"], [f"site-{place}"]))
    return pd.concat(found, ignore_index=True)


def test_each_patient_counts_once_whatever_the_number_of_seeds_and_of_models(scores: pd.DataFrame) -> None:
    found = figures(scores).set_index(["part", "way", "institution"])
    central = found.loc["folds", "central", "pooled"]
    assert central["patients"] == 15
    assert central["value"] == pytest.approx(0.81 + 0.01 * (15 + 28) / 15)
    assert central["seeds"] == pytest.approx([central["value"] - 0.01, central["value"] + 0.01])
    assert central["low"] < central["value"] < central["high"]
    assert found.loc["folds", "local", "EZ"]["value"] == pytest.approx(0.55)
    assert found.loc["folds", "local", "pooled"]["value"] == pytest.approx((6 * 0.525 + 8 * 0.635 + 0.55) / 15)
    assert found.loc["hold_out", "local", "pooled"]["value"] == pytest.approx(0.425)
    lowest = worst(figures(scores), "folds", "central")
    assert lowest is not None
    assert lowest["institution"] == "CS"  # EZ with its one patient is no site


def test_ways_are_compared_on_the_same_patients(scores: pd.DataFrame) -> None:
    found = differences(scores).set_index(["part", "way", "less"])
    cost = found.loc["folds", "fedavg", "central"]
    assert (cost["patients"], cost["value"], cost["low"]) == (15, pytest.approx(-0.1), pytest.approx(-0.1))
    assert found.loc["hold_out", "fedavg", "local"]["value"] == pytest.approx(0.25)
    assert ("hold_out", "fedavg", "central") not in found.index


def test_slices_of_a_patient_whom_several_models_scored_are_in_no_figure_over_rows(scores: pd.DataFrame) -> None:
    turned = scores["case"].eq("TCGA_EZ_0_2000") & scores["quantity"].eq("score")
    scores.loc[turned, "value"] = 1 - scores.loc[turned, "value"]
    found = other_scores(scores).set_index(["way", "metric"])["value"]
    assert found["local", "presence_auroc"] == 1
    assert found["central", "presence_auroc"] < 1
    assert found["central", "slice_dice"] == pytest.approx(0.81)


def test_the_tables_the_numbers_and_the_figure_say_the_same(scores: pd.DataFrame) -> None:
    text = markdown(tables(scores, {"a": RUN, "b": RUN}))
    assert "unet_16, 64 pixels, 2 rounds of 1 local epochs, 2 seeds; 2 runs of 3.0 hours" in text
    by_title = {block.split("\n")[0].strip("*"): block for block in text.split("\n\n**")}
    held_out = next(block for title, block in by_title.items() if title.startswith("Dice at an institution"))
    header, _, first, *_ = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in held_out.splitlines() if "|" in line
    ]
    cells = dict(zip(header, first, strict=True))
    assert (cells["institution"], cells["patients"]) == ("CS", "6")
    assert cells["federated"].startswith("0.6750 [")
    assert cells["the others alone"].startswith("0.4250 [")
    assert cells["central, with it"].startswith("0.8350 [")
    assert cells["it alone"].startswith("0.5250 [")
    assert cells["lowest and highest of them"] == "0.3250, 0.5250"
    assert "| Buda et al. 2019, as published (22 folds, 256 pixels) | 110 | 0.836 | 0.873 |" in text
    numbers = document(scores)
    json.dumps(numbers, allow_nan=False)
    assert len(numbers["patients"]) == 2 * (3 * 15 + 2 * 6)
    left, right = figure(scores).axes
    assert [label.get_text() for label in left.get_xticklabels()][-1] == "pooled\n15 patients"
    assert [label.get_text() for label in right.get_xticklabels()] == ["CS\n6 patients", "pooled\n6 patients"]


def test_one_part_alone_is_shown_too(scores: pd.DataFrame) -> None:
    for part in ("folds", "hold_out"):
        own = scores[(scores["part"] == part) & (scores["way"] == "local")]
        text = markdown(tables(own, {"a": RUN}))
        assert "Differences" not in text
        assert ("nobody trained on**" in text) == (part == "hold_out")
        assert len(figure(own).axes) == 2


def test_lists_are_made_once_and_a_held_out_institution_is_in_no_training(tmp_path: Path) -> None:
    tree, place = write_set(tmp_path / "set"), tmp_path / "work" / "lists"
    found = made_lists(tree, place, ["folds", "hold_out"], 2, None)
    assert [path.name for path in found["folds"]] == ["fold-1", "fold-2"]
    assert [path.name for path in found["hold_out"]] == ["without-CS", "without-DU", "without-HT"]
    tested = [load_datalist(path / "site-All.json", tree).splits["test"] for path in found["folds"]]
    names = [{str(case.extra["patient"]) for case in cases} for cases in tested]
    assert len(names[0] | names[1]) == len(names[0]) + len(names[1]) == 23
    splits = load_datalist(place / "without-DU" / "site-All.json", tree).splits
    codes = {part: {case.extra["institution"] for case in cases} for part, cases in splits.items()}
    assert codes == {"training": {"CS", "HT"}, "validation": {"CS", "HT"}, "test": {"DU", "EZ"}}
    before = (place / "folds" / "fold-1" / "split.json").stat().st_mtime_ns
    assert made_lists(tree, place, ["folds", "hold_out"], 2, None) == found
    assert (place / "folds" / "fold-1" / "split.json").stat().st_mtime_ns == before
    with pytest.raises(InputError, match="lists of another split"):
        made_lists(tree, place, ["folds"], 3, None)
    with pytest.raises(InputError, match="one of CS, DU, EZ, HT"):
        made_lists(tree, place, ["hold_out"], 2, ["XX"])


def test_the_plan_is_every_way_on_every_list_a_seed_after_the_other(tmp_path: Path) -> None:
    args = lgg.read_arguments([str(tmp_path), "--work", str(tmp_path), "--", "--num_rounds", "7"])
    lists = {"folds": [tmp_path / "fold-1", tmp_path / "fold-2"], "hold_out": [tmp_path / "without-DU"]}
    runs = list(lgg.planned(lists, args))
    assert len(runs) == 2 * (5 * 2 + 3)
    assert [run.seed for run in runs] == [0] * 13 + [1] * 13
    assert len({(run.name, run.lists) for run in runs}) == len(runs)
    group = next(run for run in runs if run.way == "central_group")
    experiment = read_experiment([*group.options, "--datalist_json_path", str(tmp_path)])
    assert experiment.training.sites == ("site-All",)
    assert (experiment.task.name, vars(experiment.task)["norm"], experiment.training.num_rounds) == ("lgg", "group", 7)


@pytest.mark.parametrize("option", ["--norm", "--seed", "--site_names", "--job_name", "--algorithm"])
def test_what_the_study_chooses_is_refused_before_any_work(option: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{option} is not for the options of a fold, which the study chooses"):
        lgg.main([str(tmp_path), "--work", str(tmp_path / "work"), "--", option, "x"])
    assert not (tmp_path / "work").exists()
