"""A provisioned federation on this machine, over TLS: what it comes to is what a pool does, what stays at the sites,
and what breaks. No round is lost.

The sites train on the toy task, whose code travels with the job. The second site spoils or holds back what it sends, by
the name of the job.
"""

import contextlib
import json
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import job
from fedmed.core.cli import run_script
from fedmed.core.names import LAST
from fedmed.core.weights import load_weights
from fedmed.environments.flare.admin_session import admin_session
from fedmed.environments.flare.federation_project import Federation
from fedmed.environments.flare.local_federation import LocalFederation
from fedmed.environments.flare.provisioning import provision
from fedmed.environments.flare.startup_kit import user_kit
from fedmed.environments.plain_paths import scratch_folder
from fedmed.runs.run_folder import RunFolder
from tests.federations import launch
from tests.federations.provisioned import LEAD, MEMBER, ROUNDS, SITES, Federated, assert_same, found_in, made

pytestmark = pytest.mark.federation


HONEST, SPOILS = SITES
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


@pytest.fixture(scope="module")
def federated(hospitals: Path, toy_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    federated = made(tmp_path_factory.mktemp("federation"), hospitals, toy_project)
    (federated.kits[SPOILS] / "local" / "privacy.json").write_text(json.dumps({**SCOPE, "default_scope": "own"}))
    (federated.place / "filters").mkdir()
    (federated.place / "filters" / "spoil.py").write_text(SPOIL)
    federated.variables["localhost"]["NVFLARE_CLIENT_OUTCOME_WAIT_TIMEOUT"] = "20"
    federated.variables[SPOILS]["PYTHONPATH"] = str(federated.place / "filters")
    with federated.running():
        yield federated


@pytest.fixture(scope="module")
def together(federated: Federated) -> dict[str, RunFolder]:
    """Two jobs at once, of which a site spoils one."""
    with contextlib.ExitStack() as stack:
        begun = {name: stack.enter_context(federated.submit(name, *ROUNDS)) for name in ("honest", "spoilt")}
        for submitted in begun.values():
            submitted.end()
    return {name: submitted.folder for name, submitted in begun.items()}


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
    together: dict[str, RunFolder], pooled_hospitals: RunFolder
) -> None:
    assert_same(together["honest"], pooled_hospitals)


def test_a_deployed_run_leaves_the_same_run_folder_but_for_what_only_sites_know(
    together: dict[str, RunFolder], pooled_hospitals: RunFolder
) -> None:
    deployed = together["honest"]
    ours, theirs = ({path.name for path in run.path.iterdir()} for run in (deployed, pooled_hospitals))
    assert theirs - ours == {"dataset_splits.json", "data_audit.txt"}
    assert ours - theirs == {"job.json"}
    assert deployed.read_json("dataset_stats") == {}
    assert deployed.read_json("status")["status"] == "finished"


def test_the_server_keeps_with_each_run_who_submitted_it(federated: Federated, together: dict[str, RunFolder]) -> None:
    found = [json.loads(path.read_text()) for path in federated.kits["localhost"].rglob("submitter.json")]
    assert len(found) >= len(together)
    assert all(each == {"submitter": LEAD} for each in found)


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
    assert rounds_of(run, "hospital-a") >= set(range(2, 8))  # a slow machine may start no site in time for round 1
    assert rounds_of(run, "hospital-b") & {3, 4, 5}
    assert not rounds_of(run, "hospital-b") & {2, 6, 7}
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
