"""The screen: the settings, a line a round, a bar within it, the time left and the result."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fedmed.core.site_scores import PERSONAL, KeyScore
from fedmed.experiment import Experiment
from fedmed.runs.console import (
    clock,
    header,
    own_table,
    personal_table,
    progress_line,
    result_table,
    round_line,
    settings,
    time_left,
)

KEY = "val_dice"
SCORE = KeyScore(KEY, "Dice", ("TC", "WT"))


def report(dice: float, cases: int = 2, **more: float) -> dict[str, float]:
    return {"val_cases": cases, KEY: dice, f"{KEY}_tc": dice / 2, f"{KEY}_wt": dice / 4, **more}


def record(number: int, sites: dict[str, Any], seconds: float = 30.0, best: bool = False, **facts: Any) -> Any:
    return {"round": number, "seconds": seconds, "best": best, "sites": sites, **facts}


TWO = {"site-1": report(0.8, cases=3, train_loss=0.5), "site-2": report(0.4, cases=1, train_loss=0.1)}
TWO["site-1"]["train_loss_values"] = 3  # steps


def test_the_result_says_where_sites_scored_a_share_of_the_cases() -> None:
    assert "site-1, its share" in result_table([record(1, TWO, split=True)], SCORE)
    assert "its share" not in result_table([record(1, TWO, split=False)], SCORE)


def test_a_rounds_line_holds_the_loss_and_every_score() -> None:
    line = round_line(record(4, TWO), 600, SCORE, left_s=3725)
    assert line.count("\n") == 0
    for text in ("round   5/600", "loss 0.4000", "val_dice 0.7000", "TC 0.3500", "WT 0.1750", "30 s", "1:02:05 left"):
        assert text in line


def test_lines_of_all_rounds_have_their_columns_in_one_place() -> None:
    lines = [round_line(record(n, TWO), 10, SCORE, 60) for n in (0, 8, 9)]
    assert len({line.index("val_dice") for line in lines}) == 1
    final = round_line(record(10, TWO, final=True), 10, SCORE, 0)
    assert "left" not in final
    assert "final model" in final
    assert "val_dice 0.7000" in final


def test_a_site_that_is_left_out_is_told_below_the_line() -> None:
    line = round_line(record(0, TWO, refused={"site-2": "it holds NaN"}), 5, SCORE, 1)
    assert line.splitlines()[1].strip() == "without site-2: it holds NaN"


def test_each_site_that_is_left_out_has_a_line_of_its_own() -> None:
    why = {"site-4": "no answer within 9 s", "site-3": "it holds NaN"}
    line = round_line(record(0, TWO, refused=why), 5, SCORE, 1)
    assert line.splitlines()[1:] == ["  without site-3: it holds NaN", "  without site-4: no answer within 9 s"]
    final = round_line(record(5, TWO, final=True, unscored=why), 5, SCORE, 0)
    assert final.splitlines()[1:] == line.splitlines()[1:]
    assert final.startswith("final model")


def test_what_does_not_count_as_it_was_sent_is_named_below_the_line() -> None:
    notes = {"site-2": "its 1000 steps count as 200", "site-1": "figures are dropped"}
    told = ["  of site-1: figures are dropped", "  of site-2: its 1000 steps count as 200"]
    assert round_line(record(0, TWO, notes=notes), 5, SCORE, 1).splitlines()[1:] == told
    assert round_line(record(5, TWO, final=True, notes=notes), 5, SCORE, 1).splitlines()[1:] == told


def test_sites_that_a_rule_left_out_or_counts_far_less_than_the_others_are_named() -> None:
    shares = {"site-1": 1.0, "site-2": 0.02, "site-3": 0.9, "site-4": 0.0, "site-5": 0.6}
    assert round_line(record(0, TWO, counted=shares), 5, SCORE, 1).splitlines()[1:] == [
        "  left out by the rule: site-4",
        "  counts far less: site-2 2% (the others 75%)",
    ]
    alike = {"site-1": 0.3, "site-2": 0.2, "site-3": 0.16}
    for told in ({"counted": alike}, {"counted": {}}, {}):
        assert "\n" not in round_line(record(0, TWO, **told), 5, SCORE, 1)
    many = {f"site-{number:02d}": float(number == 1) for number in range(1, 41)}
    line = round_line(record(0, TWO, counted=many), 5, SCORE, 1).splitlines()[1]
    assert line.endswith("site-11 and 29 more")


def test_an_attack_is_the_first_of_the_settings(small_experiment: Callable[..., Experiment]) -> None:
    attacked = small_experiment("--attack", "sign_flip", "--attackers", "site-2")
    first = settings(attacked, {}, "set").splitlines()[0]
    assert first == "attack     sign_flip (strength 1) at site-2, for study only"
    assert "attack" not in settings(small_experiment(), {}, "set")


def test_a_round_that_failed_does_not_count() -> None:
    line = round_line(record(2, TWO, failed=True, refused={"site-3": "late"}), 5, SCORE, 60)
    assert line.splitlines()[0].startswith("round 3/5 ")
    assert line.splitlines()[0].endswith("  does not count")
    assert "left" not in line


def test_a_site_that_lost_its_optimiser_is_told() -> None:
    sites = {site: {**report, "fresh_optimizer": 1} for site, report in TWO.items()}
    line = round_line(record(3, {**sites, "site-3": report(0.1)}, refused={"site-4": "late"}), 5, SCORE, 1)
    assert line.splitlines()[1:] == [
        "  without site-4: late",
        "  site-1, site-2 began with a new optimiser: nothing of an earlier round is kept there",
    ]


def test_what_is_missing_is_shown_as_missing() -> None:
    line = round_line(record(0, {"site-1": {"val_cases": 1}}), 5, SCORE, 1)
    assert "0." not in line
    assert line.count(" -") == 4


def test_the_header_names_the_metric() -> None:
    assert header(SCORE).startswith("val_dice (Dice) is that of the global model ")
    assert header(SCORE, global_model=False).startswith("val_dice (Dice) is that of each site's own model ")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [([100.0], 900), ([100.0, 10.0], 80), ([100.0, 10.0, 20.0], 105), ([100.0] + [7.0] * 9, 0)],
)
def test_the_first_round_counts_only_alone(seconds: list[float], expected: float) -> None:
    assert time_left([record(n, TWO, s) for n, s in enumerate(seconds)], 10) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (61, "1:01"), (3599.7, "1:00:00"), (36000, "10:00:00")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_the_result_is_the_best_and_the_last_model_with_every_site() -> None:
    run = [
        record(0, {"site-1": report(0.1)}),
        record(1, {"site-1": report(0.9, cases=3), "site-2": report(0.5, cases=1)}, best=True),
        record(2, {"site-1": report(0.6), "site-2": report(0.2)}, final=True),
    ]
    lines = [line.split() for line in result_table(run, SCORE).splitlines()]
    assert lines == [
        ["model", "cases", KEY, "TC", "WT"],
        ["best,", "after", "round", "1", "4", "0.8000", "0.4000", "0.2000"],
        ["at", "site-1", "3", "0.9000", "0.4500", "0.2250"],
        ["at", "site-2", "1", "0.5000", "0.2500", "0.1250"],
        ["last,", "after", "round", "2", "4", "0.4000", "0.2000", "0.1000"],
        ["at", "site-1", "2", "0.6000", "0.3000", "0.1500"],
        ["at", "site-2", "2", "0.2000", "0.1000", "0.0500"],
    ]


def test_a_last_model_that_is_the_best_is_shown_once() -> None:
    run = [record(0, TWO), record(1, TWO, best=True, final=True)]
    lines = result_table(run, SCORE).splitlines()
    assert lines[1].startswith("best and last, after round 1")
    assert len(lines) == 4  # the titles, the mean and two sites


def test_sites_that_train_alone_each_have_their_own_best_and_last_model() -> None:
    run = [
        record(0, {"site-1": report(0.9), "site-2": report(0.9)}),
        record(1, {"site-1": report(0.8, cases=3), "site-2": report(0.2, cases=1)}, best=True),
        record(2, {"site-1": report(0.6, cases=3), "site-2": report(0.4, cases=1)}, final=True),
    ]
    lines = [" ".join(line.split()) for line in own_table(run, SCORE).splitlines()]
    assert lines == [
        "model cases val_dice TC WT",
        "each site's own best 4 0.7000 0.3500 0.1750",
        "site-1, after round 1 3 0.8000 0.4000 0.2000",
        "site-2, after round 2 1 0.4000 0.2000 0.1000",
        "own, after round 2 4 0.5500 0.2750 0.1375",
        "site-1 3 0.6000 0.3000 0.1500",
        "site-2 1 0.4000 0.2000 0.1000",
    ]


def test_global_and_personal_models_stand_beside_one_another_a_line_a_site() -> None:
    run = [
        record(0, {"site-1": report(0.1), "site-2": report(0.1)}),
        record(1, {"site-1": report(0.5, **{PERSONAL: 0.9}), "site-2": report(0.3, **{PERSONAL: 0.2})}, best=True),
        record(2, {"site-1": report(0.4, **{PERSONAL: 0.8}), "site-2": report(0.25)}),
        record(3, {"site-1": report(0.45, **{PERSONAL: 0.7}), "site-3": report(0.6)}, final=True),
    ]
    lines = [" ".join(line.split()) for line in personal_table(run, SCORE).splitlines()]
    assert lines == [
        "val_dice of models global best last personal best last",
        "site-1 0.5000 0.4500 0.9000 after round 1 0.7000",
        "site-2 0.3000 - 0.2000 after round 1 -",
        "site-3 - 0.6000 - -",
    ]
    assert len({len(line) for line in personal_table(run, SCORE).splitlines()}) == 1
    split = [{**each, "split": True} for each in run]
    assert "global best, its share" in personal_table(split, SCORE)


def test_a_rounds_line_has_the_personal_models_mean_where_there_are_some() -> None:
    sites = {"site-1": report(0.8, cases=3, **{PERSONAL: 0.9}), "site-2": report(0.4, cases=1, **{PERSONAL: 0.5})}
    assert "val_dice 0.7000 (TC 0.3500 WT 0.1750), personal 0.8000  " in round_line(record(4, sites), 9, SCORE, 1)
    assert "personal" not in round_line(record(4, TWO), 9, SCORE, 1)
    assert header(SCORE, personal=True).endswith("personal is the mean of val_dice over the sites' personal models.")
    assert "personal" not in header(SCORE)


def test_without_a_best_model_the_result_is_the_last_one() -> None:
    table = result_table([record(0, {"site-1": {"val_cases": 2, KEY: 0.5}})], SCORE)
    assert "best" not in table
    assert table.splitlines()[1].split()[-4:] == ["2", "0.5000", "-", "-"]


def test_the_settings_tell_what_is_about_to_run(small_experiment: Callable[..., Experiment]) -> None:
    experiment = small_experiment("--enable_dp", "--num_rounds", "17", "--learning_rate", "3e-4")
    summaries = {
        "site-1": {"training": 60, "validation": 43, "crops": "24 24 24 voxels"},
        "site-2": {"training": 61, "validation": 43, "crops": "24 24 24 voxels"},
    }
    text = settings(experiment, summaries, "phantom (synthetic phantoms)")
    parts = ("brats18", "24 24 24", "fedavg", experiment.privacy.statement(), "site-1 60+43", "site-2 61+43")
    for part in (*parts, "17 rounds", "Adam 0.0003", "precision auto", "seed 0"):
        assert part in text


@pytest.mark.parametrize(("name", "words"), [("adamw", "AdamW 0.1"), ("sgd", "SGD with Nesterov momentum 0.1")])
def test_the_settings_name_the_optimiser(small_experiment: Callable[..., Experiment], name: str, words: str) -> None:
    assert words in settings(small_experiment("--optimizer", name, "--learning_rate", "0.1"), {}, "phantom")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "Adam 0.1, "),
        (("--schedule", "cosine"), "Adam 0.1 (falling as a cosine), "),
        (("--warmup_rounds", "2"), "Adam 0.1 (2 rounds of warm-up), "),
        (
            ("--schedule", "plateau", "--patience", "3", "--warmup_rounds", "2"),
            "Adam 0.1 (2 rounds of warm-up, halved after 3 scores without a better one), ",
        ),
    ],
)
def test_the_settings_tell_the_course_of_the_learning_rate(
    small_experiment: Callable[..., Experiment], options: tuple[str, ...], words: str
) -> None:
    experiment = small_experiment("--num_rounds", "9", "--learning_rate", "0.1", *options)
    assert words in settings(experiment, {}, "phantom")


FINDINGS = tuple(f"Finding {number}" for number in range(1, 15))
AUROC = KeyScore("val_auroc", "AUROC", FINDINGS)


def of_findings(mean: float, cases: int = 2) -> dict[str, float]:
    report = {AUROC.of(name): 0.5 + number / 100 for number, name in enumerate(FINDINGS)}
    return {"val_cases": cases, "val_auroc": mean, **report}


def test_of_many_targets_a_line_names_the_lowest_and_the_highest() -> None:
    line = round_line(record(0, {"site-1": of_findings(0.7)}), 5, AUROC, 60)
    assert "val_auroc 0.7000 (lowest Finding 1 0.5000, highest Finding 14 0.6300)" in line
    assert len(line) < 120
    assert "val_auroc      -  " in round_line(record(0, {"site-1": {"val_cases": 1}}), 5, AUROC, 60)


def test_of_many_targets_a_table_has_two_columns_and_says_where_the_others_are() -> None:
    lines = result_table([record(1, {"site-1": of_findings(0.7)}, best=True)], AUROC).splitlines()
    assert lines[0].split() == ["model", "cases", "val_auroc", "lowest", "highest"]
    assert lines[1].split()[-3:] == ["0.7000", "0.5000", "0.6300"]
    assert lines[-1] == "lowest and highest of 14 targets; training_history.csv has every one"
    assert max(map(len, lines)) < 80


def test_an_area_over_sites_is_called_what_it_is() -> None:
    """No rows leave the sites, so it is no AUROC of all cases."""
    key = replace(AUROC, combines=False)
    assert "val_auroc (mean of the sites' AUROC) is that of the global model" in header(key)
    table = result_table([record(1, {"site-1": of_findings(0.7)}, best=True)], key)
    assert table.splitlines()[-1].startswith("val_auroc over sites is the mean of the sites' AUROC, weighted by cases")
    assert "mean of the sites" not in header(SCORE) + result_table([record(1, {"site-1": {}}, best=True)], SCORE)


def test_columns_are_as_wide_as_the_names_of_the_targets() -> None:
    classes = KeyScore("val_accuracy", "accuracy", ("glioma", "meningioma", "no tumour"))
    report = {"val_cases": 4, "val_accuracy": 0.5, **{classes.of(name): 0.25 for name in classes.targets}}
    lines = result_table([record(1, {"site-1": report}, best=True)], classes).splitlines()
    ends = [lines[0].index(name) + len(name) for name in classes.targets]
    assert all(line[:end][-6:] == "0.2500" for line in lines[1:] for end in ends)


def test_a_figure_from_sums_is_shown_as_that_of_all_cases_together() -> None:
    key = KeyScore("val_x", "x", (), figures={"val_x": lambda sums: sums["part"] / sums["whole"]})
    sites = {
        "site-1": {"val_x": 0.5, "val_x_values": 3, "val_x_sum_part": 1.0, "val_x_sum_whole": 2.0, "val_cases": 3},
        "site-2": {"val_x": 0.9, "val_x_values": 3, "val_x_sum_part": 9.0, "val_x_sum_whole": 10.0, "val_cases": 3},
    }
    assert "val_x 0.8333" in round_line(record(0, sites), 5, key, 60)
    assert result_table([record(1, sites, best=True)], key).splitlines()[1].split()[-1] == "0.8333"


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ((2, 5, 3, 4, 12, 24), "round 2/5 [#####.....] 3 of 4 sites answered, step 12/24"),
        ((1, 5, 0, 4), "round 1/5 [..........] 0 of 4 sites answered"),
        ((1, 5, 4, 4), "round 1/5 [##########] 4 of 4 sites answered"),
        ((7, 100, 1, 4, 1, 24), "round   7/100 [..........] 1 of 4 sites answered, step 1/24"),
        ((2, 5, 4, 4, 24, 24), "round 2/5 [##########] 4 of 4 sites answered, step 24/24"),
        ((2, 5, 0, 0), "round 2/5 [..........] 0 of 0 sites answered"),
    ],
)
def test_the_bar_of_a_round_shows_its_steps_or_its_sites(counts: tuple[int, ...], line: str) -> None:
    assert progress_line(*counts) == line


def test_the_settings_name_the_network_and_the_optimiser(small_experiment: Callable[..., Experiment]) -> None:
    sizes = ("--roi_size", "32", "32", "32", "--infer_roi_size", "48", "48", "32")
    text = settings(small_experiment("--network", "unet", *sizes), {}, "data")
    assert "brats18, unet" in text
    assert "Adam 0.0001" in text
