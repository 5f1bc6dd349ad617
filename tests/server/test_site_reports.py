"""What a site reports stands only as far as its task can have it, and counts as at most a multiple of the others'."""

import json
import math
from typing import Any

import pytest

from fedmed.core.site_scores import FigureForm, Figures, mean_over_sites
from fedmed.server.site_reports import CaseCounts, Report, evened, read_report
from fedmed.tasks.base import Row, Task
from fedmed.tasks.brats18 import Brats18
from fedmed.tasks.hippocampus import Hippocampus
from fedmed.tasks.scoring.classification_metrics import CLASS_METRICS, class_rows

FORMS = {
    "val_dice": FigureForm(0.0, 1.0, per_case=3),
    "val_hd95": FigureForm(0.0, 400.0, per_case=3),
    "val_accuracy": FigureForm(0.0, 1.0, sums=("right", "cases")),
}
FIGURES: Figures = {"val_accuracy": lambda sums: sums["right"] / sums["cases"] if sums["cases"] else math.nan}


def read(report: Any) -> Report:
    return read_report(report, FORMS, lambda: FIGURES)


GOOD = {
    "val_dice": 0.5, "val_dice_values": 9, "val_cases": 4, "val_seconds": 1.5, "train_loss": 2.0, "train_seconds": 9.0,
    "val_accuracy": 0.75, "val_accuracy_values": 4, "val_accuracy_sum_right": 3.0, "val_accuracy_sum_cases": 4.0,
}  # fmt: skip


def test_a_report_that_can_be_is_taken_as_it_is() -> None:
    assert read(GOOD) == Report(GOOD)
    assert read({}) == Report({})
    assert read({**GOOD, "train_loss_values": 20}) == Report(GOOD)  # the server counts the steps itself


BAD_FIGURES = [9e9, 1.0001, -0.0001, math.nan, math.inf, 10**400, "0.5", b"1", None, True, [0.5], {}, object()]


@pytest.mark.parametrize("bad", BAD_FIGURES)
def test_a_figure_out_of_its_range_is_dropped_and_named_with_all_beside_it(bad: Any) -> None:
    found = read({**GOOD, "val_dice": bad})
    assert found.figures == {name: value for name, value in GOOD.items() if not name.startswith("val_dice")}
    assert "val_dice is " in found.dropped
    assert "may be from 0 to 1" in found.dropped


@pytest.mark.parametrize("bad", [13, 10**12, -10, 1.5, math.nan, 10**400, "3", None, True])
def test_a_figure_counts_no_more_values_than_its_cases_have(bad: Any) -> None:
    found = read({**GOOD, "val_dice_values": bad})
    assert found.figures == {name: value for name, value in GOOD.items() if not name.startswith("val_dice")}
    assert "val_dice counts" in found.dropped


@pytest.mark.parametrize("bad", [-10, 2.5, math.inf, 2**53 + 1, 10**400, "3", None, True])
def test_a_number_of_cases_that_is_none_is_0_and_no_figure_counts(bad: Any) -> None:
    found = read({**GOOD, "val_cases": bad})
    assert found.figures["val_cases"] == 0
    assert not any(name.startswith(("val_dice", "val_accuracy")) for name in found.figures)
    assert "val_cases is " in found.dropped


@pytest.mark.parametrize(
    "sums",
    [
        {"right": 9e9}, {"cases": 1e12}, {"right": -1.0}, {"right": math.nan}, {"right": "3"}, {"right": True},
        {"right": 4.0, "cases": 1.0}, {"cases": 5.0},
    ],
    ids=str,
)  # fmt: skip
def test_sums_that_cannot_be_are_dropped_with_their_figure(sums: dict[str, Any]) -> None:
    found = read({**GOOD, **{f"val_accuracy_sum_{name}": value for name, value in sums.items()}})
    assert found.figures == {name: value for name, value in GOOD.items() if not name.startswith("val_accuracy")}
    assert "val_accuracy" in found.dropped


def test_a_sum_that_is_left_out_is_0() -> None:
    given = {name: value for name, value in GOOD.items() if name != "val_accuracy_sum_right"}
    assert read(given).figures["val_accuracy_sum_right"] == 0.0


