"""The result of a run that has ended: history, curves, cross-site matrix and summary in the run folder."""

from typing import Any

from fedmed.core import machine
from fedmed.core.cli import echo
from fedmed.core.files import write_whole
from fedmed.core.names import BEST, BEST_OWN, CROSS_SITE, CURVES, LAST, LAST_OWN, LEDGER, LOG, SITES, SUMMARY
from fedmed.data.phantoms.phantom import dataset_title
from fedmed.experiment import Experiment
from fedmed.runs import console, cross_site_matrix, cross_site_picture, history, training_curves
from fedmed.runs.model_record import META, training_facts
from fedmed.runs.run_folder import RunFolder
from fedmed.runs.run_monitor import RunMonitor

MATRIX = f"{CROSS_SITE}.png"
FILES = {"best": BEST, "last": LAST, "curves": CURVES, "cross-site": MATRIX, "ledger": LEDGER, "log": LOG}
"""The files that the summary names, by their titles."""


def finish(monitor: RunMonitor, seconds: float) -> None:
    """Draw the curves, show the result and name the files.

    Args:
        seconds: the duration of the run.
    """
    folder, experiment = monitor.folder, monitor.experiment
    monitor.book_unfinished()
    folder.write_history()
    _draw_curves(monitor)
    matrix = _cross_site(folder, experiment) if experiment.training.cross_site else []
    settings = console.settings(experiment, folder.read_json("dataset_stats"), title_of_data(experiment))
    result = [*_result(monitor), "", *matrix]
    end = [
        f"spent      {experiment.privacy.verdict(monitor.ledger.entries)}",
        *(f"stopped    {record['stopped']}" for record in monitor.records if record.get("stopped")),
        f"took       {console.clock(seconds)} on {machine.one_line(folder.read_json('environment'))}",
        *(f"{title:<10} {folder.path / name}" for title, name in FILES.items() if (folder.path / name).exists()),
        *_personal_files(folder, experiment),
    ]
    facts = training_facts(
        experiment, folder.read_json("dataset_stats"), monitor.records, folder.read_json("environment")
    )
    folder.write_json(META, {**_json(folder, META), **facts})
    folder.write_text(SUMMARY, "\n".join([*result, settings, *end]) + "\n")
    folder.write_status("finished", attack=experiment.attack.statement())
    folder.forget_states()
    echo("\n" + "\n".join([*result, *end]))  # the settings are on the screen since the run began


def title_of_data(experiment: Experiment) -> str:
    """The dataset's name, and that it is made of phantoms where it is."""
    if not experiment.environment.DATA_IS_LOCAL:
        return "each site's own"
    dataset, _ = experiment.data.resolved()
    return dataset_title(dataset)


def best_round_of(monitor: RunMonitor) -> int | None:
    """The number of rounds that made the best global model; None where none was chosen."""
    return history.best_round(monitor.records) if monitor.experiment.algorithm.has_global_model else None


def _caption(folder: RunFolder, experiment: Experiment) -> str:
    choices = f"{experiment.algorithm.name}, privacy {experiment.privacy.name}"
    if experiment.attack.is_on:
        choices += f", attack {experiment.attack.statement()}"
    return f"{folder.name}: {choices}, data: {title_of_data(experiment)}"


def _draw_curves(monitor: RunMonitor) -> None:
    folder, experiment = monitor.folder, monitor.experiment
    split = any(record.get("split") for record in monitor.records)
    caption, picture = _caption(folder, experiment), folder.path / CURVES
    best = best_round_of(monitor)
    key, epochs = experiment.task.key_score, folder.epochs()
    training_curves.draw(folder.history(), key, best, caption, picture, split=split, epochs=epochs)


def _result(monitor: RunMonitor) -> list[str]:
    """The table of the models, and the reason where no best one was chosen."""
    experiment, key = monitor.experiment, monitor.experiment.task.key_score
    if experiment.algorithm.scores_own:
        return [console.own_table(monitor.records, key), *_about_the_global_model(experiment)]
    tables = [console.result_table(monitor.records, key)]
    if experiment.algorithm.has_personal and not experiment.privacy.withholds_metrics:
        tables += ["", console.personal_table(monitor.records, key)]
    if best_round_of(monitor) is not None:
        return tables
    why = (
        "scores stay at the sites under this privacy mechanism; the last model is the result"
        if experiment.privacy.withholds_metrics
        else f"no site reported {key.name} for a trained model"
    )
    return [*tables, f"No best model was chosen: {why}."]


def _personal_files(folder: RunFolder, experiment: Experiment) -> list[str]:
    """A line on the places of the sites' personal models; none where there are none."""
    if not experiment.algorithm.has_personal:
        return []
    place = f"{folder.path / SITES}/<site>" if experiment.environment.DATA_IS_LOCAL else "at each site, in its folder"
    names = LAST_OWN if experiment.privacy.withholds_metrics else f"{BEST_OWN}, {LAST_OWN}"
    return [f"{'personal':<10} {place}: {names}; result_stat/evaluate.py --model own scores them"]


def _about_the_global_model(experiment: Experiment) -> list[str]:
    """A line on a global model that nobody scores; none where there is no global model."""
    if not experiment.algorithm.has_global_model:
        return []
    return [
        f"The global model holds what is shared. Of {experiment.algorithm.unsent}, it has what the first model had, so "
        "nobody scores it; each site's own model is whole."
    ]


def _cross_site(folder: RunFolder, experiment: Experiment) -> list[str]:
    """Write the matrix of models and sites as a table and a picture; its meaning at each site, in lines."""
    key, sites = experiment.task.key_score, experiment.training.sites
    task = experiment.task
    results = cross_site_matrix.read_results(_json(folder, CROSS_SITE), task.figure_forms(), task.figures)
    scored = cross_site_matrix.matrix(results, sites, key)
    if scored.empty:
        return ["cross-site no model was scored at any site; training.log says why", ""]
    folder.write_text(f"{CROSS_SITE}.csv", cross_site_matrix.table(results, sites).to_csv(index=False))
    picture = cross_site_picture.picture(scored, key.title, _caption(folder, experiment))
    write_whole(folder.path / MATRIX, picture)
    validation = {site: split["validation"] for site, split in _json(folder, "dataset_splits").items()}
    lines = cross_site_matrix.sentences(scored, key.name, validation)
    return [*(f"{'cross-site' if i == 0 else '':<10} {line}" for i, line in enumerate(lines)), ""]


def _json(folder: RunFolder, name: str) -> Any:
    return folder.read_json(name) if (folder.path / f"{name}.json").is_file() else {}
