"""The release of an update: checked, changed, booked, and only then handed on; what was given stays as it was."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fedmed.core import registry
from fedmed.core.errors import InputError
from fedmed.core.names import RUN_VARIABLE
from fedmed.privacy.base import Mechanism, PrivateUpdate, ReleaseContext, Released
from fedmed.privacy.exclude_vars import ExcludeVars
from fedmed.privacy.gaussian import Gaussian
from fedmed.privacy.ledger import Ledger, read_ledger, site_ledger
from fedmed.privacy.percentile import Percentile
from fedmed.privacy.release import release
from fedmed.privacy.svt import SVT

Send = Callable[..., SimpleNamespace]
ALL = [Gaussian(dp_noise_multiplier=1.0), SVT(), Percentile(), ExcludeVars(exclude_vars="bias")]
EACH = pytest.mark.parametrize("mechanism", ALL, ids=lambda mechanism: mechanism.name)


def released(mechanism: Mechanism, update: Any, number: int = 1, run: str = "job", **beside: Any) -> Mapping[str, Any]:
    return release(update, mechanism, ReleaseContext("site-1", number, 2, 0), run, **beside).update


def test_every_mechanism_on_updates_is_tried_here() -> None:
    acts = {n for n in registry.names("privacy") if registry.find("privacy", n).release is not Mechanism.release}
    assert acts == {mechanism.name for mechanism in ALL}


@EACH
def test_what_was_given_stays_as_it_was(mechanism: Mechanism, update: PrivateUpdate, site_state: Path) -> None:
    given = {name: values.copy() for name, values in update.items()} | {"counter": np.array(3)}
    sent = released(mechanism, given)
    assert all(np.array_equal(given[name], update[name]) for name in update)
    assert not any(np.shares_memory(given[name], sent[name]) for name in update)
    assert set(sent) == set(given)
    assert int(sent["counter"]) == 3
    assert ledger().entries[0].facts["passed_as_they_are"] == ["counter"]


def ledger(run: str = "job") -> Ledger:
    return read_ledger(site_ledger("site-1", run))


@EACH
def test_every_release_is_booked_at_the_site(mechanism: Mechanism, update: PrivateUpdate, send: Send) -> None:
    for number in range(3):
        sent = send(mechanism, update, number=number)
    entries = sent.ledger.entries
    assert [entry.round for entry in entries] == [1, 2, 3]
    totals = [entry.epsilon_total for entry in entries]
    if totals[0] is not None:
        assert totals == sorted(set(totals))
        assert [entry.epsilon_next for entry in entries][:2] == pytest.approx(totals[1:])
    assert sent.told["diagnostics"] is None
    assert "cosine" in (entries[0].diagnostics or {})


@EACH
def test_it_is_booked_before_it_is_handed_on(
    mechanism: Mechanism, update: PrivateUpdate, site_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Ledger, path: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Ledger, "save", full)
    with pytest.raises(OSError, match="no space left"):
        released(mechanism, update)


@EACH
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"w": np.full(3, np.nan)}, "NaN"),
        ({"w": np.array(["text"])}, "expected floats"),
        ({}, "."),
        (None, "."),
        ([np.ones(3)], "."),
    ],
)
def test_what_is_not_understood_does_not_leave(given: Any, why: str, mechanism: Mechanism, site_state: Path) -> None:
    with pytest.raises(InputError, match=why):
        released(mechanism, given)
    assert not site_ledger("site-1", "job").exists()


@EACH
def test_arrays_beside_an_update_are_covered_by_nothing(
    mechanism: Mechanism, update: PrivateUpdate, site_state: Path
) -> None:
    with pytest.raises(InputError, match="arrays of its algorithm beside the update"):
        released(mechanism, update, extras={"control": np.ones(3)})
    assert not site_ledger("site-1", "job").exists()
    assert released(mechanism, update, extras={})


def test_a_mechanism_that_changes_more_than_values_is_stopped_and_books_nothing(
    update: PrivateUpdate, site_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Percentile.release

    def more(self: Percentile, given: PrivateUpdate, context: ReleaseContext, ledger: Ledger) -> Released:
        found = usual(self, given, context, ledger)
        return found._replace(update={**found.update, "raw": given["bias"]})

    monkeypatch.setattr(Percentile, "release", more)
    with pytest.raises(InputError):
        released(Percentile(), update)
    assert not site_ledger("site-1", "job").exists()


def test_running_statistics_pass_a_heuristic_mechanism_as_they_are_and_no_formal_one(
    update: PrivateUpdate, site_state: Path
) -> None:
    given = {**update, "norm.running_mean": np.array([1.5, 2.5], np.float32)}
    sent = released(Percentile(), given, statistics=["norm.running_mean"])
    assert sent["norm.running_mean"].tolist() == [1.5, 2.5]
    assert ledger().entries[0].facts["passed_as_they_are"] == ["norm.running_mean"]
    site_ledger("site-1", "job").unlink()
    with pytest.raises(InputError, match=r"norm\.running_mean is computed from patients"):
        released(ALL[0], given, statistics=["norm.running_mean"])
    assert not site_ledger("site-1", "job").exists()


def test_an_edited_ledger_stops_the_site(update: PrivateUpdate, site_state: Path) -> None:
    released(ALL[0], update)
    path = site_ledger("site-1", "job")
    path.write_text(path.read_text().replace('"round": 1', '"round": 0'))
    with pytest.raises(InputError, match="changed after it was written"):
        released(ALL[0], update, 2)


def test_no_release_exceeds_the_budget(update: PrivateUpdate, send: Send) -> None:
    one = send(Gaussian(dp_noise_multiplier=2.0, dp_max_epsilon=100.0), update, 2).ledger.total
    site_ledger("site-1", "job").unlink()
    tight = Gaussian(dp_noise_multiplier=2.0, dp_max_epsilon=one * 1.001)
    send(tight, update, 2)
    with pytest.raises(InputError, match="nothing is sent"):
        released(tight, update, 2)
    assert ledger().total == one  # what was refused is not booked


def test_the_jobs_of_one_run_share_a_ledger_and_other_runs_have_their_own(
    update: PrivateUpdate, site_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RUN_VARIABLE)  # as at a site of a federation
    for number in (1, 2):
        released(ALL[0], update, number, "one-run")
    released(ALL[0], update, 1, "another-run")
    shared, other = ledger("one-run"), ledger("another-run")
    assert [entry.round for entry in shared.entries] == [1, 2]
    assert [entry.round for entry in other.entries] == [1]
    assert shared.total > other.total
    assert (shared.run, other.run) == ("one-run", "another-run")


def test_ledgers_of_two_names_stand_side_by_side(update: PrivateUpdate, site_state: Path) -> None:
    released(ALL[0], update, ledger_name="of_the_site.json")
    released(SVT(), update)
    assert ledger().mechanism["name"] == "svt"
    assert read_ledger(site_ledger("site-1", "job", "of_the_site.json")).mechanism["name"] == "gaussian"


@pytest.mark.parametrize("beside", [{"run": "../up"}, {"ledger_name": "../up.json"}])
def test_a_name_that_is_no_plain_one_lets_nothing_leave(
    beside: dict[str, str], update: PrivateUpdate, site_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RUN_VARIABLE)
    with pytest.raises(InputError, match="is called"):
        released(SVT(), update, **beside)
    assert not list(site_state.parent.rglob("*.json"))
