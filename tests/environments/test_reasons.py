"""Why a run failed: the site's own words first, then the server's, and which site where nobody says more."""

from pathlib import Path

from fedmed.environments.reasons import told_by_server, told_by_sites


def test_a_site_of_this_machine_is_heard_first(tmp_path: Path) -> None:
    assert told_by_sites(tmp_path) is None
    (tmp_path / "site-2.error").write_text("no memory")
    assert told_by_sites(tmp_path) == "site-2 failed: no memory"


def test_the_servers_log_tells_which_site_failed_unless_it_knows_more(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert told_by_server(log) is None
    log.write_text("INFO - all is well\n")
    assert told_by_server(log) is None
    log.write_text("ERROR - Result from site-7 is bad, error code: TASK_ABORTED. Cannot reach min_responses\n")
    assert (told_by_server(log) or "").startswith("site-7 failed (TASK_ABORTED)")
    with log.open("a") as file:
        file.write("No update of this round could be used (site-1: it holds NaN)\n")
    assert "site-1: it holds NaN" in (told_by_server(log) or "")
