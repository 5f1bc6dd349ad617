"""Weights: written whole or not at all, so that they are read again; their norm and their bytes."""

import errno
import multiprocessing
import os
import resource
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmed.core.errors import InputError
from fedmed.core.weights import l2_norm, load_weights, payload, save_weights, write_tensors


def test_what_was_written_is_read_without_executing_anything(tmp_path: Path) -> None:
    content = {"w": torch.randn(3, 4), "steps": 7, "nested": {"best": -float("inf"), "none": None}}
    write_tensors(tmp_path / "a.pt", content)
    found = torch.load(tmp_path / "a.pt", weights_only=True)
    assert torch.equal(found["w"], content["w"])  # type: ignore[arg-type]
    assert (found["steps"], found["nested"]) == (7, content["nested"])
    assert os.listdir(tmp_path) == ["a.pt"]


def on_a_full_disk(path: Path, answer: "Queue[int | None]") -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        write_tensors(path, {"w": torch.zeros(5000)})
        answer.put(None)
    except OSError as error:
        answer.put(error.errno)


def test_on_a_full_disk_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    write_tensors(path, {"w": torch.ones(2)})
    fork = multiprocessing.get_context("fork")
    answer = fork.Queue()
    process = fork.Process(target=on_a_full_disk, args=(path, answer))
    process.start()
    assert answer.get(timeout=60) == errno.EFBIG
    process.join()
    assert torch.equal(torch.load(path, weights_only=True)["w"], torch.ones(2))
    assert os.listdir(tmp_path) == ["a.pt"]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        write_tensors(tmp_path / "gone" / "a.pt", {})


@pytest.mark.parametrize("foreign", [np.ones(3), np.float64(3), Path("x"), torch.nn.Linear(1, 1)])
@pytest.mark.parametrize("nested", [False, True])
def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, foreign: object, nested: bool) -> None:
    """A state that is silently lost with the process would change the numbers of a run that goes on."""
    content = {"state": {"all": [1, (foreign,)]}} if nested else {"state": foreign}
    with pytest.raises(TypeError, match=r"a\.pt would hold .*; expected tensors, numbers"):
        write_tensors(tmp_path / "a.pt", content)
    assert os.listdir(tmp_path) == []


def test_weights_are_read_in_every_form_that_a_run_or_flare_leaves(tmp_path: Path) -> None:
    weights = {"w": torch.arange(3.0), "n": torch.tensor(7)}
    save_weights(weights, tmp_path / "own.pt")
    torch.save(weights, tmp_path / "plain.pt")
    for name in ("own.pt", "plain.pt"):
        found = load_weights(tmp_path / name)
        assert all(torch.equal(found[each], weights[each]) for each in weights)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_file_without_weights_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.pt"
    torch.save({}, path) if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pt holds no weights"):
        load_weights(path)


def test_the_payload_is_that_of_the_arrays() -> None:
    assert payload({"w": np.zeros((2, 3), np.float32), "b": np.zeros(5, np.float64), "n": np.int64(3)}) == 24 + 40 + 8
    assert payload({}) == payload(None) == 0


def test_the_norm_is_that_of_all_values_together() -> None:
    assert l2_norm({"w": np.array([[3.0, 0.0], [0.0, 0.0]]), "b": np.float32(4.0)}) == 5.0
    assert l2_norm({"w": np.zeros(3)}) == l2_norm({}) == 0.0
    large = l2_norm({"w": np.full(4, 3e38, np.float32)})  # its square is infinite in single precision
    assert large == pytest.approx(6e38)
