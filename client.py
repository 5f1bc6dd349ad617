"""FLARE's side of a site: receive a message, hand it to the site, send the answer. The same for every task."""

import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import nvflare.client as flare
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.client.tracking import SummaryWriter

from fedmed.core.code_version import expect_code
from fedmed.core.errors import InputError
from fedmed.core.names import EXTRAS, MESSAGE, PRIVACY, REPORTS_VARIABLE, SIMULATED, TRAINING_CASES
from fedmed.core.settings import Data
from fedmed.core.site_folder import run_name
from fedmed.core.site_scores import CASES, is_figure
from fedmed.data.audit import duplicates_exchange
from fedmed.environments.step_progress import StepReport
from fedmed.experiment import Experiment
from fedmed.privacy.ledger import read_ledger, site_ledger
from fedmed.site.local_training import LocalSite, Trained

ABORTED = "request to abort the job"
"""FLARE's words when the job was ended elsewhere, which is no failure of this site."""


def main(experiment_file: str, code: str) -> None:
    """Take part in the job that this file describes and that was made with the code of this fingerprint."""
    flare.init()
    expect_code(code)
    experiment = _experiment(Path(experiment_file))
    site = LocalSite(experiment, flare.get_site_name(), experiment.run_id or flare.get_job_id())
    reports = os.environ.get(REPORTS_VARIABLE)
    site.on_step = StepReport(Path(reports), site.site, time.monotonic) if reports else None
    events = Events(site)
    while flare.is_running():
        received = flare.receive()
        if received is None:
            break
        events.write_epsilon(received.current_round)
        flare.send(_answer(site, received, events))


def _experiment(file: Path) -> Experiment:
    """The job's experiment on this site's data.

    Raises:
        InputError: it cannot be used here.
    """
    experiment = Experiment.from_json(file.read_text(encoding="utf-8")).with_data(Data.of_this_site())
    if experiment.privacy.insecure_seeded_noise and flare.get_job_id() != SIMULATED:
        raise InputError("The job's noise follows from its seed and protects nothing; that is for the simulator.")
    return experiment


def _answer(site: LocalSite, received: flare.FLModel, events: "Events") -> flare.FLModel:
    """The site's answer to a message, by the kind of the message."""
    if flare.is_submit_model():
        return flare.FLModel(params=_own_model(site))
    if duplicates_exchange.QUESTION in received.meta:
        return _images(site)
    if site.training.cross_site and received.current_round is None:
        site.load(received.params)
        return flare.FLModel(metrics=site.evaluate())
    return _round(site, received, events)


def _own_model(site: LocalSite) -> Mapping[str, object]:
    """The whole weights of this site's own model, which leave it only where the experiment asks for them.

    Raises:
        InputError: it does not.
    """
    if not site.training.cross_site:
        raise InputError("The server asks for this site's own model, and the experiment has no --cross_site.")
    return site.own_model()


def _images(site: LocalSite) -> flare.FLModel:
    """Keyed hashes of this site's images, where they may leave it."""
    withheld = site.experiment.privacy.withholds_metrics
    cases, images = (0, {}) if withheld else (len(site.audit.cases), site.images())
    return flare.FLModel(metrics={CASES: cases}, meta={duplicates_exchange.QUESTION: images})


def _round(site: LocalSite, received: flare.FLModel, events: "Events") -> flare.FLModel:
    """Score the model that the round begins with, and train it; after the last round, only score."""
    rounds, withheld = received.current_round or 0, site.experiment.privacy.withholds_metrics
    site.begin(received.params, rounds)
    due = _due(site.experiment, rounds) and not withheld
    metrics = site.score(received.meta.get(duplicates_exchange.SHARES)) if due else {CASES: 0}
    trained = None if flare.is_evaluate() else site.train(rounds, received.meta.get(MESSAGE))
    events.write_scores(metrics, rounds)
    if trained is None:
        site.forget()
        return flare.FLModel(metrics=metrics)
    if not withheld:
        events.write_losses(trained, rounds)
        metrics = {**metrics, **trained.report(), **site.take_notes()}
    return flare.FLModel(params=site.outgoing(received.params), metrics=metrics, meta=_meta(site, trained))


def _meta(site: LocalSite, trained: Trained) -> dict[str, Any]:
    """Steps, the ledger's entry, the number of cases where counts may leave the site, and the algorithm's extras."""
    privacy = site.experiment.privacy
    meta: dict[str, Any] = {FLMetaKey.NUM_STEPS_CURRENT_ROUND: trained.steps}
    if trained.entry is not None:
        meta[PRIVACY] = trained.entry.travelling(privacy.dp_send_diagnostics)
    if not privacy.withholds_metrics:
        meta[TRAINING_CASES] = site.side.setup.cases
    extras = {name: np.asarray(values) for name, values in site.extras().items()}
    return {**meta, **({EXTRAS: extras} if extras else {})}


def _due(experiment: Experiment, rounds: int) -> bool:
    """True where the model that this round begins with is to be scored before it is trained."""
    return flare.is_evaluate() or rounds % experiment.training.validate_every == 0


class Events:
    """The site's TensorBoard events, which FLARE carries to the server: scores at rounds, losses at optimiser steps."""

    def __init__(self, site: LocalSite) -> None:
        self._site, self._writer = site, SummaryWriter()
        self._booked: int | None = None  # the last round whose epsilon is written

    def write_scores(self, metrics: Mapping[str, float], rounds: int) -> None:
        """Write the figures of the model that ``rounds`` rounds made."""
        for name, value in metrics.items():
            if is_figure(name):
                self._writer.add_scalar(name, value, global_step=rounds)

    def write_losses(self, trained: Trained, rounds: int) -> None:
        """Write each epoch's mean loss at the optimiser step with which it ended."""
        epochs = len(trained.epoch_losses)
        for epoch, loss in enumerate(trained.epoch_losses, start=1):
            step = rounds * trained.steps + epoch * trained.steps // epochs
            self._writer.add_scalar("train_loss", loss, global_step=step)

    def write_epsilon(self, rounds: int | None) -> None:
        """Write what the site's ledger has booked since the last message; rounds of an earlier job are written."""
        if self._booked is None:
            self._booked = (rounds or 0) - 1
        path = site_ledger(self._site.site, self._site.job_id)
        entries = read_ledger(path, run_name(self._site.job_id)).entries if path.exists() else []
        for entry in entries:
            if entry.round > self._booked and entry.epsilon_total is not None:
                self._writer.add_scalar("privacy_epsilon", entry.epsilon_total, global_step=entry.round)
        self._booked = max((entry.round for entry in entries), default=0)


def _leave_report(error: Exception) -> None:
    """Leave, where the launcher asks for it, the error's own words for its screen; FLARE's log has the rest."""
    folder = os.environ.get(REPORTS_VARIABLE)
    if folder:
        first = _first(error)
        frame = traceback.extract_tb(first.__traceback__)[-1]
        where = "" if isinstance(first, InputError) else f" ({Path(frame.filename).name}, line {frame.lineno})"
        kind = "" if isinstance(first, InputError) else f"{type(first).__name__}: "
        (Path(folder) / f"{flare.get_site_name()}.error").write_text(f"{kind}{first}{where}", encoding="utf-8")


def _first(error: BaseException) -> BaseException:
    """The error that came first; MONAI adds in which transform."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


if __name__ == "__main__":
    try:
        main(*map(unquote, sys.argv[1:]))
    except Exception as error:
        if not str(error).startswith(ABORTED):
            _leave_report(error)
        raise
