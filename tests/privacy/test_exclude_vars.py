"""The filter of parameters by name, called heuristic, against FLARE's."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.filters.exclude_vars import ExcludeVars as FlaresExcludeVars

from fedmed.core.errors import InputError
from fedmed.experiment import Experiment
from fedmed.privacy.base import PrivateUpdate
from fedmed.privacy.exclude_vars import ExcludeVars

Send = Callable[..., SimpleNamespace]


def test_what_matches_is_sent_as_no_change_and_named(update: PrivateUpdate, send: Send) -> None:
    sent = send(ExcludeVars(exclude_vars="^conv"), update)
    assert not sent.update["conv.weight"].any()
    assert np.array_equal(sent.update["bias"], update["bias"])
    assert sent.told["facts"]["excluded"] == ["conv.weight"]


@pytest.mark.parametrize("pattern", ["conv", "^bias$", "s", "t|b", r"\.", "nothing"])
def test_it_excludes_what_flares_filter_excludes(pattern: str, update: PrivateUpdate) -> None:
    dxo = DXO(DataKind.WEIGHT_DIFF, data=dict(update))
    FlaresExcludeVars(pattern).process_dxo(dxo, Shareable(), FLContext())
    assert ExcludeVars(exclude_vars=pattern).excluded(update) == sorted(set(update) - set(dxo.data))


@pytest.mark.parametrize("pattern", ["", "("])
def test_a_bad_expression_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match="exclude_vars"):
        ExcludeVars(exclude_vars=pattern)


@pytest.mark.parametrize(("pattern", "found"), [("nothing like it", "none"), (".", "each")])
def test_an_expression_for_none_or_all_parameters_is_refused(
    pattern: str, found: str, small_experiment: Callable[..., Experiment]
) -> None:
    with pytest.raises(InputError, match=f"matches {found} of the network's 83 parameters"):
        small_experiment("--privacy", "exclude_vars", "--exclude_vars", pattern)
    small_experiment("--privacy", "exclude_vars", "--exclude_vars", "convInit")


def test_it_promises_nothing() -> None:
    assert ExcludeVars.GUARANTEE == "heuristic"
    assert "no guarantee" in ExcludeVars(exclude_vars="a").statement()
