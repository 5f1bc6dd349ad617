"""A provisioned federation on this machine, over TLS: what it comes to is what a pool does, what stays at the sites,
and what breaks. No round is lost.

The sites train on the toy task, whose code travels with the job. The second site spoils or holds back what it sends, by
the name of the job. The sites of another federation take no code from jobs; they and its server have it installed, each
in a folder of its own.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

import job
from fedmed.core.cli import run_script
from fedmed.core.code_version import OTHER_CODE
from fedmed.core.names import BEST, LAST
from fedmed.core.weights import load_weights
from fedmed.environments.flare.admin_session import admin_session
from fedmed.environments.flare.federation_project import Federation
from fedmed.environments.flare.local_federation import LocalFederation, free_port, running
from fedmed.environments.flare.provisioning import provision
from fedmed.environments.flare.startup_kit import user_kit
from fedmed.environments.plain_paths import scratch_folder
from fedmed.runs.run_folder import RunFolder
from tests.federations import here, launch
from tests.federations.launch import Begun
from tests.toy.toy_task import make_toy

pytestmark = pytest.mark.federation

SITES = ("hospital-a", "hospital-b")
HONEST, SPOILS = SITES
LEAD, MEMBER = "lead@fedmed.org", "member@fedmed.org"
JOB = ("--task", "toy_task", "--site_names", ",".join(SITES), "--seed", 3)
ROUNDS = ("--num_rounds", 4)
ROUND_TIMEOUT_S = 20
SPARES = ("--min_clients", 1, "--site_silence", 12, "--round_timeout", ROUND_TIMEOUT_S)
KEY = "k" * 40

SPOIL = '''
import time
from pathlib import Path

import numpy as np
from nvflare.apis.dxo import from_shareable
from nvflare.apis.filter import Filter
from nvflare.apis.fl_constant import FLContextKey

HERE = Path(__file__).parent


class Spoil(Filter):
    """A site's own filter, by the name of the job: it ruins what is sent (NaN, another shape, a thousand times too
    large), or holds it back until there is no file any more that says so, as a site does that is slow and alive."""

    def process(self, shareable, fl_ctx):
        name = fl_ctx.get_prop(FLContextKey.JOB_META)["name"]
        if name not in ("spoilt", "spared", "resumed"):
            return shareable
        dxo, number = from_shareable(shareable), shareable.get_header("current_round")
        if dxo.data_kind == "WEIGHT_DIFF" and name == "spoilt" and number < 3:
            dxo.data = self._ruined(dxo.data, number)
        if dxo.data_kind == "WEIGHT_DIFF" and name != "spoilt" and (HERE / f"hold-{number}").exists():
            (HERE / f"held-{number}").touch()
            while (HERE / f"hold-{number}").exists():
                time.sleep(0.1)
        return dxo.update_shareable(shareable)

    def _ruined(self, data, number):
        first = next(iter(data))
        if number == 0:
            return {**data, first: data[first] * np.nan}
        if number == 1:
            return {**data, first: data[first].ravel()}
        return {name: values * 1000 for name, values in data.items()}
'''
SCOPE = {"scopes": [{"name": "own", "task_result_filters": [{"path": "spoil.Spoil", "args": {}}]}]}


class Federated:
    """A federation that runs, the folder that everything of it lies in, and members that a test may stop and start."""

    def __init__(self, place: Path, federation: Federation, pictures: Path, project: Path) -> None:
        self.place, self.federation, self.project = place, federation, project
        self.kits = provision(federation, place / "kits")
        self.data = {site: Path(shutil.copytree(pictures, place / f"confidential {site}")) for site in SITES}
        self.members: LocalFederation
        clean = launch.variables(DUPLICATES_KEY=KEY, OMP_NUM_THREADS="1")
        self.variables: dict[str, dict[str, str]] = {"localhost": clean}
        for site, path in self.data.items():
            self.variables[site] = {**clean, "DATASET_ROOT": str(path), "DATALIST_ROOT": str(path / "datalist")}

    @contextlib.contextmanager
    def running(self) -> Iterator["Federated"]:
        """Server and sites, with their variables in the environment of each."""
        with scratch_folder() as scratch, pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables["localhost"].items():  # the server inherits this process's environment
                patch.setenv(name, value)
            log = self.place / "flare.log"
            with running(self.federation, self.kits, log, scratch, self.variables) as self.members:
                self.wait_for_sites()
                yield self
        assert not launch.processes_with(str(self.place))

    def wait_for_sites(self) -> None:
        with admin_session(user_kit(self.kits[LEAD])) as admin:
            self.members.wait_for_sites(admin)

    def code(self, name: str) -> Path:
        """Where the server or a site has its own copy of the code."""
        return self.place / f"code of {name}"

    def submit(self, name: str, *options: object) -> Begun:
        environment = ["--env", "prod", "--startup_kit", self.kits[LEAD], "--artifacts", self.place / "artifacts"]
        return Begun(self.run(name), *JOB, *environment, "--job_name", name, *options, project=self.project)

    def submit_here(self, user: str, name: str, *options: object) -> int:
        """The same in this process; its exit code."""
        usual = ["--env", "prod", "--startup_kit", self.kits[user], "--artifacts", self.place / "artifacts"]
        with here.plugins():
            return run_script(job.main, [*map(str, [*usual, *JOB, "--job_name", name, *options])])

    def resume(self, name: str) -> str:
        """Go on with a run to its end; what was said."""
        with Begun(self.run(name), "--resume", self.run(name), project=self.project) as begun:
            return begun.end()

    def hold(self, number: int) -> Path:
        """The file that has the second site hold its answer back in that round, counted from 1, while it is there."""
        path = self.place / "filters" / f"hold-{number - 1}"
        path.touch()
        return path

    def run(self, name: str) -> Path:
        return self.place / "artifacts" / f"{name}-001"

    def secrets(self) -> list[str]:
        """What must not leave the sites: names of cases, and their places."""
        lists = [json.loads((path / "datalist" / f"{site}.json").read_text()) for site, path in self.data.items()]
        cases = [case for each in lists for split in ("training", "validation") for case in each[split]]
        names = {name for case in cases for name in (Path(case["image"]).stem, case["patient"])}
        return [*names, *(str(path) for path in self.data.values())]

    def server_side(self) -> list[Path]:
        """All files at the server and with its users, and of the runs that were followed from there."""
        folders = [self.kits["localhost"], self.kits[LEAD], self.place / "store", self.place / "artifacts"]
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    def processes_of(self, name: str) -> list[psutil.Process]:
        """Of the server or a site: FLARE's own, and those of jobs."""
        kit = str(self.kits[name])
        return [each for each in psutil.process_iter(["cmdline"]) if kit in (each.info["cmdline"] or [])]

    def kill(self, name: str) -> None:
        found = self.processes_of(name)
        assert len(found) >= 2  # its own and a job's
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def start(self, name: str) -> None:
        self.members.start(name, self.variables[name])


