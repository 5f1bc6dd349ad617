"""A site whose script fails: its own log has the words, FLARE and whoever asks it learn only that it failed."""

import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import nvflare.client.api
import pytest
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.app_common.executors.task_script_runner import TaskScriptRunner
from nvflare.client.api_spec import CLIENT_API_KEY
from nvflare.client.in_process.api import TOPIC_ABORT, InProcessClientAPI
from nvflare.fuel.data_event.data_bus import DataBus

import client
from fedmed.core.code_version import code_here
from fedmed.core.names import REPORTS_VARIABLE
from fedmed.data.datalist import open_datalist
from fedmed.experiment import Experiment

SCRIPT = Path(client.__file__)


@pytest.fixture
def script(
    toy_data: Path, toy_experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TaskScriptRunner:
    """The client script of a site, as FLARE's in-process backend runs it in a thread."""
    monkeypatch.setenv("DATASET_ROOT", str(toy_data))
    monkeypatch.setenv("DATALIST_ROOT", str(toy_data / "datalist"))
    monkeypatch.setattr(nvflare.client.api, "context_dict", {})
    experiment = tmp_path / "experiment.json"
    experiment.write_text(toy_experiment().to_json())
    api = InProcessClientAPI({FLMetaKey.SITE_NAME: "site-1", FLMetaKey.JOB_ID: "job-1"})
    api.init()
    monkeypatch.setitem(DataBus().data_store, CLIENT_API_KEY, api)
    return TaskScriptRunner(str(tmp_path), str(SCRIPT), f"{quote(str(experiment))} {code_here()}")


def test_no_traceback_of_a_site_names_a_file_or_a_case(
    script: TaskScriptRunner, toy_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = open_datalist(toy_data / "datalist" / "site-1.json", toy_data).training[0]
    image = broken.images[0]
    image.write_bytes(image.read_bytes()[:-100])
    handed_on: list[str] = []
    DataBus().subscribe([TOPIC_ABORT], lambda topic, words, bus: handed_on.append(words))
    with caplog.at_level(logging.INFO), pytest.raises(RuntimeError, match="has failed; a line of the site's own log"):
        script.run()
    assert [record.levelname for record in caplog.records if image.name in record.getMessage()] == ["INFO"]
    (line,) = (record.getMessage() for record in caplog.records if image.name in record.getMessage())
    assert line.count("\n") == 0
    traces = [record.getMessage() for record in caplog.records if "Traceback" in record.getMessage()]
    assert [*traces, *handed_on]  # so there is something to look at
    for words in [*traces, *handed_on]:
        assert str(toy_data) not in words
        assert broken.name not in words
        assert "client.py" in words


def raised(error: Exception) -> str:
    """The traceback of a script that an error ends, as FLARE logs it."""
    try:
        try:
            raise error
        except ValueError as caught:
            client.end(caught)
    except Exception:
        return traceback.format_exc()


def test_what_an_error_came_from_is_not_told_either(capsys: pytest.CaptureFixture[str]) -> None:
    failed = ValueError("the transform failed")
    failed.__cause__ = ValueError("Anna_K.nii.gz has\nno voxels")
    shown = raised(failed)
    assert "SiteFailed" in shown
    assert "Anna_K" not in shown
    assert "Anna_K.nii.gz has no voxels" in capsys.readouterr().out


def test_a_launcher_on_the_same_machine_gets_the_words_and_its_log_the_traceback(
    script: TaskScriptRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvflare.client.init()
    monkeypatch.setenv(REPORTS_VARIABLE, str(tmp_path))
    assert "case-7 is odd" in raised(ValueError("case-7 is odd"))
    assert "case-7 is odd" in (tmp_path / "site-1.error").read_text()
