"""The run folder: numbered, never overwritten, and weights that open without running anything."""

import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from fedmed.core.errors import InputError
from fedmed.core.names import BEST, LAST, RECORDS, SITES
from fedmed.core.weights import load_weights, save_weights
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder

WEIGHTS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.tensor([1.5, -2.5])}

RECORD = {
    "round": 0,
    "seconds": 2.5,
    "best": False,
    "sites": {"site-1": {"val_dice": 0.25, "train_loss": 0.125}},
    "refused": {"site-1": 'it said "no", twice'},
}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_folders_are_numbered_from_1(tmp_path: Path) -> None:
    assert [RunFolder.create(tmp_path / "runs", "run").name for _ in range(3)] == ["run-001", "run-002", "run-003"]


def test_a_gap_is_not_filled_and_a_file_counts_too(tmp_path: Path) -> None:
    (tmp_path / "run-002").mkdir()
    (tmp_path / "run-007").touch()
    assert RunFolder.create(tmp_path, "run").name == "run-008"


def test_numbers_go_on_beyond_three_digits(tmp_path: Path) -> None:
    (tmp_path / "run-999").mkdir()
    assert [RunFolder.create(tmp_path, "run").name for _ in range(2)] == ["run-1000", "run-1001"]


def test_a_name_that_begins_like_another_counts_by_itself(tmp_path: Path) -> None:
    for used in ("run-b-004", "run-005-006", "xrun-009", "run-", "run-5x"):
        (tmp_path / used).mkdir()
    assert RunFolder.create(tmp_path, "run").name == "run-001"
    assert RunFolder.create(tmp_path, "run-b").name == "run-b-005"
    assert RunFolder.create(tmp_path, "run-005").name == "run-005-007"
    assert RunFolder.create(tmp_path, "r.n").name == "r.n-001"


def test_folders_made_at_once_are_different(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: RunFolder.create(tmp_path, "run").name, range(40)))
    assert sorted(names) == [f"run-{n:03d}" for n in range(1, 41)]


def test_a_place_where_no_folder_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=str(tmp_path / "file")):
        RunFolder.create(tmp_path / "file", "run")


def test_a_folder_without_an_experiment_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"experiment\.json"):
        RunFolder.open(tmp_path)


def test_runs_of_one_name_are_told_apart_by_the_folders_above() -> None:
    paths = [Path(path) for path in ("/a/one/events", "/b/one/events", "/b/two/events", "/b/two/run-001")]
    assert RunFolder.labels(paths) == ["a/one/events", "b/one/events", "two/events", "run-001"]


def test_the_experiment_is_read_as_it_was_written(tmp_path: Path, small_experiment: Callable[..., Experiment]) -> None:
    folder = RunFolder.create(tmp_path, "run")
    experiment = small_experiment("--enable_dp", "--seed", "5")
    folder.write_experiment(experiment)
    again = RunFolder.open(folder.path).experiment()
    assert again.to_json() == experiment.to_json()
    assert again.privacy == experiment.privacy


def test_the_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "run")
    rows = [
        {"round": 0, "site": "site-1", "val_dice": 0.25},
        {"round": 1, "site": "site-1", "train_loss": 0.125, "round_seconds": 2.5, "refused": 'it said "no", twice'},
    ]
    folder.add_record(RECORD)
    folder.write_history()
    assert json.loads((folder.path / "training_history.json").read_text()) == rows
    pd.testing.assert_frame_equal(folder.history(), pd.DataFrame(rows))
    pd.testing.assert_frame_equal(pd.read_csv(folder.path / "training_history.csv"), pd.DataFrame(rows))


def test_epochs_are_in_the_json_and_a_table_of_their_own_and_in_no_column(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "run")
    folder.add_record({**RECORD, "epochs": {"site-1": [{"train_loss": 0.5}, {"train_loss": 0.125, "val_dice": 0.5}]}})
    folder.write_history()
    written = json.loads((folder.path / "training_history.json").read_text())
    epochs = [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.125, "val_dice": 0.5}]
    assert written[1]["epochs"] == epochs
    assert "epochs" not in folder.history()
    assert "epochs" not in (folder.path / "training_history.csv").read_text()
    flat = [{"round": 1, "site": "site-1", **epoch} for epoch in epochs]
    pd.testing.assert_frame_equal(folder.epochs(), pd.DataFrame(flat))
    (folder.path / RECORDS).unlink()  # as in a folder of which only the history was copied
    pd.testing.assert_frame_equal(folder.epochs(), pd.DataFrame(flat))


