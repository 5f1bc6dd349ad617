"""The five published command lines, with fewer rounds, on phantoms in a folder with a space in its name.

They run in a pool; that the simulator, in which they run as they stand, ends with the same bits is tested there. Where
nothing hangs on it, two sites run instead of the line's four.
"""

import math
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fedmed.analysis.evaluation.case_scoring import score
from fedmed.analysis.evaluation.evaluation_cases import validation_cases
from fedmed.analysis.evaluation.trained_model import open_model
from fedmed.command_line import read_experiment
from fedmed.core.cli import run_script
from fedmed.core.names import LEDGER
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.data.prepared.cache import Caching
from fedmed.privacy.ledger import read_ledger
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.training_curves import weighted_mean
from model import BratsSegResNet
from result_stat import report
from tests.federations import here
from tests.federations.here import Ended

Runs = Mapping[str, Ended]

LINES = {
    "central": "--n_clients 1 --num_rounds 1 --gpu 0",
    "four_gpus": "--n_clients 4 --num_rounds 2 --gpu 0,1,2,3",
    "one_gpu": "--n_clients 4 --num_rounds 2 --gpu 0 --threads 4",
    "private": "--n_clients 4 --num_rounds 1 --gpu 0 --threads 4 --enable_dp "
    "--dp_epsilon 0.01 --dp_fraction 0.8 --dp_noise_var 0.5 --dp_gamma 1e-4",
    "custom": "--n_clients 4 --num_rounds 1 --learning_rate 5e-5 --aggregation_epochs 2 --cache_dataset 0.5 "
    "--fedproxloss_mu 0.01 --job_name my_experiment",
}


