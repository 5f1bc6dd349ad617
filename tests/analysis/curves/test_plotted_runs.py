"""The tag that is drawn where none is named."""

from collections.abc import Callable
from pathlib import Path

from fedmed.analysis.curves.plotted_runs import key_metric
from fedmed.experiment import Experiment
from fedmed.runs.run_folder import RunFolder


def test_the_usual_tag_is_the_key_metric_of_the_first_run_and_else_that_of_the_default_task(
    small_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    experiment = small_experiment()
    run = RunFolder.create(tmp_path, "run")
    run.write_experiment(experiment)
    assert key_metric([tmp_path, run.path]) == experiment.task.KEY_METRIC
    assert key_metric([tmp_path]) == "val_dice"
