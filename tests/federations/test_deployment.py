"""A provisioned federation on this machine, over TLS: what it comes to is what the simulator does, and what stays.

The second one's sites take no code from jobs; they and the server have it installed, each in a folder of its own.
"""

import contextlib
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import torch

import job
from fedmed.core.cli import run_script
from fedmed.core.code_version import OTHER_CODE
from fedmed.core.names import BEST, LAST
from fedmed.environments.flare.admin_session import admin_session
from fedmed.environments.flare.federation_project import Federation
from fedmed.environments.flare.local_federation import free_port, running
from fedmed.environments.flare.provisioning import provision
from fedmed.environments.flare.startup_kit import user_kit
from fedmed.environments.plain_paths import scratch_folder
from fedmed.runs.run_folder import RunFolder
from tests.federations import launch

pytestmark = pytest.mark.federation

SITES = ("hospital-a", "hospital-b")
LEAD, MEMBER = "lead@fedmed.org", "member@fedmed.org"
JOB = ("--site_names", ",".join(SITES), "--num_rounds", 1, "--learning_rate", 1e-3, "--seed", 3)
KEY = "k" * 40


class Deployment(NamedTuple):
    """A federation that runs, and the folder that everything of it lies in."""

    place: Path
    kits: dict[str, Path]
    data: dict[str, Path]  # each site's own

    def code(self, name: str) -> Path:
        """Where the server or a site has its own copy of the code."""
        return self.place / f"code of {name}"

    def secrets(self) -> list[str]:
        """What must not leave the sites: names of cases, and where they lie."""
        lists = [json.loads((path / "datalist" / f"{site}.json").read_text()) for site, path in self.data.items()]
        files = [name for each in lists for split in ("training", "validation") for case in each[split]
                 for name in case["image"]]  # fmt: skip
        return [*{Path(name).parent.name for name in files}, *(str(path) for path in self.data.values())]

    def server_side(self) -> list[Path]:
        """All files at the server and with its users, and of the runs that were followed from there."""
        folders = [self.kits["localhost"], self.kits[LEAD], self.place / "store", self.place / "artifacts"]
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sites' data in one folder, as the simulator has them."""
    return launch.small_data(tmp_path_factory.mktemp("phantom") / "data", *SITES)


