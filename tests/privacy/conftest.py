"""What the mechanisms' tests share: sending one update through a mechanism's filter, as a site does."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from nvflare.apis.dxo import from_shareable

from fedmed.core.names import PRIVACY, RUN_VARIABLE, STATE_VARIABLE
from fedmed.core.options import to_plain
from fedmed.environments.flare.privacy_filter import PrivacyFilter
from fedmed.privacy.base import Mechanism, PrivateUpdate
from fedmed.privacy.ledger import Ledger, read_ledger, site_ledger
from tests.privacy.results import context, result


@pytest.fixture
def site_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where sites keep their ledgers."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "sites"))
    monkeypatch.setenv(RUN_VARIABLE, "run-001")
    return tmp_path / "sites"


@pytest.fixture
def send(site_state: Path) -> Callable[..., SimpleNamespace]:
    """Sends an update through a new filter: what left (``update``, ``meta``), and the site's ``ledger`` afterwards."""

    def sent(
        mechanism: Mechanism,
        update: PrivateUpdate,
        steps: int = 1,
        number: int = 0,
        seed: int = 0,
        statistics: tuple[str, ...] = (),
    ) -> SimpleNamespace:
        item = PrivacyFilter({"name": mechanism.name, **to_plain(mechanism)}, seed, statistics=statistics)
        shareable = item.process(result(update, steps=steps, number=number), context())
        dxo = from_shareable(shareable)
        ledger: Ledger = read_ledger(site_ledger("site-1", "job"))
        return SimpleNamespace(update=dxo.data, meta=dxo.meta, told=dxo.meta[PRIVACY], ledger=ledger)

    return sent


@pytest.fixture
def update() -> PrivateUpdate:
    rng = np.random.default_rng(5)
    return {"conv.weight": rng.normal(size=(40, 50)).astype(np.float32), "bias": rng.normal(size=30).astype(np.float32)}
