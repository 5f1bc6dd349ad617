"""The filter: nothing leaves unchecked or unbooked, and what was given stays as it was."""

from pathlib import Path

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.filter import ContentBlockedException
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import Shareable

from fedmed.core.names import EXTRAS, RUN_VARIABLE, WITHHELD
from fedmed.core.options import to_plain
from fedmed.environments.flare.privacy_filter import PrivacyFilter
from fedmed.privacy.base import Mechanism, PrivateUpdate
from fedmed.privacy.exclude_vars import ExcludeVars
from fedmed.privacy.gaussian import Gaussian
from fedmed.privacy.ledger import read_ledger, site_ledger
from fedmed.privacy.percentile import Percentile
from fedmed.privacy.svt import SVT
from tests.privacy.results import context, result

ALL = [Gaussian(dp_noise_multiplier=1.0), SVT(), Percentile(), ExcludeVars(exclude_vars="bias")]


def refused(shareable: Shareable, mechanism: Mechanism = ALL[0]) -> str:
    with pytest.raises(ContentBlockedException) as caught:
        PrivacyFilter({"name": mechanism.name, **to_plain(mechanism)}).process(shareable, context())
    return str(caught.value)


@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
def test_what_was_given_stays_as_it_was(mechanism: Mechanism, update: PrivateUpdate, site_state: Path) -> None:
    given = result({name: values.copy() for name, values in update.items()} | {"counter": np.int64(3)}, steps=2)
    passed = PrivacyFilter({"name": mechanism.name, **to_plain(mechanism)}).process(given, context())
    before, after = from_shareable(given), from_shareable(passed)
    assert all(np.array_equal(before.data[name], update[name]) for name in update)
    assert not any(np.shares_memory(before.data[name], after.data[name]) for name in update)
    assert set(after.data) == set(before.data)
    assert after.meta["NUM_STEPS_CURRENT_ROUND"] == 2
    assert "privacy" not in (before.meta or {})
    assert int(after.data["counter"]) == 3
    assert after.meta["privacy"]["facts"]["passed_as_they_are"] == ["counter"]


@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
@pytest.mark.parametrize(
    ("shareable", "why"),
    [
        (result({"w": np.full(3, np.nan)}), "NaN"),
        (result({"w": np.ones(3)}, DataKind.WEIGHTS), "WEIGHTS"),
        (result({"w": np.array(["text"])}), "expected floats"),
        (result({"w": np.ones(3)}, steps=0), "0 optimiser steps"),
        (result({"w": np.ones(3)}, steps=None), "None optimiser steps"),
        (result({"w": np.ones(3)}, steps=True), "True optimiser steps"),
        (result({"w": np.ones(3)}, number=None), "no round"),
    ],
)
def test_what_is_not_understood_does_not_leave(
    shareable: Shareable, why: str, mechanism: Mechanism, site_state: Path
) -> None:
    assert why in refused(shareable, mechanism)
    assert not site_ledger("site-1", "job").exists()


def test_what_is_no_result_at_all_does_not_leave(site_state: Path) -> None:
    item = PrivacyFilter({"name": "svt", **to_plain(SVT())})
    with pytest.raises(ValueError, match="not a valid DXO"):
        item.process(Shareable({"w": 1}), context())


def test_a_failed_result_passes_as_what_it_is() -> None:
    failed = result({"w": np.ones(3)}, DataKind.WEIGHTS)
    failed.set_return_code(ReturnCode.EXECUTION_EXCEPTION)
    passed = PrivacyFilter({"name": "svt"}).process(failed, context())
    assert passed.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    assert "DXO" not in passed  # whatever it held stays at the site
    with pytest.raises(ValueError, match="not a valid DXO"):
        from_shareable(passed)


def test_nothing_unknown_leaves_beside_an_update_with_a_formal_guarantee(
    update: PrivateUpdate, site_state: Path
) -> None:
    given = result(update, steps=4)
    dxo = from_shareable(given)
    dxo.set_meta_prop("scaffold_c_diff", {"w": np.ones(3)})
    passed = PrivacyFilter({"name": "gaussian", **to_plain(ALL[0])}).process(dxo.update_shareable(given), context())
    assert set(from_shareable(passed).meta) == {"NUM_STEPS_CURRENT_ROUND", "privacy"}


def test_running_statistics_pass_a_heuristic_mechanism_as_they_are_and_no_formal_one(
    update: PrivateUpdate, site_state: Path
) -> None:
    given = {**update, "norm.running_mean": np.array([1.5, 2.5], np.float32)}

    def passed(mechanism: Mechanism) -> DXO:
        item = PrivacyFilter({"name": mechanism.name, **to_plain(mechanism)}, statistics=["norm.running_mean"])
        return from_shareable(item.process(result(given), context()))

    heuristic = passed(Percentile())
    assert heuristic.data["norm.running_mean"].tolist() == [1.5, 2.5]
    assert heuristic.meta["privacy"]["facts"]["passed_as_they_are"] == ["norm.running_mean"]
    site_ledger("site-1", "job").unlink()
    with pytest.raises(ContentBlockedException, match=r"norm\.running_mean is computed from patients"):
        passed(ALL[0])
    assert not site_ledger("site-1", "job").exists()