@pytest.fixture(scope="module")
def deployment(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    federation, made = provisioned(phantom, tmp_path_factory.mktemp("federation"))
    with started(federation, made, {}):
        yield made
    assert not launch.processes_with(str(made.place))


@pytest.fixture(scope="module")
def reviewed(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    federation, made = provisioned(phantom, tmp_path_factory.mktemp("reviewed"))
    for site in SITES:
        policy = made.kits[site] / "local" / "authorization.json"
        policy.write_text(policy.read_text().replace('"byoc": "any"', '"byoc": "none"'))
    with started(federation, made, {name: installed(made.code(name)) for name in ("localhost", *SITES)}):
        yield made


def provisioned(phantom: Path, place: Path) -> tuple[Federation, Deployment]:
    data = {site: Path(shutil.copytree(phantom, place / f"confidential {site}")) for site in SITES}
    users = {LEAD: "lead", MEMBER: "member"}
    federation = Federation("localhost", free_port(), SITES, users, storage=place / "store")
    return federation, Deployment(place, provision(federation, place / "kits"), data)


@contextlib.contextmanager
def started(federation: Federation, made: Deployment, more: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Server and sites, with these variables more in the environment of each."""
    clean = launch.variables(DUPLICATES_KEY=KEY, OMP_NUM_THREADS="1")
    variables = {
        site: {**clean, **more.get(site, {}), "DATASET_ROOT": str(path), "DATALIST_ROOT": str(path / "datalist")}
        for site, path in made.data.items()
    }
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(scratch_folder())
        with pytest.MonkeyPatch.context() as patch:  # the server inherits this process's environment
            for name, value in more.get("localhost", {}).items():
                patch.setenv(name, value)
            members = stack.enter_context(running(federation, made.kits, made.place / "flare.log", scratch, variables))
        with admin_session(user_kit(made.kits[LEAD])) as admin:
            members.wait_for_sites(admin)
        yield


def installed(place: Path) -> dict[str, str]:
    """The environment of a machine that has its own copy of the code."""
    shutil.copytree(launch.ROOT / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("client.py", "model.py"):
        shutil.copy(launch.ROOT / name, place)
    return {"PYTHONPATH": f"{place / 'src'}{os.pathsep}{place}"}


@pytest.fixture(scope="module")
def simulated(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("simulated")
    arguments = ["--dataset_base_dir", phantom, "--datalist_json_path", phantom / "datalist"]
    return finished(launch.run(place, *JOB, *arguments, DUPLICATES_KEY=KEY), place)


@pytest.fixture(scope="module")
def deployed(deployment: Deployment) -> Path:
    return finished(submitted(deployment, *JOB), deployment.place)


def submitted(deployment: Deployment, *arguments: object) -> subprocess.CompletedProcess[str]:
    kit = ("--env", "prod", "--startup_kit", deployment.kits[LEAD])
    return launch.run(deployment.place, *arguments, *kit)


def submitted_here(deployment: Deployment, user: str, *arguments: object) -> int:
    """The same in this process; its exit code."""
    usual = ["--env", "prod", "--startup_kit", deployment.kits[user], "--artifacts", deployment.place / "artifacts"]
    return run_script(job.main, [*map(str, [*usual, *arguments])])


def finished(done: subprocess.CompletedProcess[str], place: Path) -> Path:
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "artifacts" / "run-001"


def weights(run: Path, name: str) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(run / name, weights_only=True)["model"]
    return loaded


def scores(run: Path) -> pd.DataFrame:
    """What the sites measured in each round, without what depends on the machine."""
    table = RunFolder(run).history().sort_values(["round", "site"], ignore_index=True)
    return table[[name for name in table if not name.endswith("seconds")]]


def found_in(paths: list[Path], words: list[str]) -> list[str]:
    """Where one of the words occurs: in a file, its name, or what is in it where it is an archive."""
    found = []
    for path in paths:
        texts = {str(path): path.read_bytes() + path.name.encode()}
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                texts |= {f"{path}: {name}": archive.read(name) + name.encode() for name in archive.namelist()}
        found += [f"{word} in {place}" for place, text in texts.items() for word in words if word.encode() in text]
    return found


def test_a_deployed_run_ends_with_the_simulators_weights_and_scores(deployed: Path, simulated: Path) -> None:
    for name in (BEST, LAST):
        torch.testing.assert_close(weights(deployed, name), weights(simulated, name))
    pd.testing.assert_frame_equal(scores(deployed), scores(simulated))


def test_a_deployed_run_leaves_the_same_run_folder_but_for_what_only_sites_know(
    deployed: Path, simulated: Path
) -> None:
    ours, theirs = ({path.name for path in run.iterdir()} for run in (deployed, simulated))
    assert theirs - ours == {"dataset_splits.json", "data_audit.txt"}
    assert ours - theirs == {"job.json"}
    assert RunFolder(deployed).read_json("dataset_stats") == {}
    assert RunFolder(deployed).read_json("status")["status"] == "finished"


def test_the_server_and_its_users_learn_no_name_of_a_case_and_no_path_of_a_site(
    deployment: Deployment, deployed: Path
) -> None:
    assert found_in(deployment.server_side(), ["hospital-a"])  # so the search finds what is there
    assert found_in(deployment.server_side(), deployment.secrets()) == []


def test_a_site_that_cannot_use_its_data_ends_the_job_and_keeps_to_itself_which(deployment: Deployment) -> None:
    image = next(deployment.data["hospital-b"].rglob("*t1ce*"))
    whole = image.read_bytes()
    image.write_bytes(whole[:-2000])
    try:
        done = submitted(deployment, *JOB, "--job_name", "spoilt")
    finally:
        image.write_bytes(whole)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "hospital-b" in done.stderr
    assert done.stderr.count("\n") == 1
    assert RunFolder(deployment.place / "artifacts" / "spoilt-001").read_json("status")["status"] == "failed"
    assert found_in(list(deployment.kits["hospital-b"].rglob("log.txt")), [str(image)])
    assert found_in(deployment.server_side(), deployment.secrets()) == []


def test_no_private_key_is_in_a_log_or_a_run_folder(deployment: Deployment, deployed: Path) -> None:
    keys = [path.read_text().splitlines()[1] for path in deployment.place.rglob("*.key")]
    assert len(keys) == 5  # server, sites and users
    kept = [path for path in deployment.server_side() if path.suffix != ".key"]
    logs = [path for path in deployment.place.rglob("*") if path.is_file() and "log" in path.name]
    assert found_in([*kept, *logs], ["PRIVATE KEY", *keys]) == []


REFUSED = {
    "a site that is not there": (LEAD, ["--site_names", "hospital-a,hospital-c"], 2, "hospital-c is not connected"),
    "a member": (MEMBER, JOB, 1, "may not submit"),
}


@pytest.mark.parametrize(("user", "arguments", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_the_federation_does_not_take_is_told_in_one_sentence(
    deployment: Deployment,
    capsys: pytest.CaptureFixture[str],
    user: str,
    arguments: list[object],
    code: int,
    words: str,
) -> None:
    assert submitted_here(deployment, user, *arguments, "--job_name", "refused") == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_sites_that_take_no_code_refuse_a_job_that_brings_it(
    reviewed: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submitted_here(reviewed, LEAD, *JOB, "--job_name", "brought") == 1
    error = capsys.readouterr().err
    assert "refused by hospital-a and hospital-b (BYOC not permitted)" in error
    assert "submit it with --code installed" in error
    assert error.count("\n") == 1


def test_installed_code_ends_with_the_weights_and_scores_of_code_that_travels(
    reviewed: Deployment, simulated: Path
) -> None:
    run = finished(submitted(reviewed, *JOB, "--code", "installed"), reviewed.place)
    for name in (BEST, LAST):
        torch.testing.assert_close(weights(run, name), weights(simulated, name))
    pd.testing.assert_frame_equal(scores(run), scores(simulated))
    for site in SITES:
        assert list(reviewed.kits[site].rglob("app_*/config/experiment.json"))  # so the search finds what is there
        assert not list(reviewed.kits[site].rglob("app_*/custom"))


def test_a_site_with_other_code_than_the_jobs_refuses_to_run_it(
    reviewed: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    script = reviewed.code("hospital-b") / "client.py"
    whole = script.read_text()
    script.write_text(f"{whole}# changed\n")
    try:
        assert submitted_here(reviewed, LEAD, *JOB, "--code", "installed", "--job_name", "other") == 1
    finally:
        script.write_text(whole)
    error = capsys.readouterr().err
    assert "hospital-b failed" in error
    assert error.count("\n") == 1
    logs = {site: list(reviewed.kits[site].rglob("log.txt")) for site in SITES}
    assert found_in(logs["hospital-b"], [OTHER_CODE])
    assert not found_in(logs["hospital-a"], [OTHER_CODE])


def test_a_proof_of_concept_ends_with_the_simulators_weights_and_without_a_process_or_a_key(
    phantom: Path, simulated: Path, tmp_path: Path
) -> None:
    arguments = ["--dataset_base_dir", phantom, "--datalist_json_path", phantom / "datalist"]
    place = tmp_path / "with a blank"
    place.mkdir()
    run = finished(launch.run(place, *JOB, *arguments, "--env", "poc", DUPLICATES_KEY=KEY), place)
    for name in (BEST, LAST):
        torch.testing.assert_close(weights(run, name), weights(simulated, name))
    pd.testing.assert_frame_equal(scores(run), scores(simulated))
    assert {path.name for path in run.iterdir()} == {path.name for path in simulated.iterdir()}
    assert found_in([path for path in run.rglob("*") if path.is_file()], ["PRIVATE KEY"]) == []
    assert not launch.processes_with(str(tmp_path))
