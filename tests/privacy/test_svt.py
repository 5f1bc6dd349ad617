"""SVT: FLARE's filter between two guards, with the published options, run on updates whose answer is known."""

import math

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.filter import ContentBlockedException
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.filters.svt_privacy import SVTPrivacy

from fedmed.errors import InputError
from fedmed.privacy.guard import FiniteDifferenceGuard
from fedmed.privacy.svt import SVT

# so little noise, in the selection and in what is released, that only clipping and sampling are left
QUIET = {"dp_epsilon": 1e12, "dp_noise_var": 1e12}


def sent(mechanism: SVT, update: dict[str, np.ndarray], steps: int = 1) -> dict[str, np.ndarray]:
    """What leaves the site."""
    np.random.seed(0)  # FLARE draws from the global generator
    dxo = DXO(DataKind.WEIGHT_DIFF, data=update, meta={FLMetaKey.NUM_STEPS_CURRENT_ROUND: steps})
    shareable = dxo.to_shareable()
    for item in mechanism.filters():
        shareable = item.process(shareable, FLContext())
    data: dict[str, np.ndarray] = from_shareable(shareable).data
    return data


def test_svt_stands_between_two_guards_with_the_options_given() -> None:
    first, svt, last = SVT(dp_epsilon=0.5, dp_fraction=0.8, dp_noise_var=0.25, dp_gamma=1e-3).filters()
    assert isinstance(first, FiniteDifferenceGuard)
    assert isinstance(last, FiniteDifferenceGuard)
    assert isinstance(svt, SVTPrivacy)
    assert (svt.epsilon, svt.fraction, svt.noise_var, svt.gamma) == (0.5, 0.8, 0.25, 1e-3)
    assert svt.data_kinds == [DataKind.WEIGHT_DIFF]


def test_the_defaults_are_the_published_ones() -> None:
    svt = SVT().filters()[1]
    assert (svt.epsilon, svt.fraction, svt.noise_var, svt.gamma) == (0.001, 0.9, 1.0, 1e-4)


def test_filters_are_new_for_every_job() -> None:
    mechanism = SVT()
    one, other = mechanism.filters(), mechanism.filters()
    assert not any(a is b for a in one for b in other)


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ("dp_epsilon", "dp_noise_var", "dp_gamma") for value in (0, -1, math.nan, math.inf)]
    + [("dp_fraction", value) for value in (0, -0.1, 1.1, math.nan)],
)
def test_a_bad_option_is_refused_and_shown(name: str, value: float) -> None:
    with pytest.raises(InputError) as caught:
        SVT(**{name: value})
    assert f"--{name} is {value};" in str(caught.value)


def test_what_leaves_is_clipped_at_gamma_times_the_steps() -> None:
    update = {"w": np.linspace(-1, 1, 400).reshape(20, 20)}
    out = sent(SVT(**QUIET, dp_fraction=0.9, dp_gamma=1e-2), update, steps=5)["w"]
    assert out.shape == (20, 20)
    assert np.abs(out).max() <= 5 * 1e-2 * (1 + 1e-6)
    kept = out != 0
    np.testing.assert_allclose(out[kept], np.clip(update["w"], -0.05, 0.05)[kept], rtol=1e-6)
    assert 0.4 < kept.mean() <= 0.9  # sampled with replacement: 1 - exp(-0.9) = 59 % of the values at least once


def test_only_values_above_the_threshold_leave() -> None:
    update = {"w": np.concatenate([np.full(200, 1e-3), np.zeros(800)])}
    out = sent(SVT(**QUIET, dp_fraction=0.1, dp_gamma=1e-2), update)["w"]
    assert not out[200:].any()
    assert 0 < np.count_nonzero(out) <= 100
    np.testing.assert_allclose(out[out != 0], 1e-3, rtol=1e-6)


def test_the_released_noise_has_the_stated_scale() -> None:
    gamma, noise_var = 1e-3, 0.5
    out = sent(SVT(dp_epsilon=1e12, dp_fraction=0.5, dp_noise_var=noise_var, dp_gamma=gamma), {"w": np.ones(40000)})
    noise = out["w"][out["w"] != 0] - gamma
    assert np.abs(noise).mean() == pytest.approx(2 * gamma / noise_var, rel=0.05)  # a Laplace variable's mean size


def test_the_published_noise_drowns_the_update() -> None:
    """Why the summary calls it no meaningful guarantee and no harmless one either."""
    update = {"w": np.full(4000, 1e-4)}
    out = sent(SVT(), update)["w"]
    assert np.std(out[out != 0]) > 1e-4


def test_an_update_with_nan_is_refused_instead_of_searched_for_ever() -> None:
    with pytest.raises(ContentBlockedException, match="w"):
        sent(SVT(), {"w": np.full(10, np.nan)})


def test_the_summary_promises_no_formal_guarantee() -> None:
    assert (SVT.UNIT, SVT.GUARANTEE) == ("site's update", "heuristic")
    assert "0.001" in SVT().statement()
    assert "no meaningful" in SVT().statement()