@pytest.mark.parametrize("mechanism", ALL, ids=lambda m: m.name)
def test_what_an_algorithm_sends_beside_an_update_is_covered_by_nothing(
    mechanism: Mechanism, update: PrivateUpdate, site_state: Path
) -> None:
    given = result(update)
    dxo = from_shareable(given)
    dxo.set_meta_prop(EXTRAS, {"control": np.ones(3)})
    assert "beside the update" in refused(dxo.update_shareable(given), mechanism)
    assert not site_ledger("site-1", "job").exists()


def test_a_sites_own_scope_keeps_a_ledger_beside_the_jobs(update: PrivateUpdate, site_state: Path) -> None:
    plain = {"name": "gaussian", **to_plain(ALL[0])}
    by_site = PrivacyFilter(plain, ledger_name="of_the_site.json").process(result(update), context())
    passed = PrivacyFilter({"name": "svt", **to_plain(SVT())}).process(by_site, context())
    assert from_shareable(passed).meta["privacy"]["facts"]["selection_epsilon"] > 0
    assert site_ledger("site-1", "job").exists()
    assert read_ledger(site_ledger("site-1", "job", "of_the_site.json")).mechanism["name"] == "gaussian"


def test_in_a_sites_own_scope_scores_stay_where_the_mechanism_withholds_them(
    update: PrivateUpdate, site_state: Path
) -> None:
    def passed(mechanism: Mechanism, shareable: Shareable) -> DXO:
        site_ledger("site-1", "job").unlink(missing_ok=True)
        item = PrivacyFilter({"name": mechanism.name, **to_plain(mechanism)})
        return from_shareable(item.process(shareable, context()))

    def scores() -> Shareable:
        return result({"val_dice": 0.7}, DataKind.METRICS)

    assert passed(Gaussian(dp_noise_multiplier=1.0), scores()).data == {"val_cases": 0}
    assert passed(SVT(), scores()).data == {"val_dice": 0.7}
    withheld = DXO(DataKind.METRICS, data={"val_cases": 0}, meta={WITHHELD: True, "more": 1}).to_shareable()
    assert passed(Gaussian(dp_noise_multiplier=1.0), withheld).meta == {WITHHELD: True}  # which tells no more
    trained = result(update)
    dxo = from_shareable(trained)
    dxo.set_meta_prop(MetaKey.INITIAL_METRICS, {"train_loss": 0.1})
    trained = dxo.update_shareable(trained)
    assert MetaKey.INITIAL_METRICS not in passed(Gaussian(dp_noise_multiplier=1.0), trained).meta
    assert MetaKey.INITIAL_METRICS in passed(Percentile(), trained).meta


def test_the_filter_can_be_exported_by_flare() -> None:
    item = PrivacyFilter({"name": "svt"}, seed=3)
    assert (item.mechanism, item.seed) == ({"name": "svt"}, 3)


def test_the_jobs_of_one_run_share_a_ledger_and_other_runs_have_their_own(
    update: PrivateUpdate, site_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RUN_VARIABLE)  # as at a site of a federation, where FLARE names each job anew
    plain = {"name": "gaussian", **to_plain(ALL[0])}
    for number, job in enumerate(("job-1", "job-2")):
        PrivacyFilter(plain, run_id="one-run").process(result(update, number=number), context(job=job))
    PrivacyFilter(plain, run_id="another-run").process(result(update), context(job="job-3"))
    PrivacyFilter(plain).process(result(update), context(job="job-3"))
    shared, other, own = (read_ledger(site_ledger("site-1", run)) for run in ("one-run", "another-run", "job-3"))
    assert [entry.round for entry in shared.entries] == [1, 2]
    assert [entry.round for entry in other.entries] == [entry.round for entry in own.entries] == [1]
    assert shared.total > other.total == own.total
    assert (shared.run, other.run, own.run) == ("one-run", "another-run", "job-3")
    assert not (site_state / "job-1").exists()


def test_a_run_of_no_plain_name_lets_nothing_leave(update: PrivateUpdate, site_state: Path) -> None:
    item = PrivacyFilter({"name": "svt", **to_plain(SVT())}, run_id="../up")
    with pytest.raises(ContentBlockedException, match="The run is called"):
        item.process(result(update), context())
    assert not list(site_state.parent.rglob("*.json"))
