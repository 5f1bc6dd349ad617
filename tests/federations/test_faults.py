"""What breaks in a federation: sites that spoil, stall or die, a server that dies, strangers. No round is lost."""

import contextlib
import json
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

import job
from fedmed.core.cli import run_script
from fedmed.core.names import BEST, LAST
from fedmed.environments.flare.admin_session import admin_session
from fedmed.environments.flare.federation_project import Federation
from fedmed.environments.flare.local_federation import LocalFederation, free_port, running
from fedmed.environments.flare.provisioning import provision
from fedmed.environments.flare.startup_kit import user_kit
from fedmed.environments.plain_paths import scratch_folder
from fedmed.runs.run_folder import RunFolder
from tests.federations import launch
from tests.federations.launch import Begun

pytestmark = pytest.mark.federation

SITES = ("north", "west")
LEAD = "lead@fedmed.org"
JOB = ("--site_names", ",".join(SITES), "--learning_rate", 1e-3, "--seed", 3)
ROUND_TIMEOUT_S = 20
SPARES = ("--min_clients", 1, "--site_silence", 12, "--round_timeout", ROUND_TIMEOUT_S)

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
        dxo, number = from_shareable(shareable), shareable.get_header("current_round")
        name = fl_ctx.get_prop(FLContextKey.JOB_META)["name"]
        if dxo.data_kind == "WEIGHT_DIFF" and name == "spoilt" and number < 3:
            dxo.data = self._ruined(dxo.data, number)
        if dxo.data_kind == "WEIGHT_DIFF" and name == "spared" and (HERE / f"hold-{number}").exists():
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
    """A federation that runs, whose members a test may stop and start."""

    def __init__(self, place: Path, members: LocalFederation, variables: dict[str, dict[str, str]]) -> None:
        self.place, self.members, self.variables = place, members, variables
        self.kit = members.kits[LEAD]

    def submit(self, name: str, *options: object) -> Begun:
        environment = ["--env", "prod", "--startup_kit", self.kit, "--artifacts", self.place / "artifacts"]
        return Begun(self.run(name), *JOB, *environment, "--job_name", name, *options)

    def resume(self, name: str) -> str:
        """Go on with a run to its end; what was said."""
        with Begun(self.run(name), "--resume", self.run(name)) as begun:
            return begun.end()

    def run(self, name: str) -> Path:
        return self.place / "artifacts" / f"{name}-001"

    def processes_of(self, name: str) -> list[psutil.Process]:
        """Of the server or a site: FLARE's own, and those of jobs."""
        kit = str(self.members.kits[name])
        return [each for each in psutil.process_iter(["cmdline"]) if kit in (each.info["cmdline"] or [])]

    def kill(self, name: str) -> None:
        found = self.processes_of(name)
        assert len(found) >= 2  # its own and a job's
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def start(self, name: str) -> None:
        self.members.start(name, self.variables[name])


@pytest.fixture(scope="module")
def federated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    place = tmp_path_factory.mktemp("faults")
    data = launch.small_data(place / "data", *SITES)
    federation = Federation("localhost", free_port(), SITES, {LEAD: "lead"}, storage=place / "store")
    kits = provision(federation, place / "kits")
    (kits["west"] / "local" / "privacy.json").write_text(json.dumps({**SCOPE, "default_scope": "own"}))
    (place / "of west").mkdir()
    (place / "of west" / "spoil.py").write_text(SPOIL)
    clean = launch.variables(OMP_NUM_THREADS="1", DATASET_ROOT=str(data), DATALIST_ROOT=str(data / "datalist"))
    variables = {name: dict(clean) for name in ("localhost", *SITES)}
    variables["localhost"]["NVFLARE_CLIENT_OUTCOME_WAIT_TIMEOUT"] = "20"
    variables["west"]["PYTHONPATH"] = str(place / "of west")
    with scratch_folder() as scratch, running(federation, kits, place / "flare.log", scratch, variables) as members:
        with admin_session(user_kit(kits[LEAD])) as admin:
            members.wait_for_sites(admin)
        yield Federated(place, members, variables)
    assert not launch.processes_with(str(place))


@pytest.fixture(scope="module")
def together(federated: Federated) -> dict[str, RunFolder]:
    """Two jobs at once, of which the site ``west`` spoils one."""
    with contextlib.ExitStack() as stack:
        names = ("honest", "spoilt")
        begun = {name: stack.enter_context(federated.submit(name, "--num_rounds", 4)) for name in names}
        for submitted in begun.values():
            submitted.end()
    return {name: submitted.folder for name, submitted in begun.items()}


def weights(run: RunFolder, name: str) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(run.path / name, weights_only=True)["model"]
    return loaded


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
        not torch.equal(ours, weights(together["spoilt"], LAST)[name])
        for name, ours in weights(together["honest"], LAST).items()
    )


