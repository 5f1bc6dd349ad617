"""FLARE's side of a site: receive a message, hand it to the site, send the answer. The same for every task."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import nvflare.client as flare
import torch
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.app_common.abstract.fl_model import ParamsType
from nvflare.client.tracking import SummaryWriter

from fedmed.core.code_version import expect_code
from fedmed.core.errors import InputError, reason_of
from fedmed.core.messages import Answer, Kind, Question
from fedmed.core.names import (
    EXTRAS,
    GIVES_UNSHARED,
    MEASURES,
    MESSAGE,
    PRIVACY,
    RATE_FACTOR,
    REPORTS_VARIABLE,
    SIMULATED,
    TRAINING_CASES,
    TRAINS,
    UNSHARED,
    WITHHELD,
)
from fedmed.core.settings import Data
from fedmed.data.audit import duplicates_exchange
from fedmed.environments.step_progress import StepReport
from fedmed.experiment import Experiment
from fedmed.site.local_training import LocalSite
from fedmed.site.site import Site
from fedmed.site.site_events import SiteEvents

ABORTED = "request to abort the job"
"""FLARE's words when the job was ended elsewhere, which is no failure of this site."""


def main(experiment_file: str, code: str) -> None:
    """Take part in the job that this file describes and that was made with the code of this fingerprint."""
    flare.init()
    expect_code(code)
    experiment = _experiment(Path(experiment_file))
    name, run = flare.get_site_name(), experiment.run_id or flare.get_job_id()
    local = LocalSite(experiment, name, run, clock=time.monotonic)
    reports = os.environ.get(REPORTS_VARIABLE)
    local.on_step = StepReport(Path(reports), local.site, time.monotonic) if reports else None
    site = Site(local, SiteEvents(local.site, local.job_id, SummaryWriter()))
    while flare.is_running():
        received = flare.receive()
        if received is None:
            break
        flare.send(_answer(site, received))


def _experiment(file: Path) -> Experiment:
    """The job's experiment on this site's data.

    Raises:
        InputError: it cannot be used here.
    """
    experiment = Experiment.from_json(file.read_text(encoding="utf-8")).with_data(Data.of_this_site())
    if experiment.privacy.insecure_seeded_noise and flare.get_job_id() != SIMULATED:
        raise InputError("The job's noise follows from its seed and protects nothing; that is for the simulator.")
    return experiment


def _answer(site: Site, received: flare.FLModel) -> flare.FLModel:
    """The site's answer to a message, by the kind of the message."""
    local = site.local
    if flare.is_submit_model():
        return flare.FLModel(params=_own_model(local))
    if local.training.cross_site and received.current_round is None:  # of FLARE's own workflow
        local.load(received.params)
        return flare.FLModel(metrics=local.evaluate())
    return model_of(site.answer(question_of(received, local.site)))


def _own_model(site: LocalSite) -> Mapping[str, object]:
    """The whole weights of this site's own model, which leave it only where the experiment asks for them.

    Raises:
        InputError: it does not.
    """
    if not site.training.cross_site:
        raise InputError("The server asks for this site's own model, and the experiment has no --cross_site.")
    return site.own_model()


def question_of(received: flare.FLModel, site: str) -> Question:
    """A question that FLARE has carried."""
    rounds, meta = received.current_round or 0, received.meta or {}
    if duplicates_exchange.QUESTION in meta:
        return Question("images", rounds, (site,))
    trains, shares = tuple(meta.get(TRAINS) or ()), meta.get(duplicates_exchange.SHARES) or {}
    message, factor = meta.get(MESSAGE) or {}, meta.get(RATE_FACTOR)
    told: tuple[Any, ...] = (received.params, shares, message, factor, meta.get(UNSHARED) or "")
    return Question(_kind(meta), rounds, (site,), trains, *told)


def _kind(meta: Mapping[str, Any]) -> Kind:
    """The kind of a question about a model, or about a part of one, by what FLARE has carried beside it."""
    if meta.get(GIVES_UNSHARED):
        return "unshared"
    if meta.get(MEASURES):
        return "statistics"
    return "train" if flare.is_train() else "score"


def model_of(answer: Answer) -> flare.FLModel:
    """An answer in the form in which FLARE carries it."""
    meta: dict[str, Any] = {
        FLMetaKey.NUM_STEPS_CURRENT_ROUND: answer.steps,
        PRIVACY: answer.entry,
        TRAINING_CASES: answer.cases,
        EXTRAS: dict(answer.extras) or None,
        duplicates_exchange.QUESTION: answer.images,
        WITHHELD: answer.withheld or None,
        UNSHARED: answer.unshared,
    }
    known = {name: value for name, value in meta.items() if value is not None}
    if not answer.update:
        return flare.FLModel(metrics=dict(answer.metrics), meta=known)
    update = {name: torch.as_tensor(values) for name, values in answer.update.items()}  # else FLARE drops them
    return flare.FLModel(params=update, params_type=ParamsType.DIFF, metrics=dict(answer.metrics), meta=known)


class SiteFailed(RuntimeError):
    """The end of this site's part of a job as FLARE learns of it: it names no file and no case."""


def end(error: Exception) -> NoReturn:
    """End the script because of ``error``, by what FLARE may have: it logs that with its traceback and hands it on.

    The words go to this site's own log, as one line. A launcher on the same machine has them on its screen, and FLARE
    gets the error itself.

    Raises:
        SiteFailed: in place of ``error``, without a word of it.
    """
    folder, stopped = os.environ.get(REPORTS_VARIABLE), str(error).startswith(ABORTED)
    if folder and not stopped:
        (Path(folder) / f"{flare.get_site_name()}.error").write_text(reason_of(error), encoding="utf-8")
    if folder or stopped:
        raise error
    print(f"This site's part of the job has failed: {' '.join(reason_of(error).split())}")
    raise SiteFailed("This site's part of the job has failed; a line of the site's own log says why.") from None


if __name__ == "__main__":
    try:
        main(*map(unquote, sys.argv[1:]))
    except Exception as error:
        end(error)
