"""The pages as Streamlit makes them, without a browser: every state of a run, every tab, and no name of a patient."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmed.core import locks
from fedmed.core.names import DASHBOARD_VARIABLE, PROGRESS
from fedmed.runs.run_folder import RunFolder
from tests.analysis.dashboard.conftest import MakeRun
from tests.analysis.dashboard.patient_names import traces_in

WHY = "the dashboard's packages are not installed (make dashboard installs requirements-dashboard.txt)"
pytest.importorskip("streamlit", reason=WHY)
pytest.importorskip("plotly", reason=WHY)

from streamlit.testing.v1 import AppTest  # noqa: E402

from fedmed.analysis.dashboard import run_tabs  # noqa: E402
from fedmed.analysis.dashboard.dashboard_server import SCRIPT  # noqa: E402


def runs_page(root: str) -> None:
    from pathlib import Path

    from fedmed.analysis.dashboard.artifacts_listing import ArtifactsListing
    from fedmed.analysis.dashboard.runs_page import runs_page

    runs_page(ArtifactsListing.of(Path(root)))


def chosen_runs(root: str, names: list[str]) -> None:
    from pathlib import Path

    from fedmed.analysis.dashboard.artifacts_listing import ArtifactsListing
    from fedmed.analysis.dashboard.runs_page import show_chosen

    show_chosen(ArtifactsListing.of(Path(root)), names, None)


def run_page(root: str) -> None:
    from pathlib import Path

    from fedmed.analysis.dashboard.artifacts_listing import ArtifactsListing
    from fedmed.analysis.dashboard.single_run_page import single_run_page

    single_run_page(ArtifactsListing.of(Path(root)))


def page(function: Any, root: Path, **arguments: Any) -> AppTest:
    return AppTest.from_function(function, kwargs={"root": str(root), **arguments}, default_timeout=120)


def run_of(root: Path, name: str, tab: str = "Curves") -> AppTest:
    """The page of a run with one of its tabs open."""
    found = page(run_page, root)
    found.query_params["run"] = name
    found.session_state[f"tabs of {name}"] = tab
    return sound(found.run())


def sound(found: AppTest) -> AppTest:
    assert [error.value for error in found.exception] == []
    return found


def elements(block: Any) -> Iterator[bytes]:
    """The contents of every element of a page as they travel to a browser."""
    for child in getattr(block, "children", {}).values():
        yield from elements(child)
    if getattr(block, "proto", None) is not None:
        yield block.proto.SerializeToString()


def everything(found: AppTest) -> bytes:
    return b"\n".join(elements(found._tree))


def test_the_runs_page_lists_runs_of_every_state(make_run: MakeRun, root: Path) -> None:
    make_run(evaluated=True)
    make_run(2, "failed", reason="van der Meer, Jan cannot be read")
    make_run(2, "running")
    (make_run().path / "experiment.json").write_text("{")
    found = sound(page(runs_page, root).run())
    (table,) = found.dataframe
    assert table.value["run"].tolist() == [f"run-00{n}" for n in range(1, 5)]
    assert table.value["status"].tolist() == ["finished", "failed", "interrupted", "unreadable"]
    assert found.caption[0].value == "4 runs: 1 finished, 1 failed, 1 interrupted, 1 unreadable"
    assert "run\\-004 cannot be read" in found.warning[0].value
    assert traces_in(everything(found)) == []


def test_runs_are_found_by_words_task_and_status(make_run: MakeRun, root: Path) -> None:
    make_run()
    make_run(2, "failed")
    found = page(runs_page, root).run()
    found.text_input[0].set_value("FEDAVG run-002").run()
    assert found.dataframe[0].value["run"].tolist() == ["run-002"]
    found.text_input[0].set_value("").run()
    found.multiselect[1].set_value(["finished"]).run()
    assert sound(found).dataframe[0].value["run"].tolist() == ["run-001"]


def test_an_empty_folder_says_which_command_makes_a_run(root: Path) -> None:
    for function in (runs_page, run_page):
        found = sound(page(function, root).run())
        assert [code.value for code in found.code] == ["python job.py"]


def test_several_runs_stand_against_each_other(make_run: MakeRun, root: Path) -> None:
    for _ in range(2):
        make_run(evaluated=True)
    names = ["run-001", "run-002"]
    for tab, words in (
        ("Curves", b"mean over sites"),
        ("Comparison", b"Run against run"),
        ("Configuration", b"option"),
    ):
        found = page(chosen_runs, root, names=names)
        found.session_state["chosen"] = tab
        shown = everything(sound(found.run())).replace(b"\\", b"")
        assert words in shown
        assert traces_in(shown) == []


def test_runs_that_were_not_scored_say_how_to_score_them(make_run: MakeRun, root: Path) -> None:
    paths = [make_run().path, make_run().path]
    found = page(chosen_runs, root, names=["run-001", "run-002"])
    found.session_state["chosen"] = "Comparison"
    sound(found.run())
    assert found.code[0].value == f"python result_stat/evaluate.py {paths[0]} {paths[1]}"


@pytest.mark.parametrize("tab", list(run_tabs.TABS))
def test_no_tab_of_a_run_names_a_patient(make_run: MakeRun, root: Path, tab: str) -> None:
    make_run(evaluated=True)
    shown = everything(run_of(root, "run-001", tab))
    assert traces_in(shown) == []
    assert b"run" in shown


def test_cases_are_numbers_worst_first(make_run: MakeRun, root: Path) -> None:
    make_run(evaluated=True)
    table = run_of(root, "run-001", "Cases").dataframe[-1].value
    assert table["case"].tolist() == ["case 1 of site-1", "case 2 of site-1", "case 1 of site-2", "case 2 of site-2"]
    assert table["mean"].tolist() == ["0.2500", "0.3500", "0.7500", "0.8500"]


@pytest.mark.parametrize("tab", ["Result", "Classes", "Cases"])
def test_a_run_that_was_not_scored_says_how_to_score_it(make_run: MakeRun, root: Path, tab: str) -> None:
    path = make_run().path
    assert [code.value for code in run_of(root, "run-001", tab).code] == [f"python result_stat/evaluate.py {path}"]


def test_a_failed_run_says_why_without_names_and_how_to_go_on(make_run: MakeRun, root: Path) -> None:
    path = make_run(2, "failed", reason="'/srv/clinic/DOE^JANE/t1.nii' cannot be read").path
    found = run_of(root, "run-001")
    assert found.error[0].value.replace("\\", "") == "The run failed: [path] cannot be read"
    assert found.code[0].value == f"python job.py --resume {path}"


@pytest.mark.parametrize("tab", list(run_tabs.TABS))
def test_an_empty_run_breaks_no_tab(make_run: MakeRun, root: Path, tab: str) -> None:
    run = make_run(0, "running")
    for path in run.path.iterdir():
        if path.name != "experiment.json":
            path.unlink()
    found = run_of(root, "run-001", tab)
    assert found.code[0].value == f"python job.py --resume {run.path}"


def test_a_run_that_goes_on_shows_its_round_and_whom_it_waits_for(make_run: MakeRun, root: Path) -> None:
    run = make_run(2, "running")
    run.write_json(PROGRESS, {"round": 3, "sites": {"site-1": [4, 4], "site-2": [1, 4]}})
    with locks.held(run.path):
        found = run_of(root, "run-001")
        assert found.subheader[0].value == "round 3 of 5"
        assert "1 of 2 answered, waiting for site-2" in [text.value for text in found.text]
        table = found.dataframe[0].value
        assert table["state"].tolist() == ["answered", "at work"]
        assert table["last seen"].tolist() == ["now: step 4 of 4", "now: step 1 of 4"]
    over = run_of(root, "run-001")
    assert over.subheader[0].value == "2 of 5 rounds"


def test_privacy_shows_the_ledger_by_round_and_the_attacks(private_run: RunFolder, root: Path) -> None:
    found = run_of(root, private_run.name, "Privacy")
    assert "In plain words" in found.info[0].value
    tables = [table.value for table in found.dataframe]
    (ledger,) = [table for table in tables if "epsilon in all" in table and len(table) == 4]
    assert ledger["epsilon in all"].tolist() == [1.0, 0.5, 2.0, 1.0]
    assert any("AUC" in table for table in tables)


@pytest.mark.parametrize("name", ["../secret", "run-001\0", "/etc", "run-001/..", "<script>"])
def test_an_address_that_names_no_run_reads_nothing(make_run: MakeRun, root: Path, name: str) -> None:
    make_run()
    found = run_of(root, name)
    assert "names no run" in found.warning[0].value
    assert found.title[0].value.replace("\\", "") == "run-001"


@pytest.mark.parametrize("name", ["rounds.jsonl", "experiment.json", "dataset_splits.json", "dataset_stats.json"])
def test_a_damaged_run_is_a_sentence(make_run: MakeRun, root: Path, name: str) -> None:
    (make_run().path / name).write_text("{ DOE^JANE\n")
    found = run_of(root, "run-001")
    assert "cannot be read" in found.error[0].value
    assert traces_in(everything(found)) == []


def test_the_whole_application_begins_with_the_runs(
    make_run: MakeRun, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run()
    monkeypatch.setenv(DASHBOARD_VARIABLE, str(root))
    found = sound(AppTest.from_file(SCRIPT, default_timeout=120).run())
    assert found.title[0].value == "Runs"
    monkeypatch.setenv(DASHBOARD_VARIABLE, str(root / "nowhere"))
    assert "cannot be listed" in sound(AppTest.from_file(SCRIPT, default_timeout=120).run()).error[0].value
