"""The study of chest films: its command line, and figures of rows whose answers are known."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks import chest_xray
from fedmed.core.errors import InputError
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.tasks.scoring.multi_label_metrics import finding_rows

PATIENTS = {f"film {number}": f"patient {number // 2}" for number in range(8)}
COLUMNS = ["mean AUROC of 2 findings", "AUROC of any finding"]


def rows(model: str, seed: int, masses: list[float], nodules: list[float]) -> pd.DataFrame:
    """Scores of eight films: the last four have a mass, the last two a nodule too."""
    found = []
    for number, case in enumerate(PATIENTS):
        truth = [float(number >= 4), float(number >= 6)]
        found += finding_rows(case, ["Mass", "Nodule"], [masses[number], nodules[number]], truth)
    return pd.DataFrame(found).assign(model=model, seed=seed, way=model)


RISING, FALLING, LEVEL = (
    [*values] for values in ([0.1 * n for n in range(8)], [0.9 - 0.1 * n for n in range(8)], [0.5] * 8)
)


def with_any(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, chest_xray.any_finding(table)], ignore_index=True)


def test_a_film_has_any_finding_as_probably_as_it_is_not_without_all_of_them() -> None:
    found = chest_xray.any_finding(rows("central", 0, [0.5] * 8, [0.2] * 8)).set_index(["case", "quantity"])["value"]
    assert found["film 0", "score"] == pytest.approx(0.6)
    assert [found[f"film {number}", "truth"] for number in (0, 3, 4, 7)] == [0, 0, 1, 1]


def test_figures_are_of_all_films_at_once_by_model_and_seed() -> None:
    every = [
        with_any(rows("central", 0, RISING, RISING)),
        with_any(rows("central", 1, RISING, FALLING)),
        with_any(rows("fedavg", 0, LEVEL, LEVEL)),
    ]
    numbers, bounds = chest_xray.figures(pd.concat(every), ["Mass", "Nodule"], PATIENTS)
    assert numbers["central"][COLUMNS[0]] == [1, 0.5]
    assert numbers["fedavg"] == {column: [0.5] for column in COLUMNS}
    assert numbers["central"]["the mean less fedavg's"] == [0.5]  # of the seed that both have
    assert bounds["central"]["the mean less fedavg's"] == (0.5, 0.5)
    assert bounds["fedavg"][COLUMNS[1]] == (0.5, 0.5)
    low, high = bounds["central"][COLUMNS[0]]
    assert low <= 0.5
    assert high == 1  # the bounds of the seeds' intervals that are farthest out
    only, _ = chest_xray.figures(every[1], ["Mass"], PATIENTS)
    assert only["central"]["mean AUROC of 1 finding"] == [1]


def split() -> dict[str, Any]:
    """Two sites; one film of the test has a mass, three films of two patients have a nodule."""
    counts = dict.fromkeys(FINDINGS, 0) | {"Mass": 1, "Nodule": 3}
    test = [("a", "Mass|Nodule"), ("b", "Nodule"), ("b", "Nodule"), ("c", "")]
    return {
        "sites": {f"site-{number}": {"training": [{}] * number} for number in (1, 2)},
        "counts": {part: {"findings": counts} for part in ("site-1", "site-2", "validation", "test")},
        "test": [{"case": str(n), "patient": patient, "findings": names} for n, (patient, names) in enumerate(test)],
    }


def test_findings_are_counted_by_films_and_patients_and_rare_ones_have_no_figure() -> None:
    counts = chest_xray.counts_of(split())
    assert counts["Nodule"] == {"training": 6, "test": 3, "test patients": 2}
    counts["Nodule"]["test patients"] = 5
    assert chest_xray.frequent_findings(counts, 3) == ["Nodule"]
    for least, patients in ((4, 5), (3, 4)):
        counts["Nodule"]["test patients"] = patients
        with pytest.raises(InputError, match=f"No finding is in {least} test films of 5 patients; lower --least"):
            chest_xray.frequent_findings(counts, least)
    counts["Nodule"]["test patients"] = 2
    text = chest_xray.table_of_findings(rows("central", 0, RISING, RISING), ["Nodule"], counts)
    cells = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in text.splitlines()}
    assert cells["Nodule"] == ["6", "3", "2", "1.000"]
    assert cells["Mass"] == ["2", "1", "1", "-"]
    assert set(FINDINGS) <= set(cells)


def test_the_table_has_an_interval_behind_each_figure_and_says_how_wide_they_are() -> None:
    both = pd.concat([with_any(rows(model, 0, RISING, LEVEL)) for model in ("fedavg", "central")])
    numbers, _ = chest_xray.figures(both, ["Mass", "Nodule"], PATIENTS)
    bounds = {
        model: {COLUMNS[0]: (0.5, high), COLUMNS[1]: (0.25, 1.0)}
        for model, high in (("fedavg", 0.75), ("central", 1.0))
    }
    less = "the mean less fedavg's"
    head, _, *lines = chest_xray.table(numbers, bounds, chest_xray.labels_of(split())).splitlines()
    assert head == f"| model | trained on | {COLUMNS[0]} | 95 % | {COLUMNS[1]} | 95 % | {less} |"
    assert lines[0].startswith("| central | 3 films | 0.750 | 0.500 to 1.000 |")
    assert lines[1].startswith("| fedavg | 3 films at 2 sites | 0.750 | 0.500 to 0.750 |")
    assert [line.split(" | ")[-1] for line in lines] == ["0.000 |", "- |"]
    said = chest_xray.notes(bounds, split(), 20)
    assert "the 3 patients of the 4 test films" in said
    assert f"{COLUMNS[0]}: 0.25 to 0.50; {COLUMNS[1]}: 0.75 to 0.75" in said


def test_a_split_without_a_test_and_too_few_rounds_for_two_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no split with a test; make one with .*prepare\.py split"):
        chest_xray.read_split(tmp_path)
    (tmp_path / "split.json").write_text(json.dumps(split() | {"test": []}))
    with pytest.raises(InputError, match="holds no split with a test"):
        chest_xray.read_split(tmp_path)
    own = ["--dataset_base_dir", str(tmp_path), "--datalist_json_path", str(tmp_path)]
    args = chest_xray.read_arguments([*own, "--", "--num_rounds", "5"])
    args.n_clients = 2
    assert chest_xray.stages(args) == (2, 3)
    args.job += ["--num_rounds", "1"]
    with pytest.raises(InputError, match="num_rounds is 1; expected 2 or more"):
        chest_xray.stages(args)
