"""A site whose ledger over all jobs has no room for a round withholds it, before it is trained."""

# ruff: noqa: F811, the arguments of tests are fixtures of another file

import json
from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.core.names import POLICY_VARIABLE, SITE_LEDGER_VARIABLE
from fedmed.privacy.accounting import epsilon_of
from fedmed.privacy.site_wide_ledger import SiteWideLedger, begin_site_wide_ledger
from fedmed.site.local_training import LocalSite
from tests.site.test_site import NOISE, NOTHING, Make, kept, make_site, train  # noqa: F401


@pytest.fixture
def all_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteWideLedger:
    """This site's ledger over all jobs, and a policy that allows a patient two rounds of gaussian noise and a bit."""
    path = tmp_path / "policy.json"
    budget = epsilon_of([(1 / 2, 1.0, 2)], 1e-3) * 1.001
    path.write_text(json.dumps({"max_epsilon": budget, "max_delta": 1e-3}))
    monkeypatch.setenv(POLICY_VARIABLE, str(path))
    monkeypatch.setenv(SITE_LEDGER_VARIABLE, str(tmp_path / "all jobs"))
    return begin_site_wide_ledger(tmp_path / "all jobs")


ONE_ROUND = ("--privacy", "gaussian", *NOISE, "--dp_max_epsilon", "8")


def test_the_policys_budget_covers_all_jobs_and_a_round_beyond_it_is_not_trained(
    make_site: Make, all_jobs: SiteWideLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = make_site(*ONE_ROUND, run="one"), make_site(*ONE_ROUND, run="two")
    assert train(one).update
    assert train(two).update
    monkeypatch.setattr(LocalSite, "train", None)
    assert train(one, 1) == NOTHING
    assert train(make_site(*ONE_ROUND, run="three")) == NOTHING
    assert "over all jobs since" in make_site.reports[-1]  # type: ignore[attr-defined]
    assert [rounds.rounds for rounds in SiteWideLedger(all_jobs.folder).jobs.values()] == [1, 1]


def test_patients_of_another_site_of_the_machine_have_a_budget_of_their_own(
    make_site: Make, all_jobs: SiteWideLedger
) -> None:
    for run in ("one", "two"):
        assert train(make_site(*ONE_ROUND, run=run)).update
    assert train(make_site(*ONE_ROUND, run="three", site="site-2")).update
    assert train(make_site(*ONE_ROUND, run="three")) == NOTHING


def test_a_site_whose_ledger_over_all_jobs_is_lost_neither_starts_nor_goes_on(
    make_site: Make, all_jobs: SiteWideLedger
) -> None:
    site = make_site(*ONE_ROUND)
    (all_jobs.folder / "spent.jsonl").unlink()
    assert train(site) == NOTHING
    assert "is damaged or was edited" in make_site.reports[-1]  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="is damaged or was edited"):
        make_site(*ONE_ROUND)


def test_its_patients_are_those_of_training_and_no_name_of_one_is_in_it(
    make_site: Make, all_jobs: SiteWideLedger
) -> None:
    site = make_site(*ONE_ROUND)
    train(site)
    (known,) = SiteWideLedger(all_jobs.folder).datasets.values()
    listed = site.local._datalist.training
    assert len(known) == len({site.local.task.patient_of(case) for case in listed})
    text = (all_jobs.folder / "spent.jsonl").read_text()
    assert not any(name in text for case in listed for name in (case.name, site.local.task.patient_of(case)))


def test_patients_who_choose_the_epoch_pay_for_the_update_too(make_site: Make, all_jobs: SiteWideLedger) -> None:
    site = make_site(*ONE_ROUND, "--send", "best")
    train(site)
    (known,) = SiteWideLedger(all_jobs.folder).datasets.values()
    listed = [*site.local._datalist.training, *site.local._datalist.validation]
    assert len(known) == len({site.local.task.patient_of(case) for case in listed}) == 14