STRANGE = [
    "site",
    "round",
    "val_dice_wt\x1b[31m",
    "refused",
    "epsilon",
    b"val_dice",
    1,
    None,
    ("val_dice",),
    "x" * 10**6,
]


@pytest.mark.parametrize("name", STRANGE, ids=lambda name: f"{name!r:.20}")
def test_a_name_that_no_figure_has_is_dropped_and_named_shortly(name: Any) -> None:
    found = read({**GOOD, name: 0.5})
    assert found.figures == GOOD
    assert "is of no known name" in found.dropped
    assert len(found.dropped) < 200
    assert found.dropped.isprintable()


def test_200_000_figures_are_no_more_than_one_sentence() -> None:
    found = read({**GOOD, **{f"val_{number}": 1.0 for number in range(200_000)}})
    assert found.figures == GOOD
    assert len(json.dumps(found)) < 1000


@pytest.mark.parametrize("given", [[1, 2], "text", 5, {1, 2}, None], ids=str)
def test_what_is_no_mapping_is_refused_whole(given: Any) -> None:
    with pytest.raises(TypeError, match="figures by name are expected"):
        read(given)


# epochs

EPOCHS = [{"train_loss": 2.0, "train_accuracy": 0.5, "val_dice": 0.25}, {"train_loss": 1.0}]


def test_each_epochs_figures_are_taken_as_they_are_where_they_can_be() -> None:
    assert read_report({**GOOD, "epochs": EPOCHS}, FORMS, lambda: FIGURES, epochs=2) == Report(GOOD, "", tuple(EPOCHS))
    assert read_report({**GOOD, "epochs": tuple(EPOCHS[:1])}, FORMS, lambda: FIGURES, 3).epochs == (EPOCHS[0],)
    assert read({**GOOD, "epochs": []}) == Report(GOOD)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ([*EPOCHS, {}], "epochs is no list of at most 2 epochs"),
        ([{}] * 10**6, "epochs is no list of at most 2 epochs"),
        ("ab", "epochs is no list"), ({0: {"train_loss": 1.0}}, "epochs is no list"), (7, "epochs is no list"),
        (None, "epochs is no list"),
        ([{"train_loss": 1.0}, [2.0]], "of epoch 2, there are no figures by name"),
        ([{"train_loss": math.nan}], "of epoch 1, train_loss is nan"),
        ([{"train_loss": True}], "of epoch 1, train_loss is True"),
        ([{"train_accuracy": 1.5}], "of epoch 1, train_accuracy is 1.5 and may be from 0 to 1"),
        ([{"val_dice": -1.0}], "of epoch 1, val_dice is -1.0 and may be from 0 to 1"),
        ([{}, {"val_dice": {"a": 1}}], "of epoch 2, val_dice is"),
        ([{"train_seconds": 1.0}], "of epoch 1, 'train_seconds' is of no known name"),
        ([{"val_cases": 3}], "of epoch 1, 'val_cases' is of no known name"),
        ([{7: 1.0}], "of epoch 1, 7 is of no known name"),
        ([{"val_\x1b[2J": 1.0}], "is of no known name"),
    ],
)  # fmt: skip
def test_epochs_that_cannot_be_are_dropped_whole_and_named_and_the_rest_counts(bad: Any, why: str) -> None:
    found = read_report({**GOOD, "epochs": bad}, FORMS, lambda: FIGURES, epochs=2)
    assert (found.figures, found.epochs) == (GOOD, ())
    assert why in found.dropped
    assert len(found.dropped) < 200
    assert found.dropped.isprintable()


# the number of cases


def test_the_cases_of_a_share_do_not_change_from_round_to_round() -> None:
    counts = CaseCounts()
    assert counts.checked("a", None, Report({"val_cases": 4, "val_dice": 0.5})).dropped == ""
    assert counts.checked("a", (0, 2), Report({"val_cases": 2, "val_dice": 0.5})).dropped == ""
    assert counts.checked("b", None, Report({"val_cases": 9})).dropped == ""
    assert counts.checked("a", None, Report({"val_cases": 0})) == Report({"val_cases": 0})  # where none is due
    found = counts.checked(
        "a", None, Report({"val_cases": 40, "val_dice": 0.9, "val_personal": 0.9, "train_loss": 1.0})
    )
    assert found == Report(
        {"val_cases": 0, "train_loss": 1.0}, "it states 40 cases and stated 4; its scores are dropped"
    )
    assert counts.checked("a", None, Report({"val_cases": 4, "val_dice": 0.5})).dropped == ""


