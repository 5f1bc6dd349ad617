"""A site's own minimum: a job that asks for less is refused, and a policy that cannot be read lets nothing run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.filter import ContentBlockedException
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply

from fedmed.core.errors import InputError
from fedmed.core.names import POLICY_VARIABLE, PRIVACY
from fedmed.environments.flare.policy_filter import PolicyFilter
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import Entry
from fedmed.privacy.policy import Policy, enforce

Make = Callable[..., Experiment]
DP = ("--privacy", "dpsgd", "--dp_target_epsilon", "8", "--num_rounds", "5")
NOISY = ("--privacy", "dpsgd", "--dp_noise_multiplier", "2", "--num_rounds", "5")
SITE_DP = ("--privacy", "gaussian", "--dp_target_epsilon", "8", "--num_rounds", "5")


@pytest.mark.parametrize(
    ("policy", "job", "fault"),
    [
        (Policy(), (), None),
        (Policy(guarantee="heuristic"), (), "a heuristic guarantee is demanded and --privacy none gives none"),
        (Policy(guarantee="heuristic"), ("--privacy", "svt"), None),
        (Policy(guarantee="formal"), ("--privacy", "svt"), "--privacy svt gives a heuristic one"),
        (Policy(guarantee="formal"), SITE_DP, None),
        (Policy(unit="patient"), SITE_DP, "the unit must be patient"),
        (Policy(unit="patient"), DP, None),
        (Policy(max_epsilon=8, max_delta=1e-4), DP, None),
        (Policy(max_epsilon=4, max_delta=1e-4), DP, "epsilon may be at most 4 and the job would spend"),
        (Policy(max_epsilon=4, max_delta=1e-4), (*NOISY, "--dp_max_epsilon", "3.9"), None),
        (Policy(max_epsilon=4, max_delta=1e-4), (), "--privacy none states none"),
        (Policy(max_epsilon=4, max_delta=1e-4), ("--privacy", "percentile"), "states none"),
        (Policy(max_epsilon=4, max_delta=1e-4), ("--privacy", "svt"), "states none"),
        (Policy(max_delta=1e-6), DP, "delta may be at most 1e-06"),
        (Policy(metrics="withheld"), DP, None),
        (Policy(metrics="withheld"), (*DP, "--dp_release_metrics"), "scores and losses must stay"),
        (Policy(metrics="withheld"), ("--privacy", "svt"), "scores and losses must stay"),
        (Policy(guarantee="formal"), (*DP, "--insecure_seeded_noise"), "protects nothing"),
        (Policy(max_epsilon=8, max_delta=1e-4), (*DP, "--insecure_seeded_noise"), "protects nothing"),
        (Policy(metrics="withheld"), (*DP, "--dp_send_diagnostics"), "--dp_send_diagnostics sends it"),
    ],
)
def test_what_a_policy_refuses(policy: Policy, job: tuple[str, ...], fault: str | None, small_experiment: Make) -> None:
    found = policy.fault_of(small_experiment(*job), 10)
    assert found is None if fault is None else fault in str(found)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(guarantee="heuristic"),
        Policy(unit="patient"),
        Policy(max_epsilon=1e6, max_delta=1e-4),
        Policy(metrics="withheld"),
    ],
)
def test_a_site_that_demands_any_privacy_gives_no_model_of_its_own_away(policy: Policy, small_experiment: Make) -> None:
    assert policy.fault_of(small_experiment("--cross_site"), 10)


def test_a_site_with_a_policy_refuses_a_job_and_one_without_does_not(
    small_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enforce(small_experiment(), "site-1", 10)
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"guarantee": "formal", "unit": "patient", "max_epsilon": 8, "max_delta": 1e-4}))
    monkeypatch.setenv(POLICY_VARIABLE, str(path))
    enforce(small_experiment(*DP), "site-1", 10)
    with pytest.raises(InputError, match="The privacy policy of site-1 refuses this job: a formal guarantee"):
        enforce(small_experiment(), "site-1", 10)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"guarantee": "absolute"}', '{"max_epsilon": -1}', '{"max_epsilon": "8"}', '{"min_epsilon": 8}', "\0",
     '{"max_epsilon": NaN}', '{"max_delta": 2}', '{"max_epsilon": 8}'],
)  # fmt: skip
def test_a_policy_that_cannot_be_used_lets_nothing_run(
    content: str, small_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.json"
    path.write_text(content)
    monkeypatch.setenv(POLICY_VARIABLE, str(path))
    with pytest.raises(InputError, match=r"policy\.json"):
        enforce(small_experiment(*DP), "site-1", 10)


def test_a_policy_that_is_named_and_missing_lets_nothing_run(
    small_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POLICY_VARIABLE, str(tmp_path / "nowhere.json"))
    with pytest.raises(InputError, match="nowhere"):
        enforce(small_experiment(*DP), "site-1", 10)


def filtered(told: Any) -> Shareable:
    dxo = DXO(DataKind.WEIGHT_DIFF, data={"w": 1.0}, meta={PRIVACY: told})
    return PolicyFilter(max_epsilon=8.0, max_delta=1e-5).process(dxo.to_shareable(), FLContext())


def test_flares_own_scope_lets_only_what_is_within_the_policy_leave() -> None:
    good = Entry("site-1", 1, 1.0, 7.9, 9.0, 1e-5).travelling(False)
    filtered(good)
    for bad, why in (
        (None, "without an entry"),
        ({"epsilon_total": 1.0}, "other names"),
        ({**good, "epsilon_total": 8.1}, "epsilon 8.1"),
        ({**good, "delta": 1e-3}, "delta 0.001"),
        ({**good, "epsilon_total": None}, "states no epsilon"),
    ):
        with pytest.raises(ContentBlockedException, match=why):
            filtered(bad)
    scores = DXO(DataKind.METRICS, data={"val_dice": 0.7}, meta={"which_images": {"key": ["a"]}}).to_shareable()
    passed = from_shareable(PolicyFilter(8.0, 1e-4).process(scores, FLContext()))
    assert (passed.data, passed.meta["which_images"]) == ({"val_cases": 0}, {})
    trained = DXO(DataKind.WEIGHT_DIFF, data={"w": 1.0}, meta={PRIVACY: {**good, "diagnostics": {"cosine": 0.5}}})
    trained.set_meta_prop(MetaKey.INITIAL_METRICS, {"val_dice": 0.7})
    passed = from_shareable(PolicyFilter(8.0, 1e-4).process(trained.to_shareable(), FLContext()))
    assert set(passed.meta) == {PRIVACY}
    assert passed.meta[PRIVACY]["diagnostics"] is None
    failed = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    assert PolicyFilter(8.0, 1e-4).process(failed, FLContext()).get_return_code() == ReturnCode.EXECUTION_EXCEPTION
