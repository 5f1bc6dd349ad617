"""The exported job, which is all that a remote site gets."""

import contextlib
import io
import json
import multiprocessing
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path

import pytest
import torch

import job
from fedmed.command_line import read_experiment
from fedmed.core.cli import run_script
from fedmed.core.code_version import REPOSITORY
from fedmed.environments.flare.first_weights import FIRST_WEIGHTS
from fedmed.environments.flare.job_folder import EXPERIMENT, export_job
from fedmed.experiment import Experiment
from model import BratsSegResNet

SERVERS_PART, SITES_PART = "app_server", "app_site"

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path[:] = [sys.argv[1]] + [p for p in sys.path if p not in ("", sys.argv[2])]
import fedmed, model
names = [m.name for m in pkgutil.walk_packages(fedmed.__path__, "fedmed.")]
for name in names:
    module = importlib.import_module(name)
    assert module.__file__.startswith(sys.argv[1]), module.__file__
assert model.__file__.startswith(sys.argv[1])
print(len(names))
"""


@pytest.fixture
def exported(small_experiment: Callable[..., Experiment], tmp_path: Path) -> Path:
    experiment = small_experiment("--enable_dp", "--seed", "7", "--job_name", "exported")
    return export_job(experiment, tmp_path)


def custom(exported: Path) -> Path:
    return exported / SITES_PART / "custom"


def test_it_imports_whole_in_another_place(exported: Path) -> None:
    root = REPOSITORY
    arguments = [sys.executable, "-I", "-c", IMPORT_ALL, str(custom(exported)), str(root)]
    done = subprocess.run(arguments, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    everything = list((root / "src" / "fedmed").rglob("*.py"))
    assert int(done.stdout) == len(everything) - 1  # all but the package's own __init__


def test_it_carries_no_path_of_this_machine(exported: Path, phantom: Path) -> None:
    texts = [path.read_text(errors="ignore") for path in exported.rglob("*.json")]
    assert not any(str(phantom) in text or str(Path.home()) in text for text in texts)


def test_it_starts_from_weights_of_the_seed(exported: Path) -> None:
    weights = torch.load(exported / SERVERS_PART / "config" / FIRST_WEIGHTS, weights_only=True)["model"]
    torch.manual_seed(7)
    expected = BratsSegResNet().state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_job_for_installed_code_is_the_same_job_without_the_code(tmp_path: Path) -> None:
    places = {how: tmp_path / how for how in ("travels", "installed")}
    for how, place in places.items():
        place.mkdir()
        options = ["--env", "prod", "--code", how, "--n_clients", "2", "--num_rounds", "1", "--seed", "7"]
        places[how] = export_job(read_experiment(options), place)
    files = {
        how: {path.relative_to(made): path.read_bytes() for path in made.rglob("*") if path.is_file()}
        for how, made in places.items()
    }
    assert files["installed"] == {path: held for path, held in files["travels"].items() if "custom" not in path.parts}
    assert not list(places["installed"].rglob("custom"))  # even an empty one would be code to FLARE


def test_what_is_no_code_reaches_whom_it_is_for_alone(exported: Path) -> None:
    assert [path.relative_to(exported).as_posix() for path in exported.rglob(FIRST_WEIGHTS)] == [
        f"{SERVERS_PART}/config/{FIRST_WEIGHTS}"
    ]
    assert [path.relative_to(exported).as_posix() for path in exported.rglob(EXPERIMENT)] == [
        f"{SITES_PART}/config/{EXPERIMENT}"
    ]


def test_flare_changes_nothing_of_what_a_site_answers(exported: Path) -> None:
    """A site makes the difference itself, before its mechanism acts; no filter and no subtraction comes after it."""
    config = json.loads((exported / SITES_PART / "config" / "config_fed_client.json").read_text())
    assert config["task_result_filters"] == []
    assert '"DIFF"' not in json.dumps(config)


BAD = {
    "test noise outside the simulator": (
        ["--env", "poc", "--privacy", "gaussian", "--dp_noise_multiplier", "1", "--insecure_seeded_noise"],
        "take --env sim",
    ),
    "no port": (["--env", "poc", "--port", "70000"], "--port is 70000"),
    "no dataset folder": (["--dataset_base_dir", "/nowhere/at all"], "/nowhere/at all does not exist"),
    "site without a list": (["--n_clients", "3"], "site-3"),
    "crop not divisible": (["--roi_size", "30", "32", "32"], "divisible by 8"),
    "crop too large": (["--roi_size", "512", "512", "512"], "larger than every training volume"),
    "no clients": (["--n_clients", "0"], "--n_clients is 0"),
    "no rounds": (["--num_rounds", "0"], "--num_rounds is 0"),
    "learning rate": (["--learning_rate", "nan"], "--learning_rate is nan"),
    "cache share": (["--cache_dataset", "1.5"], "--cache_dataset is 1.5"),
    "cache limit": (["--cache_gb", "-1"], "--cache_gb is -1"),
    "cache folder, read-only": (
        ["--cache_dir", "/proc/fedmed/my cache"],
        "The cache folder /proc/fedmed/my cache cannot",
    ),
    "cache folder, a file": (["--cache_dir", __file__], f"The cache folder {__file__} cannot be written (File exists)"),
    "fraction": (["--enable_dp", "--dp_fraction", "1.2"], "--dp_fraction is 1.2"),
    "threads": (["--threads", "1"], "--allow_restart"),
    "gpu": (["--gpu", "first"], "--gpu is 'first'"),
    "job name": (["--job_name", "../up"], "--job_name is ../up"),
    "job name, too long": (["--job_name", "a" * 300], "at most 100"),
    "threads of a site": (["--cpu_threads", "1000"], "--cpu_threads is 1000; expected at most "),
    "batch": (["--batch_size", "3"], "--batch_size is 3; expected at most 2, the training cases of the largest site"),
    "artifacts, a file": (["--artifacts", __file__], f"--artifacts {__file__} cannot be made: {__file__} is a file"),
    "artifacts in a file": (["--artifacts", f"{__file__}/x"], f"cannot be made: {__file__} is a file"),
    "artifacts, read-only": (["--artifacts", "/proc/x"], "--artifacts /proc/x cannot be written"),
    "workspace, read-only": (["--workspace", "/proc/x"], "--workspace /proc/x cannot be written"),
    "workspace in a file": (["--workspace", f"{__file__}/x"], f"cannot be made: {__file__} is a file"),
    "workspace of a proof of concept": (["--env", "poc", "--workspace", "/etc/passwd"], "is a file; give a folder"),
    "more GPUs than sites": (["--gpu", "0,0,0"], "--gpu names 3 GPUs for 2 sites"),
    "a long name": (["--site_names", f"{'a' * 65},b"], "up to 64 letters"),
    "unknown option": (["--n_client", "2"], "--n_client"),
}


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_bad_input_ends_with_one_sentence_and_code_2(
    arguments: list[str], words: str, phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = ["--n_clients", "2", "--num_rounds", "1", "--artifacts", str(tmp_path / "artifacts")]
    usual += ["--dataset_base_dir", str(phantom), "--datalist_json_path", str(phantom / "datalist")]
    assert run_script(job.main, [*usual, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1
    assert not list((tmp_path / "artifacts").glob("run-*"))  # nothing was started


@pytest.mark.parametrize("folder", [None, "training/HGG"], ids=["no folder", "an empty one"])
def test_published_lists_without_their_data_end_with_where_to_get_them(
    folder: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dataset folder lies, as the project's own does, beside a prepare.py and its page."""
    (tmp_path / "prepare.py").touch()
    if folder:
        (tmp_path / "dataset" / folder).mkdir(parents=True)
    lists = REPOSITORY / "dataset_brats18" / "datalist"
    data = ["--dataset_base_dir", str(tmp_path / "dataset"), "--datalist_json_path", str(lists)]
    assert run_script(job.main, ["--n_clients", "4", "--num_rounds", "600", "--gpu", "0", "--threads", "4", *data]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert ("holds none of the 103 cases" if folder else "does not exist") in shown.err
    assert f"put the data there, as {tmp_path / 'README.md'} says" in shown.err
    assert "audited" not in shown.out


def without_disk(arguments: list[str], answer: "Queue[tuple[int, str]]") -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file can grow, as on a full disk
    with contextlib.redirect_stderr(io.StringIO()) as error, contextlib.redirect_stdout(io.StringIO()):
        answer.put((run_script(job.main, arguments), error.getvalue()))


def test_a_full_disk_is_refused_before_anything_starts(phantom: Path, tmp_path: Path) -> None:
    arguments = ["--dataset_base_dir", str(phantom), "--datalist_json_path", str(phantom / "datalist")]
    arguments += ["--n_clients", "2", "--artifacts", str(tmp_path)]
    fork = multiprocessing.get_context("fork")
    answer = fork.Queue()
    process = fork.Process(target=without_disk, args=(arguments, answer))
    process.start()
    code, error = answer.get(timeout=60)
    process.join()
    assert code == 2
    assert error.count("\n") == 1
    assert all(words in error for words in (str(tmp_path / "cache"), "--cache_dir", "--cache_gb 0"))
    assert list(tmp_path.rglob("*")) == [tmp_path / "cache"]


def test_the_sites_part_is_small_and_the_servers_has_the_weights(exported: Path) -> None:
    """FLARE 2.9 sends it in one message, of which a site takes 4 MiB by http."""
    archive = shutil.make_archive(str(exported.parent / "part"), "zip", exported / SITES_PART)
    assert Path(archive).stat().st_size < 2 * 2**20
    assert not list((exported / SITES_PART).rglob("*.pt"))
    assert not (exported / SITES_PART / "config" / "config_fed_server.json").exists()


def test_a_job_is_for_its_own_sites(small_experiment: Callable[..., Experiment], tmp_path: Path) -> None:
    experiment = small_experiment("--site_names", "a,b")
    meta = json.loads((export_job(experiment, tmp_path) / "meta.json").read_text())
    assert meta["deploy_map"] == {SERVERS_PART: ["server"], SITES_PART: ["a", "b"]}
    assert meta["mandatory_clients"] == ["a", "b"]


def test_an_exported_job_is_written_once_and_over_another_only_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "job"
    assert run_script(job.main, ["--export", str(target), "--site_names", "a,b"]) == 0
    assert json.loads((target / "meta.json").read_text())["min_clients"] == 2
    assert run_script(job.main, ["--export", str(target)]) == 2
    assert "--force" in capsys.readouterr().err
    assert run_script(job.main, ["--export", str(target), "--n_clients", "3", "--force"]) == 0
    assert json.loads((target / "meta.json").read_text())["min_clients"] == 3
    (tmp_path / "mine").mkdir()
    assert run_script(job.main, ["--export", str(tmp_path / "mine"), "--force"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job", "mine"]


def test_the_command_line_keeps_its_export_from_flare(tmp_path: Path) -> None:
    """FLARE takes --export out of sys.argv when it is imported."""
    command = [sys.executable, job.__file__, "--export", str(tmp_path / "job"), "--env", "sim"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--env sim runs one here" in done.stderr
