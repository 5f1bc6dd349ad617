"""The folder of a site's own files: one a site and run, and no job can lead out of it."""

from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.core.names import RUN_VARIABLE, STATE_VARIABLE
from fedmed.core.site_folder import run_name, site_folder


def test_a_site_has_a_folder_a_job_where_the_machine_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    assert site_folder("site-1", "job-7") == tmp_path / "job-7" / "site-1"
    assert run_name("job-7") == "job-7"


def test_in_a_simulation_the_folder_is_of_one_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    monkeypatch.setenv(RUN_VARIABLE, "run-001")
    assert site_folder("site-1", "simulate_job") == tmp_path / "site-1"
    assert run_name("simulate_job") == "run-001"


def test_where_nothing_is_named_it_lies_where_the_process_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert site_folder("site-1", "job") == tmp_path / "fedmed_state" / "job" / "site-1"


@pytest.mark.parametrize("job", ["", "..", "../up", "a/b", "a b", "a\n", "/abs"])
def test_a_job_of_no_plain_name_is_refused(job: str) -> None:
    with pytest.raises(InputError, match="The run is called"):
        site_folder("site-1", job)
