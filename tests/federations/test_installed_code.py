"""Sites that take no code from jobs, over TLS: they and their server have it installed, each in a folder of its own."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedmed.core.code_version import OTHER_CODE
from fedmed.runs.run_folder import RunFolder
from tests.federations.provisioned import LEAD, ROUNDS, SITES, Federated, assert_same, found_in, made

pytestmark = pytest.mark.federation

SAME, CHANGED = SITES


@pytest.fixture(scope="module")
def reviewed(hospitals: Path, toy_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federated]:
    reviewed = made(tmp_path_factory.mktemp("reviewed"), hospitals, toy_project)
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


def test_sites_that_take_no_code_refuse_a_job_that_brings_it(
    reviewed: Federated, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reviewed.submit_here(LEAD, "brought", *ROUNDS) == 1
    error = capsys.readouterr().err
    assert "refused by hospital-a and hospital-b (BYOC not permitted)" in error
    assert "submit it with --code installed" in error
    assert error.count("\n") == 1


def test_installed_code_ends_with_the_weights_and_scores_of_code_that_travels(
    reviewed: Federated, pooled_hospitals: RunFolder
) -> None:
    with reviewed.submit("installed", *ROUNDS, "--code", "installed") as begun:
        begun.end()
    assert_same(begun.folder, pooled_hospitals)
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
    assert f"({CHANGED}: it failed" in error
    assert SAME not in error
    logs = {site: list(reviewed.kits[site].rglob("log.txt")) for site in SITES}
    assert found_in(logs["hospital-b"], [OTHER_CODE])
    assert not found_in(logs["hospital-a"], [OTHER_CODE])
