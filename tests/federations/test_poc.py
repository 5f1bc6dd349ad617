"""A proof of concept: FLARE's server and sites on this machine, which go on with a run and end with a pool's bits."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from fedmed.core.names import BEST, LAST
from fedmed.core.weights import load_weights
from tests.federations import here, launch
from tests.federations.launch import Begun
from tests.toy.toy_task import make_toy

pytestmark = pytest.mark.federation


def test_a_proof_of_concept_that_is_cut_off_goes_on_and_ends_with_a_pools_bits_without_a_process_or_a_key(
    toy_project: Path, tmp_path: Path
) -> None:
    data, run = tmp_path / "data", tmp_path / "with a blank" / "run-001"
    make_toy(data, cases=4, validation=4, noise=20.0)
    lists = ("--dataset_base_dir", data, "--datalist_json_path", data / "datalist")
    some = ("--algorithm", "partial", "--share", "layers.4,layers.8", "--private", "layers.8")
    arguments = ["--task", "toy_task", "--n_clients", 2, "--num_rounds", 8, *lists, *some]
    with Begun(run, *arguments, "--artifacts", run.parent, "--env", "poc", project=toy_project) as begun:
        begun.wait_for_a_round()
        begun.cut_off()
    with Begun(run, "--resume", run, project=toy_project) as begun:
        assert "resumed after round" in begun.end()
    assert not launch.processes_with(str(run.parent))
    pooled = here.run(tmp_path / "pool", *arguments, "--env", "pool").well()
    for name in (BEST, LAST):
        torch.testing.assert_close(load_weights(run / name), load_weights(pooled.path / name), rtol=0, atol=0)
    ours, theirs = begun.folder.history(), pooled.history()
    same = [name for name in theirs if not name.endswith("seconds")]
    pd.testing.assert_frame_equal(ours[same], theirs[same], check_exact=True)
    names = {path.name for path in pooled.path.iterdir()}
    assert names <= {path.name for path in run.iterdir()} <= names | {"training-1.log"}
    assert [path for path in run.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()] == []
    assert not list(run.rglob("after-*.pt"))