def made(place: Path, pictures: Path, project: Path) -> Federated:
    users = {LEAD: "lead", MEMBER: "member"}
    federation = Federation("localhost", free_port(), SITES, users, storage=place / "store")
    return Federated(place, federation, pictures, project)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sites' data in one folder, as a pool has them."""
    place = tmp_path_factory.mktemp("toy") / "data"
    make_toy(place, cases=4, validation=4, noise=20.0)
    for number, site in enumerate(SITES, start=1):
        (place / "datalist" / f"site-{number}.json").rename(place / "datalist" / f"{site}.json")
    return place


@pytest.fixture(scope="module")
def federated(pictures: Path, toy_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    federated = made(tmp_path_factory.mktemp("federation"), pictures, toy_project)
    (federated.kits[SPOILS] / "local" / "privacy.json").write_text(json.dumps({**SCOPE, "default_scope": "own"}))
    (federated.place / "filters").mkdir()
    (federated.place / "filters" / "spoil.py").write_text(SPOIL)
    federated.variables["localhost"]["NVFLARE_CLIENT_OUTCOME_WAIT_TIMEOUT"] = "20"
    federated.variables[SPOILS]["PYTHONPATH"] = str(federated.place / "filters")
    with federated.running():
        yield federated


@pytest.fixture(scope="module")
def reviewed(pictures: Path, toy_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    reviewed = made(tmp_path_factory.mktemp("reviewed"), pictures, toy_project)
    for site in SITES:
        policy = reviewed.kits[site] / "local" / "authorization.json"
        policy.write_text(policy.read_text().replace('"byoc": "any"', '"byoc": "none"'))
    for name, variables in reviewed.variables.items():
        variables |= installed(toy_project, reviewed.code(name))
    with reviewed.running():
        yield reviewed


def installed(project: Path, place: Path) -> dict[str, str]:
    """The environment of a machine that has its own copy of the code."""
    shutil.copytree(project / "src", place / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("client.py", "model.py"):
        shutil.copy(project / name, place)
    return {"PYTHONPATH": f"{place / 'src'}{os.pathsep}{place}"}


@pytest.fixture(scope="module")
def pooled(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    lists = ["--dataset_base_dir", pictures, "--datalist_json_path", pictures / "datalist", "--n_clients", len(SITES)]
    arguments = [*JOB, *ROUNDS, *lists, "--env", "pool"]
    return here.run(tmp_path_factory.mktemp("pooled"), *arguments, DUPLICATES_KEY=KEY).well()


@pytest.fixture(scope="module")
def together(federated: Federated) -> dict[str, RunFolder]:
    """Two jobs at once, of which a site spoils one."""
    with contextlib.ExitStack() as stack:
        begun = {name: stack.enter_context(federated.submit(name, *ROUNDS)) for name in ("honest", "spoilt")}
        for submitted in begun.values():
            submitted.end()
    return {name: submitted.folder for name, submitted in begun.items()}


def history(run: RunFolder) -> pd.DataFrame:
    """What the sites measured in each round, without what depends on the machine."""
    table = run.history().sort_values(["round", "site"], ignore_index=True)
    return table[[name for name in table if not name.endswith("seconds")]]


def assert_same(run: RunFolder, other: RunFolder) -> None:
    for name in (BEST, LAST):
        torch.testing.assert_close(load_weights(run.path / name), load_weights(other.path / name), rtol=0, atol=0)
    pd.testing.assert_frame_equal(history(run), history(other), check_exact=True)


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


def refused(run: RunFolder) -> dict[tuple[int, str], str]:
    """Why a site's update is no part of a round, by round and site."""
    table = run.history()
    told = table[table["refused"].notna()] if "refused" in table else table[:0]
    return {(row.round, row.site): row.refused for row in told.itertuples()}


def rounds_of(run: RunFolder, site: str) -> set[int]:
    """The rounds that have a site's update in them."""
    table = run.history()
    with_update = table[(table["site"] == site) & table["train_loss"].notna()]
    return set(with_update["round"]) - {number for number, name in refused(run) if name == site}


def test_two_jobs_at_once_both_end_well_and_do_not_mix(together: dict[str, RunFolder]) -> None:
    assert [run.status for run in together.values()] == ["finished", "finished"]
    assert refused(together["honest"]) == {}
    assert any(
        not torch.equal(ours, load_weights(together["spoilt"].path / LAST)[name])
        for name, ours in load_weights(together["honest"].path / LAST).items()
    )


def test_a_deployed_run_ends_with_the_weights_and_scores_of_a_pool(
    together: dict[str, RunFolder], pooled: RunFolder
) -> None:
    assert_same(together["honest"], pooled)


def test_a_deployed_run_leaves_the_same_run_folder_but_for_what_only_sites_know(
    together: dict[str, RunFolder], pooled: RunFolder
) -> None:
    deployed = together["honest"]
    ours, theirs = ({path.name for path in run.path.iterdir()} for run in (deployed, pooled))
    assert theirs - ours == {"dataset_splits.json", "data_audit.txt"}
    assert ours - theirs == {"job.json"}
    assert deployed.read_json("dataset_stats") == {}
    assert deployed.read_json("status")["status"] == "finished"


def test_updates_of_nan_of_another_shape_or_far_too_large_are_refused_by_the_sites_name(
    together: dict[str, RunFolder],
) -> None:
    found = refused(together["spoilt"])
    assert set(found) == {(1, "hospital-b"), (2, "hospital-b"), (3, "hospital-b")}
    assert "NaN" in found[1, "hospital-b"]
    assert "shape" in found[2, "hospital-b"]
    assert "times the median of the other sites'" in found[3, "hospital-b"]
    assert all(torch.isfinite(values).all() for values in load_weights(together["spoilt"].path / LAST).values())


def test_the_server_and_its_users_learn_no_name_of_a_case_and_no_path_of_a_site(
    federated: Federated, together: dict[str, RunFolder]
) -> None:
    assert found_in(federated.server_side(), ["hospital-a"])  # so the search finds what is there
    assert found_in(federated.server_side(), federated.secrets()) == []


def test_a_site_that_cannot_use_its_data_ends_the_job_and_keeps_to_itself_which(federated: Federated) -> None:
    lists = json.loads((federated.data[SPOILS] / "datalist" / f"{SPOILS}.json").read_text())
    image = federated.data[SPOILS] / lists["training"][0]["image"]
    whole = image.read_bytes()
    image.write_bytes(whole[:-100])
    try:
        with federated.submit("torn", *ROUNDS) as begun:
            shown = begun.end(code=1)
    finally:
        image.write_bytes(whole)
    sentence = shown.splitlines()[-1]
    assert f"({SPOILS}: it failed" in sentence
    assert HONEST not in sentence
    assert begun.folder.read_json("status")["status"] == "failed"
    assert found_in(list(federated.kits["hospital-b"].rglob("log.txt")), [str(image)])
    assert found_in(federated.server_side(), federated.secrets()) == []


def test_no_private_key_is_in_a_log_or_a_run_folder(federated: Federated, together: dict[str, RunFolder]) -> None:
    keys = [path.read_text().splitlines()[1] for path in federated.place.rglob("*.key")]
    assert len(keys) == 5  # server, sites and users
    kept = [path for path in federated.server_side() if path.suffix != ".key"]
    logs = [path for path in federated.place.rglob("*") if path.is_file() and "log" in path.name]
    assert found_in([*kept, *logs], ["PRIVATE KEY", *keys]) == []


REFUSED = {
    "a site that is not there": (LEAD, ["--site_names", "hospital-a,hospital-c"], 2, "hospital-c is not connected"),
    "a member": (MEMBER, [], 1, "may not submit"),
}


@pytest.mark.parametrize(("user", "arguments", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_what_the_federation_does_not_take_is_told_in_one_sentence(
    federated: Federated,
    capsys: pytest.CaptureFixture[str],
    user: str,
    arguments: list[object],
    code: int,
    words: str,
) -> None:
    assert federated.submit_here(user, "refused", *ROUNDS, *arguments) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_the_server_dies_and_the_run_goes_on_after_its_last_round(
    federated: Federated, together: dict[str, RunFolder]
) -> None:
    hold = federated.hold(3)
    with federated.submit("resumed", *ROUNDS) as begun:
        begun.wait_for("round 2/4")
        federated.kill("localhost")
        hold.unlink()
        federated.start("localhost")
        assert "started anew" in begun.end(code=1)
    run = begun.folder
    assert f"--resume {run.path}" in begun.said
    federated.wait_for_sites()
    said = federated.resume("resumed")
    assert "resumed after round 2 of 4" in said
    assert_same(run, together["honest"])
    assert run.status == "finished"


def test_a_straggler_is_left_out_and_heard_again_and_a_site_that_dies_is_spared(federated: Federated) -> None:
    """The site holds its answer back in the second round, and in the sixth, in which it dies."""
    hold = federated.hold(2)
    federated.hold(6)
    with federated.submit("spared", "--num_rounds", 7, *SPARES) as begun:
        begun.wait_for(f"without hospital-b: no answer within {ROUND_TIMEOUT_S} s")
        hold.unlink()
        launch.until((federated.place / "filters" / "held-5").exists)  # it was asked again, and not in vain
        federated.kill("hospital-b")
        begun.wait_for("without hospital-b: no sign of life")
        os.kill(begun.pid, signal.SIGKILL)  # and the launcher's machine is switched off
        begun.process.join()
    federated.start("hospital-b")
    federated.resume("spared")
    run = begun.folder
    assert run.status == "finished"
    assert rounds_of(run, "hospital-a") == set(range(1, 8))
    assert {1} < rounds_of(run, "hospital-b") <= {1, 3, 4, 5}
    federated.wait_for_sites()  # hospital-b is there again, for the next job


def test_strangers_are_not_let_in(federated: Federated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host, port = federated.federation.host, federated.federation.port
    other = Federation(host, port, ("stranger",), {"stranger@fedmed.org": "lead"}, storage=tmp_path / "store")
    kits = provision(other, tmp_path / "kits")
    with scratch_folder() as scratch:
        log = tmp_path / "stranger.log"
        members = LocalFederation(other, kits, log, scratch)
        members.start("stranger", federated.variables["hospital-a"])
        try:
            launch.until(lambda: log.exists() and "CERTIFICATE_VERIFY_FAILED" in log.read_text())
            with admin_session(user_kit(federated.kits[LEAD])) as admin:
                assert "stranger" not in admin.sites()
        finally:
            members.end()
    given = ["--env", "prod", "--startup_kit", kits["stranger@fedmed.org"], "--site_names", "stranger"]
    assert run_script(job.main, [*map(str, given), "--artifacts", str(tmp_path / "artifacts")]) == 2
    assert "does not take the certificate" in capsys.readouterr().err
    assert not (tmp_path / "artifacts").exists()


def test_who_has_no_certificate_is_not_let_in(federated: Federated) -> None:
    startup = federated.kits[LEAD] / "startup"
    nobody = ssl.create_default_context(cafile=str(startup / "rootCA.pem"))
    user = ssl.create_default_context(cafile=str(startup / "rootCA.pem"))
    user.load_cert_chain(startup / "client.crt", startup / "client.key")
    assert answer(federated.federation, user)
    assert not answer(federated.federation, nobody)


def answer(federation: Federation, trust: ssl.SSLContext) -> bytes:
    """What the server says to a question over TLS; nothing where it hangs up."""
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        plain = socket.create_connection((federation.host, federation.port), timeout=20)
        with trust.wrap_socket(plain, server_hostname=federation.host) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(100)
    return b""


def test_sites_that_take_no_code_refuse_a_job_that_brings_it(
    reviewed: Federated, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reviewed.submit_here(LEAD, "brought", *ROUNDS) == 1
    error = capsys.readouterr().err
    assert "refused by hospital-a and hospital-b (BYOC not permitted)" in error
    assert "submit it with --code installed" in error
    assert error.count("\n") == 1


def test_installed_code_ends_with_the_weights_and_scores_of_code_that_travels(
    reviewed: Federated, pooled: RunFolder
) -> None:
    with reviewed.submit("installed", *ROUNDS, "--code", "installed") as begun:
        begun.end()
    assert_same(begun.folder, pooled)
    for site in SITES:
        assert list(reviewed.kits[site].rglob("app_*/config/experiment.json"))  # so the search finds what is there
        assert not list(reviewed.kits[site].rglob("app_*/custom"))


def test_a_site_with_other_code_than_the_jobs_refuses_to_run_it(reviewed: Federated) -> None:
    script = reviewed.code("hospital-b") / "client.py"
    whole = script.read_text()
    script.write_text(f"{whole}# changed\n")
    try:
        with reviewed.submit("other", *ROUNDS, "--code", "installed") as begun:
            error = begun.end(code=1).splitlines()[-1]
    finally:
        script.write_text(whole)
    assert f"({SPOILS}: it failed" in error
    assert HONEST not in error
    logs = {site: list(reviewed.kits[site].rglob("log.txt")) for site in SITES}
    assert found_in(logs["hospital-b"], [OTHER_CODE])
    assert not found_in(logs["hospital-a"], [OTHER_CODE])