def test_updates_of_nan_of_another_shape_or_far_too_large_are_refused_by_the_sites_name(
    together: dict[str, RunFolder],
) -> None:
    found = refused(together["spoilt"])
    assert set(found) == {(1, "west"), (2, "west"), (3, "west")}
    assert "NaN" in found[1, "west"]
    assert "shape" in found[2, "west"]
    assert "times the median of the other sites'" in found[3, "west"]
    assert all(torch.isfinite(values).all() for values in weights(together["spoilt"], LAST).values())


def test_the_server_dies_and_the_run_goes_on_after_its_last_round(
    federated: Federated, together: dict[str, RunFolder]
) -> None:
    with federated.submit("resumed", "--num_rounds", 4) as begun:
        begun.wait_for("round 2/4")
        federated.kill("localhost")
        federated.start("localhost")
        assert "started anew" in begun.end(code=1)
    run = begun.folder
    assert f"--resume {run.path}" in begun.said
    with admin_session(user_kit(federated.kit)) as admin:
        federated.members.wait_for_sites(admin)
    said = federated.resume("resumed")
    assert "resumed after round 2 of 4" in said or "resumed after round 3 of 4" in said
    for name in (BEST, LAST):
        torch.testing.assert_close(weights(run, name), weights(together["honest"], name), rtol=0, atol=0)
    ours, theirs = run.history(), together["honest"].history()
    shared = [name for name in theirs if not name.endswith("seconds")]
    pd.testing.assert_frame_equal(ours[shared], theirs[shared])
    assert run.status == "finished"


def test_a_straggler_is_left_out_and_heard_again_and_a_site_that_dies_is_spared(federated: Federated) -> None:
    """West holds its answer back in the second round, and in the sixth, in which it dies."""
    hold = {number: federated.place / "of west" / f"hold-{number - 1}" for number in (2, 6)}
    for path in hold.values():
        path.touch()
    with federated.submit("spared", "--num_rounds", 7, *SPARES) as begun:
        begun.wait_for(f"without west: no answer within {ROUND_TIMEOUT_S} s")
        hold[2].unlink()
        launch.until((federated.place / "of west" / "held-5").exists)  # it was asked again, and not in vain
        federated.kill("west")
        begun.wait_for("without west: no sign of life")
        os.kill(begun.pid, signal.SIGKILL)  # and the launcher's machine is switched off
        begun.process.join()
    federated.start("west")
    federated.resume("spared")
    run = begun.folder
    assert run.status == "finished"
    assert rounds_of(run, "north") == set(range(1, 8))
    assert {1} < rounds_of(run, "west") <= {1, 3, 4, 5}
    with admin_session(user_kit(federated.kit)) as admin:
        federated.members.wait_for_sites(admin)  # west is there again, for the next job


def test_strangers_are_not_let_in(federated: Federated, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host, port = federated.members.federation.host, federated.members.federation.port
    other = Federation(host, port, ("stranger",), {"stranger@fedmed.org": "lead"}, storage=tmp_path / "store")
    kits = provision(other, tmp_path / "kits")
    with scratch_folder() as scratch:
        log = tmp_path / "stranger.log"
        members = LocalFederation(other, kits, log, scratch)
        members.start("stranger", federated.variables["north"])
        try:
            launch.until(lambda: log.exists() and "CERTIFICATE_VERIFY_FAILED" in log.read_text())
            with admin_session(user_kit(federated.kit)) as admin:
                assert "stranger" not in admin.sites()
        finally:
            members.end()
    given = ["--env", "prod", "--startup_kit", kits["stranger@fedmed.org"], "--site_names", "stranger"]
    assert run_script(job.main, [*map(str, given), "--artifacts", str(tmp_path / "artifacts")]) == 2
    assert "does not take the certificate" in capsys.readouterr().err
    assert not (tmp_path / "artifacts").exists()


def test_who_has_no_certificate_is_not_let_in(federated: Federated) -> None:
    startup = federated.kit / "startup"
    nobody = ssl.create_default_context(cafile=str(startup / "rootCA.pem"))
    user = ssl.create_default_context(cafile=str(startup / "rootCA.pem"))
    user.load_cert_chain(startup / "client.crt", startup / "client.key")
    assert answer(federated.members.federation, user)
    assert not answer(federated.members.federation, nobody)


def answer(federation: Federation, trust: ssl.SSLContext) -> bytes:
    """What the server says to a question over TLS; nothing where it hangs up."""
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        plain = socket.create_connection((federation.host, federation.port), timeout=20)
        with trust.wrap_socket(plain, server_hostname=federation.host) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(100)
    return b""
