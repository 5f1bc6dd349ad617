"""Why a run failed: the site's own words first, then the server's, and which site where nobody says more."""

import inspect
from pathlib import Path
from types import SimpleNamespace

import pytest
from nvflare.private.fed.server import fed_server

from fedmed.environments.failure_reason import failure_reason, reason_of_server, reason_of_sites
from fedmed.server.quorum import RoundFailed, RoundQuorum


def test_a_site_of_this_machine_is_heard_first(tmp_path: Path) -> None:
    assert reason_of_sites(tmp_path) is None
    (tmp_path / "site-2.error").write_text("no memory")
    assert reason_of_sites(tmp_path) == "site-2 failed: no memory"


def test_the_servers_log_tells_which_site_failed_unless_it_knows_more(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert reason_of_server(log) is None
    log.write_text("INFO - all is well\n")
    assert reason_of_server(log) is None
    log.write_text("ERROR - Result from site-7 is bad, error code: TASK_ABORTED. Cannot reach min_responses\n")
    assert (reason_of_server(log) or "").startswith("site-7 failed (TASK_ABORTED)")
    with log.open("a") as file:
        file.write("No update of this round could be used (site-1: it holds NaN)\n")
    assert "site-1: it holds NaN" in (reason_of_server(log) or "")


@pytest.mark.parametrize(
    "words", ["Failing job {job_id} due to reported failure from {client}: {reason}",
              "Failing job {job_id}: terminal outcome unavailable from {client.name}: {reason}"]
)  # fmt: skip
def test_a_site_whose_job_process_was_killed_is_named(words: str, tmp_path: Path) -> None:
    """As FLARE's server says it; in a proof of concept its log is the run's."""
    assert words in inspect.getsource(fed_server)
    log = tmp_path / "log.txt"
    client = SimpleNamespace(name="site-2") if "client.name" in words else "site-2"
    said = words.format(job_id="3a75f0d0-dbcc-4b03", client=client, reason="exception")
    log.write_text(f"2026-11-28 01:38:24,467 - FederatedServer - INFO - {said}\nERROR - then the others were aborted\n")
    assert failure_reason(tmp_path, log) == (
        f"The process of site-2 died without a word (killed, or out of memory?); its last lines are in {log}."
    )
    (tmp_path / "site-2.error").write_text("no memory")
    assert failure_reason(tmp_path, log) == "site-2 failed: no memory"


def too_few() -> str:
    """What the server says when a round lacks a site."""
    call = RoundQuorum(["site-1", "site-2"], needed=2)
    call.answered("site-1")
    call.close({"site-2": "no sign of life for 31 s"})
    with pytest.raises(RoundFailed) as caught:
        call.require("round 3", 1, {})
    return str(caught.value)


def test_that_a_round_lacks_a_site_is_told_together_with_what_the_site_said(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert failure_reason(tmp_path, log) is None
    log.write_text(f"ERROR - Exception in controller run: {too_few()}\nINFO - ended\n")
    assert failure_reason(tmp_path, log) == too_few()
    (tmp_path / "site-2.error").write_text("no memory")
    assert failure_reason(tmp_path, log) == f"{too_few()} site-2 failed: no memory"
    log.write_text("ERROR - Result from site-7 is bad, error code: TASK_ABORTED.\n")
    assert failure_reason(tmp_path, log) == "site-2 failed: no memory"  # which says more
