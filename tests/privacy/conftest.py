"""The mechanisms' tests share a site's folder, an update, and its release as a site makes it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fedmed.core.names import RUN_VARIABLE, STATE_VARIABLE
from fedmed.privacy.base import Mechanism, PrivateUpdate, ReleaseContext
from fedmed.privacy.ledger import read_ledger, site_ledger
from fedmed.privacy.release import release


@pytest.fixture
def site_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where sites keep their ledgers."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "sites"))
    monkeypatch.setenv(RUN_VARIABLE, "run-001")
    return tmp_path / "sites"


@pytest.fixture
def send(site_state: Path) -> Callable[..., SimpleNamespace]:
    """Releases an update as a site does: what left (``update``, ``told``), and the site's ``ledger`` afterwards."""

    def sent(
        mechanism: Mechanism,
        update: PrivateUpdate,
        steps: int = 1,
        number: int = 0,
        seed: int = 0,
        statistics: tuple[str, ...] = (),
    ) -> SimpleNamespace:
        context = ReleaseContext("site-1", number + 1, steps, seed)
        released = release(update, mechanism, context, "job", statistics=statistics)
        told = released.entry.travelling(mechanism.dp_send_diagnostics)
        return SimpleNamespace(update=released.update, told=told, ledger=read_ledger(site_ledger("site-1", "job")))

    return sent


@pytest.fixture
def update() -> PrivateUpdate:
    rng = np.random.default_rng(5)
    return {"conv.weight": rng.normal(size=(40, 50)).astype(np.float32), "bias": rng.normal(size=30).astype(np.float32)}
