"""Every model scored at every site of a pool, after the last round, in the form of FLARE's results."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedmed.core.names import BEST_FILE, CROSS_SITE_RESULTS, LAST_FILE, MODELS
from fedmed.core.timing import TIMING
from fedmed.environments.worker_pool.worker_messages import Answered, Failed, GiveOwn, ScoreModel
from fedmed.environments.worker_pool.workers import Workers
from fedmed.experiment import Experiment


def score_all_models(experiment: Experiment, workers: Workers, run: Path, arrays: Path) -> None:
    """Write the scores of the global models and of each site's own at every site; who fails has none.

    Args:
        run: the server's folder, with the models.
        arrays: folder of the workers' answers.
    """
    sites, rounds = experiment.training.sites, experiment.training.num_rounds
    models: dict[str, Path] = {}
    if experiment.algorithm.has_global_model:
        models = {f"SRV_{name}": run / MODELS / name for name in (LAST_FILE, BEST_FILE)}
    workers.send(sites, lambda asked: GiveOwn(rounds, asked))
    for event in _answers(workers, len(sites)):
        if event.arrays is not None:
            models[event.site] = Path(shutil.move(event.arrays, arrays / f"own-{event.site}.pt"))
    results: dict[str, dict[str, Any]] = {site: {} for site in sites}
    for model, path in models.items():
        if path.is_file():
            workers.send(sites, lambda asked, model=model, path=path: ScoreModel(model, path, asked))  # type: ignore[misc]
            for event in _answers(workers, len(sites)):
                results[event.site][model] = dict(event.answer.metrics)
    target = run / CROSS_SITE_RESULTS
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _answers(workers: Workers, count: int) -> Iterator[Answered]:
    """The answers of so many sites, without those that fail."""
    done = 0
    while done < count:
        for event in workers.wait(TIMING.follow_s):
            done += isinstance(event, Answered | Failed)
            if isinstance(event, Answered):
                yield event
