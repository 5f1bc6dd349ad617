"""An unfinished run goes on as it began, but for where it runs; whatever decides the numbers is refused by name."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import job
from fedmed.command_line import read_command, read_experiment
from fedmed.core import locks, machine
from fedmed.core.cli import run_script
from fedmed.core.errors import InputError
from fedmed.core.options import option_names
from fedmed.environments.sim import Sim
from fedmed.experiment import Experiment
from fedmed.runs.preflight import checked, splits_of
from fedmed.runs.resuming import BEGAN_WITH, MAY_CHANGE, deciding, resumed
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.single_run import check_and_run

Make = Callable[..., RunFolder]


@pytest.fixture
def begun(tmp_path: Path, small_experiment: Callable[..., Experiment]) -> Make:
    """Makes the folder of a run that was begun with these arguments."""

    def make(*arguments: str, status: str = "failed", experiment: Experiment | None = None) -> RunFolder:
        folder = RunFolder.create(tmp_path / "runs", "run")
        folder.write_experiment(experiment or small_experiment(*arguments))
        folder.write_status(status)
        return folder

    return make


def read(folder: RunFolder, line: str = "") -> Experiment:
    return read_command(["--resume", str(folder.path), *shlex.split(line)])[0]


@pytest.mark.parametrize("arguments", [(), ("--enable_dp", "--seed", "7", "--precision", "fp32"), ("--threads", "2")])
@pytest.mark.parametrize("status", ["failed", "running"])
def test_without_further_options_it_goes_on_as_it_began(
    begun: Make, small_experiment: Callable[..., Experiment], arguments: tuple[str, ...], status: str
) -> None:
    folder = begun(*arguments, status=status)
    experiment = read(folder)
    assert experiment.to_json() == small_experiment(*arguments).to_json()
    assert experiment.artifacts == folder.path.parent


def test_the_command_line_says_which_run(begun: Make) -> None:
    folder = begun()
    assert read_command(["--resume", str(folder.path)])[1].resume == folder.path


def test_a_finished_run_is_not_resumed(begun: Make) -> None:
    folder = begun(status="finished")
    with pytest.raises(InputError, match=f"{folder.path} is finished.*start a new run"):
        read(folder)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"experiment\.json"):
        resumed(tmp_path, {})


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("--num_rounds 5", "num_rounds"),
        ("--learning_rate 1", "learning_rate"),
        ("--seed 0", "seed"),  # be it the value that it has
        ("--n_clients 2", "n_clients"),
        ("--roi_size 32 32 32", "roi_size"),
        ("--algorithm fedprox", "algorithm"),
        ("--fedproxloss_mu 1", "fedproxloss_mu"),
        ("--privacy none", "privacy"),
        ("--attack scaled --attackers site-2", "attack"),
        ("--enable_dp", "enable_dp"),
        ("--task brats18", "task"),
        ("--preset demo", "preset"),
        ("--cross_site", "cross_site"),
        ("--job_name other", "job_name"),
        ("--artifacts /elsewhere", "artifacts"),
        ("--port 4000", "port"),  # of another environment than the run's
        ("--startup_kit /kit", "startup_kit"),
    ],
)
def test_an_option_that_decides_what_is_trained_or_where_is_refused_by_name(begun: Make, line: str, name: str) -> None:
    with pytest.raises(InputError, match=f"^--{name} decides what is trained or where"):
        read(begun(), line)


def test_what_does_not_decide_the_numbers_may_change(begun: Make, tmp_path: Path) -> None:
    began = begun("--poll_s", "1", "--site_silence", "33")
    line = f"--cache_dir {tmp_path} --cpu_threads 3 --min_clients 1 --round_timeout 9 --verbose --gpu 0"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cuda.device_count", lambda: 1)
        found = read(began, line)
    assert found.data.cache_dir == tmp_path
    assert found.data.dataset_base_dir == began.experiment().data.dataset_base_dir
    assert (found.performance.cpu_threads, found.performance.poll_s) == (3, 1)
    faults = found.faults
    assert (faults.min_clients, faults.round_timeout, faults.site_silence) == (1, 9, 33)
    assert (found.environment.verbose, found.environment.gpu) == (True, "0")  # type: ignore[attr-defined]
    assert found.training == began.experiment().training


def test_a_run_of_an_earlier_version_goes_on_without_an_option_that_is_gone(begun: Make) -> None:
    folder = begun()
    document = folder.read_json("experiment")
    document["performance"]["sites_at_once"] = 1
    folder.write_json("experiment", document)
    assert read(folder).to_json() == RunFolder(begun().path).experiment().to_json()


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("training", "seed", 5),
        ("training", "num_rounds", 9),
        ("task", "roi_size", [32, 32, 32]),
        ("privacy", "name", "svt"),
    ],
)
def test_a_file_that_was_edited_since_the_run_began_is_refused_by_what_was_changed(
    begun: Make, part: str, name: str, value: object
) -> None:
    folder = begun()
    folder.write_json("environment", {**machine.describe(), BEGAN_WITH: deciding(folder.experiment())})
    assert read(folder).training == folder.experiment().training
    document = folder.read_json("experiment")
    document[part][name] = value
    document["performance"]["cpu_threads"] = 1  # which may change
    if name == "name":
        document[part] = {"name": value}
    folder.write_json("experiment", document)
    with pytest.raises(
        InputError, match=rf"experiment\.json says {name} .* for {part}, and the run began with .*restore"
    ):
        read(folder)


@pytest.mark.parametrize(
    ("part", "name", "value", "words"),
    [
        ("training", "seed", "five", 'seed is "five" in the file; expected a whole number'),
        ("training", "num_rounds", 0, "--num_rounds is 0; expected a whole number from 1 to 1000000"),
        ("training", "precision", "fp8", 'precision is "fp8" in the file; expected one of "auto", "fp32", "bf16"'),
        (
            "task",
            "roi_size",
            [32, 32],
            r"roi_size is \[32, 32\] in the file; expected a list of 3 whole numbers, or null",
        ),
        ("performance", "cache_gb", True, "cache_gb is true in the file; expected a number"),
        ("training", "lr", 1, "lr is no option of training; remove it"),
    ],
)
def test_an_error_of_the_experiment_file_names_file_and_field_in_the_users_terms(
    begun: Make, part: str, name: str, value: object, words: str
) -> None:
    folder = begun()
    document = folder.read_json("experiment")
    document[part][name] = value
    folder.write_json("experiment", document)
    with pytest.raises(InputError, match=rf"^{folder.path}/experiment\.json: {words}") as caught:
        read(folder)
    assert "class" not in str(caught.value)


def test_no_part_that_may_change_decides_what_is_trained(begun: Make) -> None:
    may = set().union(*(option_names(cls) for cls in MAY_CHANGE.values()))
    folder = begun()
    began = folder.experiment()
    for part in (began.task, began.algorithm, began.privacy, began.training):
        assert not option_names(type(part)) & may


@pytest.mark.parametrize("line", ["--min_clients 3", "--min_clients 0", "--cache_dataset 2", "--threads 3"])
def test_what_may_change_is_checked_as_ever(begun: Make, line: str) -> None:
    with pytest.raises(InputError, match=line.split()[0]):
        read(begun(), line)


def test_it_may_go_on_in_another_environment_of_this_machine(begun: Make) -> None:
    folder = begun("--verbose", "--threads", "2")
    found = read(folder, "--env poc --port 0")
    assert found.environment.name == "poc"
    assert found.environment.port == 0  # type: ignore[attr-defined]
    again = read(begun("--env", "poc"), "--env sim --threads 2")
    assert again.environment == Sim(threads=2)


@pytest.mark.parametrize("there", ["sim", "poc"])
def test_but_not_where_other_machines_have_what_it_kept(begun: Make, there: str) -> None:
    federated = read_experiment(["--env", "prod", "--startup_kit", "/kit", "--num_rounds", "2"])
    with pytest.raises(InputError, match=f"began with --env {there}, where another server"):
        read(begun("--env", there), "--env prod --startup_kit /kit")
    with pytest.raises(InputError, match=f"began with --env prod.*--env {there}; go on with --env prod"):
        read(begun(experiment=federated), f"--env {there}")


def test_in_a_federation_the_user_may_be_another_and_the_sites_data_are_their_own(begun: Make) -> None:
    folder = begun(experiment=read_experiment(["--env", "prod", "--startup_kit", "/kit", "--num_rounds", "2"]))
    found = read(folder, "--startup_kit /other")
    assert found.environment.startup_kit == Path("/other")  # type: ignore[attr-defined]
    with pytest.raises(InputError, match=r"^--dataset_base_dir decides"):
        read(folder, "--dataset_base_dir /mine")


def test_a_run_that_still_runs_is_refused_and_left_alone(
    begun: Make, small_experiment: Callable[..., Experiment], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = begun(status="running")
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    with locks.held(folder.path):
        assert run_script(job.main, ["--resume", str(folder.path)]) == 2
    assert f"{folder.path} is still running" in capsys.readouterr().err
    after = {path: path.read_bytes() for path in folder.path.iterdir() if path.name != locks.LOCK}
    assert after == before
    assert folder.status == "running"


def test_a_run_that_was_finished_while_its_data_were_audited_is_left_alone(begun: Make) -> None:
    folder = begun(status="running")
    experiment = read(folder)
    folder.write_status("finished")
    with pytest.raises(InputError, match="is finished"):
        check_and_run(experiment, folder)
    assert folder.status == "finished"


def test_a_run_is_not_resumed_on_other_cases(begun: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = begun()
    splits = {f"site-{n}": {"training": ["a"], "validation": ["b"]} for n in (1, 2)}
    folder.write_json("dataset_splits", splits)
    assert run_script(job.main, ["--resume", str(folder.path)]) == 2
    error = capsys.readouterr().err
    assert "The datalist of site-1 names other cases than when run-001 began" in error
    assert error.count("\n") == 1
    assert folder.status == "failed"


def test_the_same_cases_are_no_hindrance_nor_that_none_were_noted(begun: Make) -> None:
    folder = begun()
    experiment = folder.experiment()
    splits = splits_of(checked(experiment, folder).datalists)
    folder.write_json("dataset_splits", splits)
    assert splits_of(checked(experiment, folder).datalists) == splits
    splits["site-2"]["training"] = splits["site-2"]["training"][::-1]  # in another order it is another training
    folder.write_json("dataset_splits", splits)
    with pytest.raises(InputError, match="The datalist of site-2 names other cases"):
        checked(experiment, folder)


def test_a_run_under_attack_goes_on_under_the_same_and_on_one_machine(begun: Make) -> None:
    folder = begun("--attack", "scaled", "--attackers", "site-2")
    folder.write_json("environment", {**machine.describe(), BEGAN_WITH: deciding(folder.experiment())})
    assert read(folder, "--env pool").attack == folder.experiment().attack
    with pytest.raises(InputError, match="is for study on one machine"):
        read(folder, "--env poc")
    document = folder.read_json("experiment")
    document["attack"]["attackers"] = "site-1"
    folder.write_json("experiment", document)
    with pytest.raises(InputError, match="says attackers site-1 for attack, and the run began with site-2"):
        read(folder)


def test_faults_that_leave_a_rule_too_few_updates_are_refused(begun: Make) -> None:
    folder = begun("--algorithm", "median", "--byzantine", "0")
    assert read(folder, "--min_clients 1").faults.min_clients == 1
    folder = begun("--algorithm", "geometric_median", "--n_clients", "4")
    with pytest.raises(InputError, match="--min_clients 2 lets one count with fewer; give 3"):
        read(folder, "--min_clients 2")
