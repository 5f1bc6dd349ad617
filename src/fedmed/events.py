"""TensorBoard's event files as tables."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

COLUMNS = ["run", "site", "tag", "step", "value"]


def read_scalars(run: Path) -> pd.DataFrame:
    """Every scalar under ``run/tb_events/<site>``, with the columns of ``COLUMNS``, sorted by site, tag and step.

    A site's several files, of a run that was resumed, are read as one; where a step was written twice, the later
    writing counts.
    """
    records = [
        (run.name, site.name, tag, event.step, event.value, event.wall_time)
        for site in sorted((run / "tb_events").glob("*"))
        for tag, event in _scalars(site)
    ]
    table = pd.DataFrame(records, columns=[*COLUMNS, "written"]).sort_values(["site", "tag", "step", "written"])
    return table.drop_duplicates(["site", "tag", "step"], keep="last")[COLUMNS].reset_index(drop=True)


def smooth(values: pd.Series, weight: float) -> pd.Series:
    """TensorBoard's smoothing without its debiasing, as published: s_0 = x_0, s_i = w s_(i-1) + (1 - w) x_i."""
    return values.ewm(alpha=1 - weight, adjust=False).mean()


def _scalars(site: Path) -> Iterable[tuple[str, Any]]:
    accumulator = EventAccumulator(str(site), size_guidance={SCALARS: 0})  # 0: every point
    accumulator.Reload()
    return [(tag, event) for tag in accumulator.Tags()[SCALARS] for event in accumulator.Scalars(tag)]