def test_a_run_that_goes_on_has_a_history_and_that_of_a_part_that_is_over_is_not_taken_for_it(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "run")
    with pytest.raises(InputError, match=r"training_history\.json cannot be read"):
        folder.history()
    folder.begin_records()
    folder.add_record(RECORD)
    assert list(folder.history()["round"]) == [0, 1]
    folder.write_history()  # this part was cut off
    folder.begin_records()
    for number in range(3):
        folder.add_record({**RECORD, "round": number, "refused": {}})
    with (folder.path / RECORDS).open("a") as file:
        file.write('{"round": 3, ')  # is being written
    assert list(folder.history()["round"]) == [0, 1, 2, 3]


def test_a_run_of_an_earlier_version_without_records_has_its_history(tmp_path: Path) -> None:
    rows = [{"round": 0, "site": "site-1", "val_dice": 0.25}, {"round": 1, "site": "site-1", "val_dice": 0.5}]
    folder = RunFolder.create(tmp_path, "run")
    folder.write_json("training_history", rows)
    assert folder.records() == []
    pd.testing.assert_frame_equal(folder.history(), pd.DataFrame(rows))


@pytest.mark.parametrize("line", ["{", "[1]", "null", '{"round": 0}'])
def test_records_of_another_form_are_refused_by_name(tmp_path: Path, line: str) -> None:
    folder = RunFolder.create(tmp_path, "run")
    (folder.path / RECORDS).write_text(f"{line}\n")
    with pytest.raises(InputError, match=rf"{folder.path / RECORDS} (cannot be read|is not as a run leaves it)"):
        folder.history()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "run")
    folder.write_status("running")
    with pytest.raises(TypeError):
        folder.write_json("status", {"status": object()})
    assert folder.read_json("status") == {"status": "running", "reason": ""}
    folder.write_status("failed", "site-2 died")
    assert folder.read_json("status") == {"status": "failed", "reason": "site-2 died"}
    assert [path.name for path in folder.path.iterdir()] == ["status.json"]


@pytest.mark.parametrize("content", [None, "", "{"])
def test_a_document_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "label_map.json").write_text(content)
    with pytest.raises(InputError, match=str(tmp_path / "label_map.json")):
        RunFolder(tmp_path).read_json("label_map")


def test_saved_weights_open_safely_under_the_key_model(tmp_path: Path) -> None:
    save_weights(WEIGHTS, tmp_path / "w.pt")
    content = torch.load(tmp_path / "w.pt", weights_only=True)
    assert list(content) == ["model"]
    assert equal(content["model"], WEIGHTS)
    assert [path.name for path in tmp_path.iterdir()] == ["w.pt"]


@pytest.mark.parametrize(
    "content",
    [
        {"model": WEIGHTS},
        {"model": WEIGHTS, "meta_props": {"current_round": 3}, "train_conf": {"train": {"model": "Net"}}},
        WEIGHTS,
    ],
    ids=["ours", "FLARE", "plain"],
)
def test_weights_are_read_in_all_three_forms(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pt")
    assert equal(load_weights(tmp_path / "w.pt"), WEIGHTS)


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "w.pt"
    for save in (torch.save, lambda content, where: where.write_bytes(pickle.dumps(content))):
        save({"model": WEIGHTS, "trap": Trap(mark)}, path)
        with pytest.raises(InputError, match=str(path)):
            load_weights(path)
        assert not mark.exists()
    torch.save({"trap": Trap(mark)}, path)
    torch.load(path, weights_only=False)  # the trap works
    assert mark.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"{}", pickle.dumps([1, 2]), b"PK\x03\x04 and nothing"], ids=repr)
def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=str(path)):
        load_weights(path)


@pytest.mark.parametrize("content", [{}, {"model": {}}, {"lr": "fast"}, [1.0], {"a": {"b": torch.ones(1)}}], ids=repr)
def test_a_checkpoint_without_weights_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(InputError):
        load_weights(tmp_path / "w.pt")