TWO_SITES = ("--n_clients", 2)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a space in its name that holds a phantom federation."""
    place = tmp_path_factory.mktemp("a place")
    make_phantom(place / "data set", place / "data lists", sites=4, cases=2, validation=2, size=(32, 32, 32))
    return place


@pytest.fixture(scope="module")
def runs(place: Path) -> Runs:
    """Every published line, run once; the tests look at what they left."""
    data = ["--dataset_base_dir", place / "data set", "--datalist_json_path", place / "data lists"]
    more: dict[str, list[object]] = {
        "custom": [*TWO_SITES],
        "private": [*TWO_SITES],
        "one_gpu": ["--validation", "every"],
    }

    def run(name: str) -> Ended:
        line = re.sub(r" --threads \d", "", LINES[name])  # of the simulator
        return here.run(place / name, *shlex.split(line), *data, *more.get(name, []), "--env", "pool")

    return {name: run(name) for name in LINES}


def folder(place: Path, line: str, name: str = "run-001") -> RunFolder:
    return RunFolder.open(place / line / name)


def weights(run: RunFolder, which: str) -> dict[str, torch.Tensor]:
    return torch.load(run.path / f"{which}_global_model.pt", weights_only=True)["model"]


@pytest.mark.parametrize("line", LINES)
def test_the_line_itself_is_an_experiment(line: str) -> None:
    experiment = read_experiment(shlex.split(LINES[line]))
    assert experiment.training.n_clients == (1 if line == "central" else 4)


@pytest.mark.parametrize("line", LINES)
def test_it_ends_well_with_both_models(runs: Runs, place: Path, line: str) -> None:
    assert runs[line].code == 0, runs[line].shown + runs[line].error
    run = folder(place, line, "my_experiment-001" if line == "custom" else "run-001")
    assert run.read_json("status")["status"] == "finished"
    for which in ("best", "last"):
        BratsSegResNet().load_state_dict(weights(run, which))
    for name in ("curves.png", "summary.txt", "environment.json", "dataset_stats.json", "label_map.json"):
        assert (run.path / name).stat().st_size > 0


@pytest.mark.parametrize("line", LINES)
def test_one_line_a_round_and_one_for_the_final_model(runs: Runs, line: str) -> None:
    output = runs[line].shown.splitlines()
    rounds = int(LINES[line].split("--num_rounds ")[1].split()[0])
    assert [text.split()[1] for text in output if text.startswith("round ")] == [
        f"{i + 1}/{rounds}" for i in range(rounds)
    ]
    assert all(word in text for text in output if text.startswith("round ") for word in ("loss", "TC", "WT", "ET"))
    assert sum(text.startswith("final model") for text in output) == 1
    assert not any("INFO" in text for text in output)


def test_without_a_gpu_the_sites_run_on_the_cpu_and_say_so(runs: Runs) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert "this machine has no GPU" in runs["four_gpus"].shown


def test_one_client_trains_on_everything(runs: Runs, place: Path) -> None:
    stats = folder(place, "central").read_json("dataset_stats")
    assert list(stats) == ["site-All"]
    assert stats["site-All"]["training"] == 8


def test_a_run_of_one_round_chooses_its_only_trained_model(runs: Runs, place: Path) -> None:
    run = folder(place, "central")
    best, last = weights(run, "best"), weights(run, "last")
    assert all(torch.equal(best[name], last[name]) for name in last)
    torch.manual_seed(0)
    assert any(not torch.equal(value, last[name]) for name, value in BratsSegResNet().state_dict().items())


def test_same_seed_same_global_weights(runs: Runs, place: Path) -> None:
    """Two runs whose sites report in another order, and score other cases, end with the same bits."""
    one, other = weights(folder(place, "four_gpus"), "last"), weights(folder(place, "one_gpu"), "last")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_scoring_each_shared_case_once_gives_the_mean_of_scoring_all_at_every_site(runs: Runs, place: Path) -> None:
    split, every = folder(place, "four_gpus").history(), folder(place, "one_gpu").history()
    assert split.groupby("round")["val_cases"].sum().tolist() == [2, 2, 2]
    assert every.groupby("round")["val_cases"].sum().tolist() == [8, 8, 8]
    for metric in ("val_dice", "val_dice_tc", "val_dice_wt", "val_challenge_dice"):
        one, other = weighted_mean(split, metric), weighted_mean(every, metric)
        assert one.to_numpy() == pytest.approx(other.to_numpy(), abs=1e-9)
    assert "its share" in runs["four_gpus"].shown
    assert "its share" not in runs["one_gpu"].shown


def test_the_reported_dice_is_that_of_the_saved_models(runs: Runs, place: Path) -> None:
    run = folder(place, "four_gpus")
    experiment = run.experiment()
    listed = validation_cases(experiment)
    by_round = weighted_mean(run.history(), "val_dice")
    for which, reported in (("last", by_round.loc[2]), ("best", by_round.loc[1:].max())):
        rows = score(open_model(run.path, which), listed.cases, listed.label_scheme, Caching())
        assert experiment.task.metrics(rows)["val_dice"] == pytest.approx(reported, abs=1e-5)


def test_the_history_holds_every_site_and_round(runs: Runs, place: Path) -> None:
    history = folder(place, "four_gpus").history()
    assert sorted(zip(history["round"], history["site"], strict=True)) == [
        (done, f"site-{site}") for done in range(3) for site in range(1, 5)
    ]
    assert history.query("round > 0")["train_loss"].between(0, 1).all()
    assert history["val_dice"].dropna().between(0, 1).all()


def test_tensorboard_scores_stand_at_rounds_and_losses_at_steps(runs: Runs, place: Path) -> None:
    events = EventAccumulator(str(folder(place, "four_gpus").path / "tb_events" / "site-2"))
    events.Reload()
    assert [event.step for event in events.Scalars("val_dice")] == [0, 1, 2]
    assert [event.step for event in events.Scalars("train_loss")] == [2, 4]  # two cases, one epoch a round


def test_the_filter_ran_and_the_summary_does_not_flatter_it(runs: Runs, place: Path) -> None:
    run = folder(place, "private")
    torch.manual_seed(0)
    first = BratsSegResNet().state_dict()
    moved = torch.cat([(value - first[name]).flatten() for name, value in weights(run, "last").items()])
    shares = [entry.facts["released_share"] for entry in read_ledger(run.path / LEDGER).entries]
    assert len(shares) == (sites := 2)
    assert shares == pytest.approx([1 - math.exp(-0.8)] * sites, abs=0.04)  # .8 n values drawn with replacement
    missed_by_all = math.prod(1 - share for share in shares)  # such a value stays where it was
    assert (moved != 0).float().mean().item() == pytest.approx(1 - missed_by_all, abs=0.005)
    steps, gamma, noise_var = 2, 1e-4, 0.5
    laplace = 2 * gamma / noise_var * steps  # scale of the noise on a value that a site sends
    assert moved.abs().max() > steps * gamma  # an update without noise is clipped to this
    assert moved.std() == pytest.approx(math.sqrt(2 * 0.55 / sites) * laplace, rel=0.2)  # mean of the sites
    assert "no meaningful differential-privacy guarantee" in runs["private"].shown


def test_options_reach_the_sites(runs: Runs, place: Path) -> None:
    run = folder(place, "custom", "my_experiment-001")
    assert run.experiment().algorithm.name == "fedprox"
    assert run.history().query("round == 1")["val_cases"].sum() == 2
    events = EventAccumulator(str(run.path / "tb_events" / "site-1"))
    events.Reload()
    assert sorted(event.step for event in events.Scalars("train_loss")) == [2, 4]  # two epochs of two cases


def test_the_history_csv_equals_the_json(runs: Runs, place: Path) -> None:
    run = folder(place, "four_gpus")
    csv = pd.read_csv(run.path / "training_history.csv")
    pd.testing.assert_frame_equal(csv, run.history(), check_dtype=False)


def test_a_run_is_reported_on_one_page_without_a_network(runs: Runs, place: Path) -> None:
    run = folder(place, "private")
    assert run_script(report.main, [str(run.path)]) == 0
    page = (run.path / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]{1,30})', page)
    assert sources
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    for words in ("Scores", "lesion-wise HD95", "worst: ", "heuristic", "synthetic phantoms", "learning_rate"):
        assert words in page, words
    assert run_script(report.main, [str(run.path)]) == 2  # it is kept
    shutil.move(place / "data set", place / "gone")
    try:
        assert run_script(report.main, [str(run.path), "--force"]) == 0  # scored before, but no pictures
    finally:
        shutil.move(place / "gone", place / "data set")
    assert "worst: " not in (run.path / "report.html").read_text(encoding="utf-8")
