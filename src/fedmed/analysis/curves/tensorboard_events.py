"""TensorBoard's event files as tables."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.backend.event_processing.io_wrapper import IsSummaryEventsFile

from fedmed.core.names import EVENTS, SERVER, SIMULATED

SCALAR_COLUMNS = ["run", "site", "tag", "step", "value"]

PLACES = (EVENTS, f"{SERVER}/{SIMULATED}/{EVENTS}", f"workspace/{EVENTS}", ".")
"""Places of the sites' folders: in a run folder, in the workspace of FLARE's simulator, in a job downloaded from its
server, or in a folder that holds nothing else."""

FRAME = 16
"""Bytes of a record beside its content: its length and two checksums."""


def read_scalars(run: Path) -> pd.DataFrame:
    """Every scalar of every site, with the columns of ``SCALAR_COLUMNS``, sorted by site, tag and step.

    A site's several files, of a run that was resumed, are read as one; where a step was written twice, the later
    writing counts. A file that was cut off or damaged is read as far as it is whole: :func:`cut_short` names it.
    """
    records = [
        (run.name, site.name, tag, event.step, event.value, event.wall_time)
        for site in site_folders(run)
        for tag, event in _scalars(site)
    ]
    table = pd.DataFrame(records, columns=[*SCALAR_COLUMNS, "written"]).sort_values(["site", "tag", "step", "written"])
    return table.drop_duplicates(["site", "tag", "step"], keep="last")[SCALAR_COLUMNS].reset_index(drop=True)


def site_folders(run: Path) -> list[Path]:
    """The sites' folders with event files, by name, from the first of :data:`PLACES` that has any."""
    for place in PLACES:
        folders = sorted({file.parent for file in _event_files((run / place).glob("*/*"))})
        if folders:
            return folders
    return []


def cut_short(run: Path) -> list[str]:
    """A sentence for each event file that cannot be read to its end, because it was cut off or damaged."""
    files = [file for site in site_folders(run) for file in _event_files(site.iterdir())]
    sentences = []
    for file in sorted(files):
        size, whole = file.stat().st_size, sum(len(record) + FRAME for record in RawEventFileLoader(str(file)).Load())
        if whole < size:
            sentences.append(
                f"{file} is cut off or damaged after {whole} of {size} bytes; what stands before that is used, and "
                "later points of a mean over sites are without it."
            )
        if not size:
            sentences.append(f"{file} is empty; points of a mean over sites are without it.")
    return sentences


def smooth(values: pd.Series, weight: float) -> pd.Series:
    """TensorBoard's smoothing without its debiasing, as published: s_0 = x_0, s_i = w s_(i-1) + (1 - w) x_i.

    Values that are not finite leave a gap and are passed over.
    """
    finite = values[np.isfinite(values)]
    return finite.ewm(alpha=1 - weight, adjust=False).mean().reindex(values.index)


def _event_files(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if IsSummaryEventsFile(str(path)) and path.is_file()]


def _scalars(site: Path) -> Iterable[tuple[str, Any]]:
    accumulator = EventAccumulator(str(site), size_guidance={SCALARS: 0})  # 0: every point
    accumulator.Reload()
    return [(tag, event) for tag in accumulator.Tags()[SCALARS] for event in accumulator.Scalars(tag)]
