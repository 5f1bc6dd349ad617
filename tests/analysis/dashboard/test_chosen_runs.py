"""Runs against each other: compare.py's numbers, without the names of cases."""

import shutil

import numpy as np
import pytest

from fedmed.analysis.comparison.compared_run import metric_of, read_runs
from fedmed.analysis.comparison.comparison_report import blocks, compared
from fedmed.analysis.comparison.table_document import markdown
from fedmed.analysis.dashboard.chosen_runs import choices_table, compare_blocks, curves_of, figures_of, splits_of
from fedmed.analysis.dashboard.run_view import open_view
from tests.analysis.dashboard.conftest import MakeRun
from tests.analysis.dashboard.patient_names import traces_in


def test_curves_are_means_over_the_sites_by_round(make_run: MakeRun) -> None:
    views = [open_view(make_run().path), open_view(make_run(2, "failed").path), open_view(make_run(0, "failed").path)]
    assert list(figures_of(views)) == ["val_dice", "train_loss"]
    curves = curves_of(views, "val_dice")
    assert list(curves) == ["run-001", "run-002"]
    np.testing.assert_allclose(curves["run-002"], [0.6, 0.605])
    assert figures_of(views[2:]) == {}


def test_only_options_that_differ_are_shown(make_run: MakeRun) -> None:
    views = [open_view(make_run().path), open_view(make_run(5, "finished", "--learning_rate", "0.5").path)]
    table = choices_table(views).set_index("option")
    assert table.to_dict("index") == {"learning_rate": {"run-001": "0.0001", "run-002": "0.5"}}


def test_the_comparison_is_that_of_compare_py(make_run: MakeRun) -> None:
    paths = [make_run(evaluated=True).path for _ in range(2)]
    views = [open_view(path) for path in paths]
    assert splits_of(views) == ["validation"]
    found, _ = compare_blocks(views, "validation")
    runs = read_runs(paths, None, "validation")
    assert markdown(found) == markdown(blocks(compared(runs, metric_of(runs, "dice"))))


def test_a_refusal_that_names_a_case_is_shown_without_it(make_run: MakeRun) -> None:
    paths = [make_run(evaluated=True).path for _ in range(2)]
    document = paths[1] / "evaluation" / "best-validation" / "evaluation.json"
    document.write_text(document.read_text().replace('"Roe_Richard_2": "c"', '"Roe_Richard_2": "edited"'))
    (block,), aliases = compare_blocks([open_view(path) for path in paths], "validation")
    assert "Roe_Richard_2" in block.items[0]
    clean = aliases.clean(block.items[0])
    assert clean.startswith("The truth of [name] is another one")
    assert traces_in(clean) == []


def test_runs_without_a_common_evaluation_have_no_split(make_run: MakeRun) -> None:
    scored, other = make_run(evaluated=True), make_run(evaluated=True)
    shutil.move(other.path / "evaluation" / "best-validation", other.path / "evaluation" / "best-test")
    assert splits_of([open_view(scored.path), open_view(other.path)]) == []


@pytest.mark.parametrize("broken", ["cases.csv", "evaluation.json"])
def test_a_damaged_evaluation_is_a_sentence(make_run: MakeRun, broken: str) -> None:
    paths = [make_run(evaluated=True).path for _ in range(2)]
    views = [open_view(path) for path in paths]
    (paths[0] / "evaluation" / "best-validation" / broken).write_text("{")
    (block,), _ = compare_blocks(views, "validation")
    assert block.title == "These runs cannot be compared"
