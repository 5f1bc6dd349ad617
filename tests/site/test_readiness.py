"""The checks of a site's machine: each finds what it is for, and none ends the others."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import job
from fedmed.core.settings import Data
from fedmed.experiment import Experiment
from fedmed.privacy.site_wide_ledger import begin_site_wide_ledger
from fedmed.site import readiness
from fedmed.site.readiness import checks, report


@pytest.fixture
def found(
    small_experiment: Callable[..., Experiment], phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, tuple[str, str]]]:
    """Level and sentence of every check of a site, by environment variables."""
    monkeypatch.setattr(sys, "executable", "/opt/plain/bin/python3")  # the tests' own may lie under a path with a blank

    def look(site: str = "site-1", requirements: str | None = None, **variables: str) -> dict[str, tuple[str, str]]:
        usual = {"DATASET_ROOT": str(phantom), "DATALIST_ROOT": str(phantom / "datalist")}
        for name, value in {**usual, **variables}.items():
            monkeypatch.setenv(name, value)
        if requirements is not None:
            (tmp_path / "requirements.txt").write_text(requirements)
            monkeypatch.setattr(readiness, "REPOSITORY", tmp_path)
        experiment = small_experiment("--cache_gb", "0.1").with_data(Data.of_this_site())
        return {check.what: (check.level, check.says) for check in checks(experiment, site)}

    return look


def test_a_whole_site_is_ready(found: Callable[..., dict[str, tuple[str, str]]], tmp_path: Path) -> None:
    levels = {what: level for what, (level, _) in found(CACHE_ROOT=str(tmp_path / "cache")).items()}
    assert "error" not in levels.values()
    assert {levels[what] for what in ("versions", "data", "datalist", "audit", "cache")} == {"ok"}
    assert levels["privacy policy"] == "warning"  # not set: it trains whatever is asked
    assert levels["all jobs"] == "warning"  # not set: a budget is a job's


def test_a_ledger_over_all_jobs_is_found(found: Callable[..., dict[str, tuple[str, str]]], tmp_path: Path) -> None:
    begin_site_wide_ledger(tmp_path / "ledger")
    level, says = found(SITE_LEDGER=str(tmp_path / "ledger"))["all jobs"]
    assert level == "ok"
    assert "begun on" in says


WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "no dataset": ("data", {"DATASET_ROOT": "/nowhere/at all"}, "/nowhere/at all does not exist"),
    "no list": ("datalist", {"site": "site-9"}, "site-9 has no datalist"),
    "another version": ("versions", {"requirements": "numpy==0.1\nno-such-thing==1\n"}, "no-such-thing missing"),
    "no policy": ("privacy policy", {"PRIVACY_POLICY": "/no/policy.json"}, "/no/policy.json cannot be read"),
    "no place for ledgers": ("privacy ledger", {"FEDMED_STATE": "/proc/version/x"}, "cannot be written"),
    "no ledger over all jobs": ("all jobs", {"SITE_LEDGER": "/no/ledger"}, "/no/ledger holds no ledger"),
    "a short key": ("duplicates", {"DUPLICATES_KEY": "abc"}, "has 3 characters"),
}


@pytest.mark.parametrize(("what", "given", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_an_error_that_says_so(
    found: Callable[..., dict[str, tuple[str, str]]], what: str, given: dict[str, str], words: str
) -> None:
    level, says = found(**given)[what]
    assert level == "error"
    assert words in says


def test_a_python_that_flare_cannot_start_jobs_with_is_an_error(
    found: Callable[..., dict[str, tuple[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/srv/my tools/.venv/bin/python3")
    level, says = found()["python"]
    assert level == "error"
    assert "/srv/my tools/.venv/bin/python3" in says


def test_a_list_that_leads_out_of_the_dataset_folder_is_told(
    found: Callable[..., dict[str, tuple[str, str]]], phantom: Path, tmp_path: Path
) -> None:
    shutil.copytree(phantom, tmp_path / "set")
    (tmp_path / "elsewhere").mkdir()
    lists = tmp_path / "set" / "datalist"
    names = json.loads((lists / "site-1.json").read_text())
    names["training"][0]["label"] = shutil.copy(phantom / names["training"][0]["label"], tmp_path / "elsewhere")
    (lists / "site-1.json").write_text(json.dumps(names))
    told = found(DATASET_ROOT=str(tmp_path / "set"), DATALIST_ROOT=str(lists))
    for what in ("datalist", "audit"):
        assert told[what][0] == "warning"
    assert f"names 1 file that lies outside the dataset folder, such as {tmp_path / 'elsewhere'}" in told["datalist"][1]


def test_data_that_fail_the_audit_are_an_error(
    found: Callable[..., dict[str, tuple[str, str]]], phantom: Path, tmp_path: Path
) -> None:
    spoilt = Path(shutil.copytree(phantom, tmp_path / "spoilt"))
    for image in spoilt.rglob("*t1ce*"):
        image.write_bytes(b"no image")
    level, says = found(DATASET_ROOT=str(spoilt), DATALIST_ROOT=str(spoilt / "datalist"))["audit"]
    assert level == "error"
    assert "The audit of the data of site-1 failed" in says


def test_the_report_has_a_line_a_check_and_the_exit_code_of_the_worst(
    small_experiment: Callable[..., Experiment], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    experiment = small_experiment().with_data(Data())
    code = report(checks(experiment, "site-1"), lines.append)
    assert code == 2
    assert len(lines) == 12
    assert lines[-1].startswith("not ready")
    assert job.main(["--check_site", "site-1"]) == 2
