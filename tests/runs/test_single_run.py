"""A run from start to end: its folder is complete, says how it ended and why, and is gone on with by its own log."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmed.core.errors import InputError, RunFailed
from fedmed.core.names import LOG, RECORDS, SUMMARY
from fedmed.experiment import Experiment
from fedmed.runs.history import rows
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.single_run import check_and_run
from tests.runs.kept_files import keep

Scripted = Callable[..., Experiment]


def record(number: int, dice: float, **facts: Any) -> dict[str, Any]:
    """The scores of the model that so many rounds made."""
    loss = {} if facts.get("final") else {"train_loss": 0.5}
    sites = {f"site-{n}": {"val_cases": n, "val_dice": dice, "val_dice_tc": dice, **loss} for n in (1, 2)}
    return {"round": number, "seconds": 1.5, "best": False, "sites": sites, "privacy": {}, **facts}


WHOLE = [record(0, 0.1), record(1, 0.6, best=True), record(2, 0.5, final=True)]
USUAL = ("--num_rounds", "2")


def test_a_finished_run_leaves_a_complete_folder(
    scripted: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check_and_run(scripted(WHOLE, *USUAL, "--artifacts", str(tmp_path)))
    run = RunFolder.open(tmp_path / "run-001")
    assert run.status == "finished"
    assert {path.name for path in run.path.iterdir()} >= {
        "experiment.json", "environment.json", "dataset_stats.json", "dataset_splits.json", "data_audit.txt",
        "label_map.json", "model_meta.json", "curves.png", "training_history.csv", "training_history.json",
        RECORDS, LOG,
    }  # fmt: skip
    assert run.records() == WHOLE
    assert run.read_json("training_history") == rows(WHOLE)
    summary = (run.path / SUMMARY).read_text()
    assert "best, after round 1" in summary
    assert "last, after round 2" in summary
    shown = capsys.readouterr().out
    for line in filter(None, summary.splitlines()):
        assert shown.count(f"\n{line}\n") == 1  # the settings when the run began, the rest at its end


def test_an_attack_is_named_in_all_that_a_run_leaves(
    scripted: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack = ("--attack", "sign_flip", "--attackers", "site-2", "--artifacts", str(tmp_path))
    check_and_run(scripted(WHOLE, *USUAL, *attack))
    run, words = RunFolder.open(tmp_path / "run-001"), "sign_flip (strength 1) at site-2, for study only"
    assert run.read_json("experiment")["attack"]["attackers"] == "site-2"
    for name in ("status", "model_meta"):
        assert run.read_json(name)["attack"] == words
    assert f"attack     {words}" in (run.path / SUMMARY).read_text()
    assert f"attack     {words}" in "\n".join(capsys.readouterr().out.splitlines()[:10])
    with pytest.raises(RunFailed):
        check_and_run(scripted([WHOLE[0], RunFailed("no memory")], *USUAL, *attack))
    assert RunFolder.open(tmp_path / "run-002").read_json("status")["attack"] == words


@pytest.mark.parametrize(
    ("error", "raised", "reason"),
    [
        (RunFailed("site-2 failed: no memory"), RunFailed, "site-2 failed: no memory"),
        (InputError("the server refuses the job"), RunFailed, "the server refuses the job"),
        (OSError(28, "No space left on device", "/full"), RunFailed, "/full cannot be used (No space left on device)"),
        (KeyboardInterrupt(), KeyboardInterrupt, "stopped by the user"),
    ],
)
def test_a_run_that_fails_keeps_what_there_is_and_says_why_and_how_to_go_on(
    scripted: Scripted,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    raised: type[BaseException],
    reason: str,
) -> None:
    with pytest.raises(raised):
        check_and_run(scripted([WHOLE[0], error], *USUAL, "--artifacts", str(tmp_path)))
    run = RunFolder.open(tmp_path / "run-001")
    assert run.read_json("status")["status"] == "failed"
    assert run.read_json("status")["reason"].startswith(reason)
    assert set(run.history()["round"]) == {0, 1}
    assert run.read_json("training_history") == rows(WHOLE[:1])
    assert f"--resume {run.path}" in capsys.readouterr().out


def test_a_run_without_a_completed_round_is_not_said_to_have_one(
    scripted: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for parts, advice in (
        ([RunFailed("cut off")], "To begin anew in it, as no round counts: python job.py --resume "),
        ([record(0, 0.1, failed=True), RunFailed("cut off")], "To begin anew in it, as no round counts: "),
        ([record(0, 0.1), RunFailed("cut off")], "To go on after its last completed round: python job.py --resume "),
    ):
        with pytest.raises(RunFailed):
            check_and_run(scripted(parts, *USUAL, "--artifacts", str(tmp_path)))
        assert advice in capsys.readouterr().out


def test_what_a_run_kept_to_go_on_with_stays_until_it_is_finished(scripted: Scripted, tmp_path: Path) -> None:
    with pytest.raises(RunFailed):
        check_and_run(scripted([WHOLE[0], RunFailed("cut off")], *USUAL, "--artifacts", str(tmp_path)))
    run = RunFolder.open(tmp_path / "run-001")
    kept = keep(run, scripted([])).values()
    again = [{**WHOLE[0], "earlier": True}, *WHOLE[1:]]
    check_and_run(scripted(again, *USUAL, "--artifacts", str(tmp_path)), run)
    assert not any(path.exists() for path in kept)
    assert run.status == "finished"
    assert run.records() == again
    assert {path.name for path in run.path.glob("training*.log")} == {LOG, "training-1.log"}
    assert len(run.read_json("environment")["earlier"]) == 1
    assert [path.name for path in tmp_path.glob("run-*")] == ["run-001"]


def test_what_speaks_against_a_run_is_said_before_it_has_a_folder(
    scripted: Scripted, phantom: Path, tmp_path: Path
) -> None:
    one = str(phantom / "datalist" / "site-1.json")
    with pytest.raises(InputError, match="give a folder"):
        check_and_run(scripted(WHOLE, "--datalist_json_path", one, "--artifacts", str(tmp_path)))
    assert not list(tmp_path.glob("run-*"))