# what each site's figures count


def test_a_sites_figures_count_as_at_most_a_multiple_of_the_others() -> None:
    reports = {
        "a": {"val_cases": 4, "val_dice": 0.5, "val_dice_values": 12},
        "b": {"val_cases": 6, "val_dice": 0.5, "val_dice_values": 18},
        "liar": {"val_cases": 10**12, "val_dice": 1.0, "val_dice_values": 3 * 10**12},
    }
    found = evened(reports, FORMS, 10)
    assert found["liar"] == {"val_cases": 50, "val_dice": 1.0, "val_dice_values": 150}
    assert {site: found[site] for site in "ab"} == {site: reports[site] for site in "ab"}
    assert mean_over_sites(found)["val_dice"] == pytest.approx((0.5 * 30 + 150) / 180)
    assert evened(reports, FORMS, 0) == reports


def test_sums_are_evened_so_that_a_sites_own_figure_stays() -> None:
    def report(right: float, cases: int) -> dict[str, float]:
        sums = {"val_accuracy_sum_right": right, "val_accuracy_sum_cases": float(cases)}
        return {"val_cases": cases, "val_accuracy": right / cases, "val_accuracy_values": cases, **sums}

    found = evened({"a": report(1, 4), "b": report(1, 4), "liar": report(1e12, 10**12)}, FORMS, 10)
    assert found["liar"]["val_accuracy_sum_right"] == found["liar"]["val_accuracy_sum_cases"] == pytest.approx(40)
    assert mean_over_sites(found, FIGURES)["val_accuracy"] == pytest.approx((1 + 1 + 40) / (4 + 4 + 40))


def test_honest_sites_of_4_and_of_400_cases_all_count() -> None:
    reports = {str(cases): {"val_cases": cases, "val_dice": 0.5} for cases in (4, 60, 400)}
    assert [evened(reports, FORMS, 10)[site]["val_cases"] for site in ("4", "60", "400")] == [4, 60, 320]
    assert evened({"4": reports["4"]}, FORMS, 10) == {"4": reports["4"]}


# the package's own tasks


@pytest.mark.parametrize("task", [Brats18(), Hippocampus()], ids=lambda task: task.name)
def test_a_task_knows_the_figures_that_its_sites_report(task: Task) -> None:
    rows = [
        (case, target, metric.name, 0.5) for case in ("x", "y") for target in task.TARGETS for metric in task.METRICS
    ]
    report = {**task.metrics([Row(*row) for row in rows]), "val_cases": 2, "val_seconds": 1.0}
    assert read_report(report, task.figure_forms(), task.figures) == Report({n: report[n] for n in sorted(report)})
    assert all(math.isfinite(form.least) and math.isfinite(form.most) for form in task.figure_forms().values())
    assert (task.figure_forms()[task.KEY_METRIC].least, task.figure_forms()[task.KEY_METRIC].most) == (0.0, 1.0)


def test_classification_reports_sums_that_its_metrics_name() -> None:
    targets = ("flat", "upright")
    rows = [
        row
        for case, scores, truth in (("x", (0.9, 0.1), 0), ("y", (0.2, 0.8), 0), ("z", (0.1, 0.9), 1))
        for row in class_rows(case, targets, scores, truth)
    ]
    forms = {metric.reported: metric.form(targets) for metric in CLASS_METRICS}
    figures = {metric.reported: metric.of_sums for metric in CLASS_METRICS if hasattr(metric, "of_sums")}
    report = {name: value for metric in CLASS_METRICS for name, value in metric.report(metric.read(rows)).items()}
    report |= {"val_cases": 3}
    found = read_report(report, forms, lambda: figures)
    assert found.dropped == ""
    assert found.figures == report
