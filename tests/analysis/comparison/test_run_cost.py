"""The cost of a run, from histories and ledgers made by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fedmed.analysis.comparison.run_cost import PrivacySpent, cost_of, spent
from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder
from tests.ledgers import entry, ledger

MakeRun = Callable[..., RunFolder]


@pytest.fixture
def make_run(small_experiment: Callable[..., Experiment], tmp_path: Path) -> MakeRun:
    """Makes a run folder from further arguments of job.py; with a ledger where one is given."""

    def make(*arguments: str, ledger: dict[str, Any] | None = None) -> RunFolder:
        run = RunFolder.create(tmp_path / "all runs", "run")
        run.write_experiment(small_experiment(*arguments))
        if ledger is not None:
            run.write_json("privacy_ledger", ledger)
        return run

    return make


def test_the_site_that_spent_most_counts_with_its_last_entry(make_run: MakeRun) -> None:
    entries = [entry("site-2", 2, 5.0), entry("site-1", 1, 9.0), entry("site-1", 2, 3.0), entry("site-2", 1, 1.0)]
    run = make_run(ledger=ledger("patient", "formal", *entries))
    assert spent(run) == PrivacySpent("patient", "formal", 5.0, 1e-5)


def test_what_has_no_epsilon_has_none(make_run: MakeRun) -> None:
    run = make_run("--enable_dp", ledger=ledger("site's update", "heuristic", entry("site-1", 1, None, None)))
    assert spent(run) == PrivacySpent("site's update", "heuristic", None, None)
    assert spent(make_run(ledger=ledger("none", "none"))) == PrivacySpent("none", "none", None, None)
    assert spent(make_run("--enable_dp")) == PrivacySpent("site's update", "heuristic", None, None)


@pytest.mark.parametrize("broken", [{}, {"entries": [{"site": "site-1"}], "mechanism": {}}, [], {"entries": 1}])
def test_a_broken_ledger_is_refused(make_run: MakeRun, broken: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"is no privacy ledger|was changed after it was written"):
        spent(make_run(ledger=broken))


def test_a_formal_run_without_its_ledger_is_refused(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("--enable_dp")
    monkeypatch.setattr(type(run.experiment().privacy), "GUARANTEE", "formal")
    with pytest.raises(InputError, match="svt is formal; give a run that kept its ledger"):
        spent(run)


def row(number: int, site: str, **more: float) -> dict[str, object]:
    return {"round": number, "site": site, **more}


def test_a_round_counts_once_and_traffic_at_every_site() -> None:
    history = [
        *(row(0, site, val_dice=0.1) for site in ("site-1", "site-2")),
        *(row(1, site, round_seconds=10.0, megabytes_sent=18.8) for site in ("site-1", "site-2")),
        row(2, "site-1", round_seconds=5.5, megabytes_sent=18.8),
        row(2, "site-2", refused=1.0),
    ]
    found = cost_of(pd.DataFrame(history))
    assert (found.rounds, found.seconds) == (2, 15.5)
    assert found.megabytes_sent is not None
    assert round(found.megabytes_sent, 6) == 56.4


def test_what_an_older_run_did_not_record_is_not_known() -> None:
    history = pd.DataFrame([row(0, "site-1"), row(1, "site-1"), row(2, "site-1")])
    assert cost_of(history) == (2, None, None)
    assert cost_of(pd.DataFrame([])) == (0, None, None)
