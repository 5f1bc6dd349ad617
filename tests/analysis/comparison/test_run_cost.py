"""A run's cost, from histories made by hand."""

import pandas as pd

from fedmed.analysis.comparison.run_cost import cost_of


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
