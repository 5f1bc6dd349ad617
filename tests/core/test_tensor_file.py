"""Tensors are written whole or not at all, and a full disk is told in the system's words."""

import errno
import multiprocessing
import os
import resource
from multiprocessing.queues import Queue
from pathlib import Path

import pytest
import torch

from fedmed.core.weights import write_tensors


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
