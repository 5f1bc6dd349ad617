"""What a site runs: receive the global model, score it, train it, send the difference. The same for every task."""

import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import nvflare.client as flare
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.client.tracking import SummaryWriter

from fedmed.algorithms.base import Weights
from fedmed.core.code_version import expect_code
from fedmed.core.errors import InputError
from fedmed.core.site_scores import CASES, is_score
from fedmed.core.turns import turn
from fedmed.data.audit import duplicates_exchange
from fedmed.environments.flare import polling
from fedmed.experiment import Data, Experiment
from fedmed.privacy.ledger import PRIVACY, read_ledger, run_name, site_ledger
from fedmed.site.local_training import LocalSite, Trained

SIMULATED = "simulate_job"
"""What FLARE's simulator calls every job; in a federation a job's name is its own."""


ABORTED = "request to abort the job"
"""FLARE's words when the job was ended elsewhere, which is no failure of this site."""


def main(experiment_file: str, code: str) -> None:
    """Take part in the job that this file describes and that was made with the code of this fingerprint."""
    context = flare.init()
    expect_code(code)
    text = Path(experiment_file).read_text(encoding="utf-8")
    experiment = Experiment.from_json(text).with_data(Data.of_this_site())
    if experiment.privacy.insecure_seeded_noise and flare.get_job_id() != SIMULATED:
        raise InputError("The job's noise follows from its seed and protects nothing; that is for the simulator.")
    if experiment.performance.poll_s:
        polling.shorten(context, experiment.performance.poll_s)
    site = LocalSite(experiment, flare.get_site_name(), experiment.run_id or flare.get_job_id())
    writer, told = SummaryWriter(), -1
    while flare.is_running():
        received = flare.receive()
        if received is None:
            break
        told = _write_epsilon(writer, site, told if told >= 0 else (received.current_round or 0) - 1)
        if flare.is_submit_model():
            answer = flare.FLModel(params=_own_model(site))
        elif duplicates_exchange.QUESTION in received.meta:
            answer = _images(site)
        elif experiment.training.cross_site and received.current_round is None:
            answer = flare.FLModel(metrics=_cross_site_scores(site, received))
        else:
            answer = _round(site, received, writer)
        flare.send(answer)


def _own_model(site: LocalSite) -> Weights:
    """The whole weights of this site's own model, which leave it only where the experiment says so.

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


def _cross_site_scores(site: LocalSite, received: flare.FLModel) -> dict[str, float]:
    """After the rounds: some site's model, or a global one, on all of this site's validation cases."""
    with turn():
        site.load(received.params)
        return site.evaluate()


def _round(site: LocalSite, received: flare.FLModel, writer: SummaryWriter) -> flare.FLModel:
    """Score what the round begins with, and train it; after the last round, only score."""
    privacy = site.experiment.privacy
    withheld = privacy.withholds_metrics
    with turn():
        site.begin(received.params, received.current_round or 0)
        due = _due(site.experiment, received) and not withheld
        metrics = site.score(received.meta.get(duplicates_exchange.SHARES)) if due else {CASES: 0}
        trained = None if flare.is_evaluate() else site.train(received)
    _write_scores(writer, metrics, received.current_round)
    if trained is None:
        site.forget()
        return flare.FLModel(metrics=metrics)
    if not withheld:
        _write_losses(writer, trained, received.current_round)
        metrics = {**metrics, **trained.report()}
        if site.fresh_optimizer:
            metrics["fresh_optimizer"], site.fresh_optimizer = 1, False
    meta = {FLMetaKey.NUM_STEPS_CURRENT_ROUND: trained.steps, **site.hook.finish_round(site.model)}
    if trained.entry is not None:
        meta[PRIVACY] = trained.entry.travelling(privacy.dp_send_diagnostics)
    return flare.FLModel(params=site.outgoing(received.params), metrics=metrics, meta=meta)


def _due(experiment: Experiment, received: flare.FLModel) -> bool:
    """Whether what this round begins with is to be scored before it is trained."""
    every = experiment.training.validate_every
    return flare.is_evaluate() or (received.current_round or 0) % every == 0


def _write_scores(writer: SummaryWriter, metrics: Mapping[str, float], rounds_done: int | None) -> None:
    if rounds_done is None:
        return  # no point of any curve
    for name, value in metrics.items():
        if is_score(name):
            writer.add_scalar(name, value, global_step=rounds_done)


def _write_losses(writer: SummaryWriter, trained: Trained, rounds_done: int | None) -> None:
    """An epoch's mean loss stands at the optimiser step with which the epoch ended."""
    epochs = len(trained.epoch_losses)
    before = (rounds_done or 0) * trained.steps
    for epoch, loss in enumerate(trained.epoch_losses, start=1):
        writer.add_scalar("train_loss", loss, global_step=before + epoch * trained.steps // epochs)


def _write_epsilon(writer: SummaryWriter, site: LocalSite, told: int) -> int:
    """What the site's ledger has booked after round ``told``, counted from 1; the last round that it has booked."""
    path = site_ledger(site.site, site.job_id)
    entries = read_ledger(path, run_name(site.job_id)).entries if path.exists() else []
    for entry in entries:
        if entry.round > told and entry.epsilon_total is not None:
            writer.add_scalar("privacy_epsilon", entry.epsilon_total, global_step=entry.round)
    return max((entry.round for entry in entries), default=0)


def _leave_report(error: Exception) -> None:
    """Where the launcher asks for it, leave the error's own words for its screen; FLARE's log has the rest."""
    folder = os.environ.get("FEDMED_REPORTS")
    if folder:
        first = _first(error)
        frame = traceback.extract_tb(first.__traceback__)[-1]
        where = "" if isinstance(first, InputError) else f" ({Path(frame.filename).name}, line {frame.lineno})"
        kind = "" if isinstance(first, InputError) else f"{type(first).__name__}: "
        (Path(folder) / f"{flare.get_site_name()}.error").write_text(f"{kind}{first}{where}", encoding="utf-8")


def _first(error: BaseException) -> BaseException:
    """What went wrong first; MONAI says of it only in which transform."""
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
