"""The benchmarks' own arithmetic; they train for minutes, so their results stand in benchmarks/README.md instead."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import brain_mri, film_orientation, finished_runs, hippocampus, near_duplicates, round_time, scaling
from benchmarks.bare_loop import Bare
from benchmarks.site_strength import table
from benchmarks.watched_run import Watched
from fedmed.command_line import read_experiment
from fedmed.core import machine
from fedmed.core.errors import InputError
from fedmed.data.chest_xray.thorax import random_chest
from fedmed.data.phantoms.chest_xray_phantom import PROFILES, chest_xray_phantom
from fedmed.runs.run_folder import RunFolder


def test_gap_is_home_less_the_mean_of_the_others() -> None:
    dice = np.array([[0.8, 0.4, 0.6], [0.5, 0.7, 0.3], [0.1, 0.3, 0.9], [0.85, 0.75, 0.95]])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(1.0, dice).splitlines()[2:]]
    assert rows[2] == ["site-1 alone", "0.800", "0.400", "0.600", "0.800", "0.500", "+0.300"]
    assert [row[-1] for row in rows[2:5]] == ["+0.300", "+0.300", "+0.700"]
    assert rows[5][:4] == ["all together", "0.850", "0.750", "0.950"]
    assert rows[6][-3:] == ["0.800", "0.367", "+0.433"]
    assert {len(row) for row in rows} == {7}


def cells(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines()[2:]]


def run(round_s: list[float], dice: list[float]) -> Watched:
    return Watched(startup_s=20, round_s=round_s, dice=dice, peak=3_000_000_000)


def test_the_first_round_does_not_count_and_the_median_does() -> None:
    assert run([99, 5, 7, 60], []).usual_round_s == 7
    assert run([99], []).usual_round_s == 99


def test_a_bare_round_is_shared_out_among_the_processors() -> None:
    assert Bare(step_s=0.5, case_s=0.25).round_s(steps=16, cases=4, at_once=2) == pytest.approx(4.5)


def test_ways_are_compared_with_the_first_and_seeds_are_pooled() -> None:
    slow = [round_time.facts(run([99, 80, 80], [0.0, 0.5]), 20), round_time.facts(run([99, 40, 40], [0.0, 0.7]), 20)]
    quick = [round_time.facts(run([9, 6, 6], [0.0, 0.6]), 5)]
    rows = cells(round_time.table({"a": round_time.pooled(slow), "b": round_time.pooled(quick)}))
    assert rows[0] == ["a", "60.0", "1.0", "38%", "20", "3.0", "0.600 (0.500 to 0.700)"]
    assert rows[1] == ["b", "6.0", "10.0", "83%", "20", "3.0", "0.600"]


def test_every_step_is_a_run_that_can_be_made_and_adds_to_the_one_before() -> None:
    ways = list(round_time.steps().values())
    experiments = [read_experiment([str(option) for option in way]) for way in ways]
    assert experiments[0].performance.poll_s == 0
    same = round_time.CORES < 2  # one core cannot be shared out among the sites
    assert len({experiment.to_json() for experiment in experiments}) == len(ways) - same
    assert all(later[: len(earlier)] == earlier for earlier, later in pairwise(ways))
    ours = read_experiment([str(option) for option in round_time.OURS])
    assert experiments[-2].task == ours.task
    assert experiments[-2].training.precision == ours.training.precision


def test_growth_of_memory_is_seen_in_the_second_half() -> None:
    assert scaling.growth([1, 500, 10, 10, 10, 10, 10]) == pytest.approx(0)
    assert scaling.growth([1, 2, 3, 10, 13, 16, 19]) == pytest.approx(3)
    assert "0.0 MB" in scaling.growth_in_words([5, 5, 5, 5])


def test_scaling_states_the_time_of_a_site_and_the_memory_of_all() -> None:
    row = {"env": "pool", "sites": 4, "cases": 2, "round_s": 4.0, "startup_s": 20.0, "peak": 8_000_000_000}
    assert cells(scaling.table([row])) == [["pool", "4", "2", "4.0", "1000", "20", "8.0"]]


def test_a_simulator_that_no_machine_could_hold_is_not_started() -> None:
    assert scaling.fits("pool", 10_000)
    assert scaling.fits("sim", 1)
    assert not scaling.fits("sim", 10_000_000)


SPLIT = {
    "sites": {f"site-{i}": {"source": source, "training": [{}] * i} for i, source in ((1, "8-bit"), (2, "thousands"))},
    "test": [{"case": "a", "source": "8-bit"}, {"case": "b", "source": "thousands"}],
}


def test_models_of_the_hippocampus_are_averaged_over_cases_and_targets_and_then_over_seeds() -> None:
    rows = [
        (model, seed, source, target, "dice", value + 0.2 * seed)
        for model, value in (("fedavg", 0.6), ("site-2 alone", 0.4))
        for seed in (0, 1)
        for source, target in (("8-bit", "anterior"), ("thousands", "posterior"))
    ]
    scores = pd.DataFrame(rows, columns=["model", "seed", "source", "target", "quantity", "value"])
    numbers = hippocampus.by_seed(scores)
    assert numbers["fedavg"]["Dice"] == pytest.approx([0.6, 0.8])
    assert numbers["site-2 alone"]["on 8-bit"] == numbers["site-2 alone"]["anterior"] == pytest.approx([0.4, 0.6])
    text = hippocampus.table(numbers, hippocampus.labels_of(SPLIT))
    rows_of_text = {row[0]: row[1:] for row in cells(text)}
    assert rows_of_text["fedavg"][:2] == ["3 cases at 2 sites", "0.700 ± 0.141"]
    assert rows_of_text["site-2 alone"][0] == "thousands, 2 cases"
    assert "central" not in rows_of_text  # no run of it


def test_runs_of_the_hippocampus_are_made_once_and_never_mixed_with_others(tmp_path: Path) -> None:
    given = ["--dataset_base_dir", str(tmp_path), "--datalist_json_path", str(tmp_path), "--artifacts", str(tmp_path)]
    args = hippocampus.read_arguments([*given, "--", "--num_rounds", "7"])
    args.n_clients = 2
    wanted = read_experiment(finished_runs.run_options("hippocampus", "local", 1, args, hippocampus.WAYS["local"]))
    assert (wanted.algorithm.name, wanted.training.seed, wanted.training.num_rounds) == ("local", 1, 7)
    assert finished_runs.finished_of(tmp_path, wanted) is None
    run = RunFolder.create(tmp_path, "local-seed1")
    run.write_experiment(wanted)
    run.write_status("failed")
    assert finished_runs.finished_of(tmp_path, wanted) is None
    run.write_status("finished")
    found = finished_runs.finished_of(tmp_path, wanted)
    assert found is not None
    assert found.path == run.path
    args.job = ["--num_rounds", "8"]
    with pytest.raises(InputError, match="run with other settings"):
        finished_runs.finished_of(
            tmp_path,
            read_experiment(finished_runs.run_options("hippocampus", "local", 1, args, hippocampus.WAYS["local"])),
        )


def test_a_split_that_is_not_by_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text('{"sites": {"site-1": {"training": []}}, "test": []}')
    with pytest.raises(InputError, match="no split by source with a test"):
        hippocampus.read_split(tmp_path)


def test_the_hippocampus_is_written_as_numbers_table_and_figure(tmp_path: Path) -> None:
    numbers = {model: {"Dice": [0.8, 0.9], "HD95 (mm)": [1.0, 2.0]} for model in ("central", "fedavg", "site-1 alone")}
    about = {"settings": {}, "machine": machine.describe(), "models": hippocampus.labels_of(SPLIT)}
    curves = {way: [{0: 0.0, 1: 0.5}, {0: 0.1, 1: 0.6}] for way in ("central", "fedavg")}
    hippocampus.write(tmp_path / "h", about, numbers, curves, "text")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h.json", "h.md", "h.png"]


def test_the_judge_of_near_duplicates_knows_shifted_and_mirrored_pictures() -> None:
    noise = np.random.default_rng(0).random((2, 64, 64)).astype(np.float32)
    first, other = noise
    images = np.stack([first, 0.5 * first + 0.2, first[:, ::-1], np.roll(first[::-1], 2, axis=0), other])
    pairs = np.array([[0, 1], [0, 2], [0, 3], [0, 4]])
    found = near_duplicates.likeness(images, pairs)
    assert found[:3] == pytest.approx(1, abs=1e-3)
    assert abs(found[3]) < 0.2
    assert near_duplicates.copies_of(images).tolist() == [[0, 1], [0, 2], [1, 2]]


def test_distances_are_of_the_forms_that_are_least_apart() -> None:
    hashes = [(0b0, 0b111, 0b111, 0b111), (0b110, 0b111, 0b1, 0b111), (0b111, 0b111, 0b111, 0b111)]
    pairs = np.array([[0, 1], [0, 2]])
    assert near_duplicates.distances(hashes, pairs).tolist() == [1, 0]


def test_the_study_of_brain_pictures_leaves_its_numbers_table_and_figure(tmp_path: Path) -> None:
    labels = {"central": "9 pictures", "fedavg": "9 pictures at 2 sites"}
    numbers = {model: {"accuracy": [0.8, 0.9], "at A": [0.7, 0.8]} for model in labels}
    bounds = {model: {"accuracy": (0.7, 0.95)} for model in labels}
    text = brain_mri.table(numbers, bounds, labels)
    assert cells(text)[-1] == ["fedavg", "9 pictures at 2 sites", "0.850 ± 0.071", "0.700 to 0.950", "0.750 ± 0.071"]
    about = {"machine": machine.describe(), "models": labels, "bounds": bounds}
    brain_mri.write(tmp_path / "study", about, numbers, {"central": [{0: 0.1, 1: 0.5}]}, text)
    document = json.loads((tmp_path / "study.json").read_text())
    assert document["by_seed"]["central"]["accuracy"] == [0.8, 0.9]
    assert document["validation_accuracy"]["central"] == [{"0": 0.1, "1": 0.5}]
    assert (tmp_path / "study.md").read_text() == f"{text}\n"
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")


def test_upright_phantoms_are_found_in_every_form_that_they_are_turned_to() -> None:
    films = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        film = chest_xray_phantom(rng, random_chest(rng), (), PROFILES[0])
        films.append(film_orientation.in_all_forms((film / 255).astype(np.float32)))
    for film in films:
        assert [
            film_orientation.found(seen, form) for seen, form in zip(film, film_orientation.FORMS, strict=True)
        ] == [True] * 8
    assert film_orientation.film_table(films).splitlines()[2].startswith("| 0 | 0.0 % | 100.0 % |")
    assert film_orientation.site_table(films).splitlines()[2] == "| 20 | 0.0 % | 0.0 % | 100.0 % | 100.0 % |"