def test_a_truncated_or_absent_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    save_weights(WEIGHTS, tmp_path / "w.pt")
    whole = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    for name in ("half.pt", "none.pt"):
        with pytest.raises(InputError, match=name):
            load_weights(tmp_path / name)


def test_models_and_events_are_collected_from_the_servers_folder(tmp_path: Path) -> None:
    server, folder = tmp_path / "server", RunFolder.create(tmp_path, "run")
    (server / "app_server").mkdir(parents=True)
    (server / "tb_events" / "site-1").mkdir(parents=True)
    (server / "tb_events" / "site-1" / "events.1").write_bytes(b"event")
    last = {name: values + 1 for name, values in WEIGHTS.items()}
    theirs = {"meta_props": {}, "train_conf": {"train": {"model": "Net"}}}
    torch.save({"model": WEIGHTS, **theirs}, server / "app_server" / "best_FL_global_model.pt")
    torch.save({"model": last, **theirs}, server / "app_server" / "FL_global_model.pt")
    folder.collect(server)
    assert equal(load_weights(folder.path / BEST), WEIGHTS)
    assert equal(load_weights(folder.path / LAST), last)
    assert list(torch.load(folder.path / BEST, weights_only=True)) == ["model"]
    assert (folder.path / "tb_events" / "site-1" / "events.1").read_bytes() == b"event"


def test_without_a_global_model_the_servers_models_are_no_result(tmp_path: Path) -> None:
    server, folder = tmp_path / "server", RunFolder.create(tmp_path, "run")
    (server / "app_server").mkdir(parents=True)
    torch.save({"model": WEIGHTS}, server / "app_server" / "FL_global_model.pt")
    folder.collect(server, global_model=False)
    assert list(folder.path.iterdir()) == []


def test_cross_site_scores_are_collected_where_there_are_any(tmp_path: Path) -> None:
    folder, found = RunFolder.create(tmp_path, "run"), tmp_path / "server" / "cross_site_val" / "cross_val_results.json"
    found.parent.mkdir(parents=True)
    found.write_text("{}")  # FLARE writes it in every run
    folder.collect(tmp_path / "server")
    assert list(folder.path.iterdir()) == []
    found.write_text('{"site-1": {"site-2": {"val_dice": 0.5}}}')
    folder.collect(tmp_path / "server")
    assert folder.read_json("cross_site") == {"site-1": {"site-2": {"val_dice": 0.5}}}


def test_a_run_that_failed_early_has_nothing_to_collect(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, "run")
    folder.collect(tmp_path / "nowhere")
    assert list(folder.path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("status", [1, 2]),
        ("status", {"a": 1}),
        ("status", None),
        ("environment", {"a": 1}),
        ("dataset_stats", {"site-1": 3}),
        ("dataset_splits", {"site-1": {"training": []}}),
        ("dataset_overlap", []),
        ("training_history", [1, 2]),
        ("training_history", {"a": 1}),
    ],
)
def test_a_file_of_another_form_is_told_of(tmp_path: Path, name: str, content: object) -> None:
    run = RunFolder(tmp_path)
    run.write_json(name, content)
    with pytest.raises(InputError, match=rf"{name}\.json is not as a run leaves it"):
        run.read_json(name)


def test_when_a_run_is_over_what_it_kept_to_go_on_with_goes_and_nothing_else(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "run")
    ours = ("server/checkpoint.json", "server/after-3.pt", "site-1/state/after-3.pt", "site-2/state/.half.part")
    for name in (*ours, "site-1/best_local_model.pt", "site-3/privacy_ledger.json"):
        (run.path / SITES / name).parent.mkdir(parents=True, exist_ok=True)
        (run.path / SITES / name).touch()
    run.forget_states()
    left = {path.relative_to(run.path / SITES).as_posix() for path in (run.path / SITES).rglob("*")}
    assert left == {"site-1", "site-1/best_local_model.pt", "site-3", "site-3/privacy_ledger.json"}
    run.forget_states()
    for name in sorted(left, reverse=True):
        path = run.path / SITES / name
        path.rmdir() if path.is_dir() else path.unlink()
    run.forget_states()
    assert list(run.path.iterdir()) == []
