"""Command line -> Experiment -> FLARE recipe -> environment -> run folder. ``python job.py`` runs a demonstration."""

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "src"))

ARGUMENTS = sys.argv[1:]
if __name__ == "__main__":  # FLARE, when it is imported, takes --export out of the command line as an option of its own
    del sys.argv[1:]

import torch
from nvflare.client.config import TransferType
from nvflare.recipe import add_experiment_tracking

from fedmed.command_line import read_command
from fedmed.core import locks, machine
from fedmed.core.code_version import code_here
from fedmed.core.errors import InputError, RunFailed, in_words
from fedmed.core.faults import Faults
from fedmed.core.files import staging_folder, write_whole
from fedmed.core.options import to_plain
from fedmed.data.audit import audit_table
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.audit.finding import refuse_errors
from fedmed.data.audit.site_audit import overlaps
from fedmed.data.datalist import Datalist, datalist_path, load_datalist
from fedmed.data.phantoms.phantom import dataset_title, is_phantom, make_phantom
from fedmed.environments.flare.aggregator import GuardedAggregator
from fedmed.environments.flare.cross_site_workflow import add_cross_site
from fedmed.environments.flare.first_weights import FirstWeights
from fedmed.environments.flare.heartbeat import Presence
from fedmed.environments.flare.job_folder import EXPERIMENT, FIRST_WEIGHTS, leave_code_out, settle
from fedmed.environments.flare.polling import TASK_WAIT
from fedmed.experiment import Experiment, new_run_id
from fedmed.privacy.ledger import LEDGER, Entry, Ledger, all_booked
from fedmed.privacy.policy import enforce
from fedmed.runs import console, cross_site_matrix, cross_site_picture, history, training_curves
from fedmed.runs.cross_site_matrix import CROSS_SITE
from fedmed.runs.resuming import refuse_finished
from fedmed.runs.run_folder import ARTIFACTS, BEST, LAST, LOG, SITES, RunFolder, save_weights
from fedmed.server.round_records import EARLIER
from fedmed.site import readiness

SUMMARY, MATRIX = "summary.txt", f"{CROSS_SITE}.png"
WHERE = {
    "best": BEST,
    "last": LAST,
    "curves": "curves.png",
    "cross-site": MATRIX,
    "ledger": LEDGER,
    "log": LOG,
}
SERVERS_PART, SITES_PART = "app_server", "app_site"
PARTS = {SERVERS_PART: "config_fed_client.json", SITES_PART: "config_fed_server.json"}
"""The folders of a job, and whose configuration each is without."""

PHANTOM = HERE / "dataset_brats18" / "dataset" / "phantom-mni152"


def main(arguments: list[str]) -> int:
    """Run one experiment; 0 when it finished, 1 when it failed, 2 for a mistake in what was given."""
    for ending in (signal.SIGTERM, signal.SIGHUP):  # from outside, or by a closed terminal: end the sites too
        signal.signal(ending, signal.default_int_handler)
    try:
        experiment, instead = read_command(arguments)
        if instead.check_site is not None:
            return readiness.report(readiness.checks(experiment, instead.check_site, HERE), say)
        if instead.export is not None:
            export(experiment, instead.export, force=instead.force)
        else:
            check_and_run(experiment, RunFolder.open(instead.resume.absolute()) if instead.resume else None)
    except (InputError, OSError) as error:
        return _ended("error", in_words(error), 2)
    except RunFailed as error:
        return _ended("failed", error, 1)
    except KeyboardInterrupt:
        return _ended("stopped", "no process of the run is left", 130)
    return 0


def _ended(how: str, why: object, code: int) -> int:
    print(f"{how}: {' '.join(str(why).split())}", file=sys.stderr)  # one line, whatever a path holds
    return code


def say(text: str) -> None:
    """Show a line at once; that nobody reads any more (``job.py | head``) must not end a run."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - stays open as long as the process


def check_and_run(experiment: Experiment, begun: RunFolder | None) -> None:
    """Run an experiment if nothing speaks against it. Where the data are the sites' own, the sites audit them.

    Args:
        begun: the folder of the unfinished run with which to go on; None begins a new one.

    Raises:
        InputError: something does; nothing was started.
        RunFailed: the run did not end well.
    """
    if not experiment.environment.DATA_HERE:
        experiment.environment.check_here(experiment)
        named = experiment if begun else dataclasses.replace(experiment, run_id=new_run_id())
        run(named, {}, {}, begun)
        return
    experiment = with_cache(with_phantom(experiment))
    experiment.environment.check_here(experiment)
    datalists = {site: _datalist(experiment, site) for site in experiment.training.sites}
    summaries = audited(experiment, datalists)
    check_privacy(experiment, datalists)
    if begun:
        check_same_cases(begun, datalists)
    run(experiment, datalists, summaries, begun)


def check_same_cases(begun: RunFolder, datalists: Mapping[str, Datalist]) -> None:
    """Refuse to go on with a run on other cases than it began with.

    Raises:
        InputError: a site's list has changed.
    """
    if not (begun.path / "dataset_splits.json").is_file():
        return
    before, now = begun.read_json("dataset_splits"), splits_of(datalists)
    changed = [site for site in now if now[site] != before.get(site)]
    if changed:
        raise InputError(
            f"The datalist of {changed[0]} names other cases than when {begun.name} began; restore it, or start a new "
            "run."
        )


def splits_of(datalists: Mapping[str, Datalist]) -> dict[str, dict[str, list[str]]]:
    """The names of each site's training and validation cases."""
    return {
        site: {split: [case.name for case in datalist.cases(split)] for split in ("training", "validation")}
        for site, datalist in datalists.items()
    }


def export(experiment: Experiment, target: Path, *, force: bool) -> None:
    """Write the job's folder for FLARE's admin console, whole or not at all.

    Raises:
        InputError: there is something already.
    """
    if target.exists() and not force:
        raise InputError(f"{target} exists; give another folder to --export, or --force to write over it.")
    if target.exists() and not (target / "meta.json").is_file():
        raise InputError(f"{target} is no job from an earlier --export, so --force spares it; give another folder.")
    with tempfile.TemporaryDirectory(prefix="fedmed-job-") as made, staging_folder(target) as stage:
        shutil.copytree(export_job(experiment, Path(made)), stage, dirs_exist_ok=True)
        if target.exists():
            target.rename(stage.with_name("before"))  # goes with the folder that the stage lies in
        stage.rename(target)
    sites = ", ".join(experiment.training.sites)
    code = "its code" if experiment.environment.code_travels else f"the code {code_here()} that is installed there"
    say(f"{target} is the job for {sites} with {code}; submit it in the admin console with: submit_job {target}")


def with_phantom(experiment: Experiment) -> Experiment:
    """The experiment itself, or where it names no data the experiment on phantoms, which are made once.

    Raises:
        InputError: the phantoms cannot be made.
    """
    if experiment.data.names_a_dataset:
        return experiment
    if not is_phantom(PHANTOM):
        say(f"No dataset is named: making a phantom federation in {PHANTOM}")
        try:
            make_phantom(PHANTOM, PHANTOM / "datalist")
        except (InputError, OSError) as error:
            if not is_phantom(PHANTOM):  # unless another run was quicker
                why = in_words(error)
                raise InputError(f"No phantoms can be made in {PHANTOM} ({why}); name a dataset.") from error
    data = dataclasses.replace(experiment.data, dataset_base_dir=PHANTOM, datalist_json_path=PHANTOM / "datalist")
    return experiment.with_data(data)


def with_cache(experiment: Experiment) -> Experiment:
    """The experiment itself, or where it names no cache folder the experiment with one beside its run folders."""
    if experiment.data.cache_dir is not None or experiment.performance.cache_gb == 0:
        return experiment
    folder = (experiment.artifacts or HERE / ARTIFACTS).absolute() / "cache"
    return experiment.with_data(dataclasses.replace(experiment.data, cache_dir=folder))


def _datalist(experiment: Experiment, site: str) -> Datalist:
    dataset, lists = experiment.data.resolved()
    if lists.is_file() and len(experiment.training.sites) > 1:
        sites = experiment.training.n_clients
        raise InputError(f"--datalist_json_path {lists} is one file, but there are {sites} sites; give a folder.")
    return load_datalist(datalist_path(lists, site), dataset)


def audited(experiment: Experiment, datalists: Mapping[str, Datalist]) -> dict[str, dict[str, Any]]:
    """Audit every site's data and show a table a site; what a run on them will be like, by site.

    Raises:
        InputError: the data have errors, or an option of the task does not suit them.
    """
    task, allow_overlap = experiment.task, experiment.training.allow_overlap
    book = FactsBook(experiment.caching().disk)
    audits = []
    for site, datalist in datalists.items():
        audits.append(
            task.audit(site, datalist, allow_overlap, book=book, progress=audit_table.audit_progress(site, say))
        )
        say(audit_table.site_table(audits[-1]))
    across = overlaps(audits, allow_overlap)
    if across:
        say(audit_table.across_text(across))
    for audit in audits:
        refuse_errors(audit.findings, f"the data of {audit.site}")
    refuse_errors(across, "the sites together")
    say("")
    described = {site: task.describe_data(datalist) for site, datalist in datalists.items()}
    return {audit.site: {**described[audit.site], **audit.document()} for audit in audits}


def check_privacy(experiment: Experiment, datalists: Mapping[str, Datalist]) -> None:
    """Show what the mechanism has to say of the sites' numbers of patients.

    Raises:
        InputError: it cannot work with them, or this machine's policy demands more.
    """
    patients = {
        site: len({experiment.task.patient_of(case) for case in datalist.training})
        for site, datalist in datalists.items()
    }
    for warning in experiment.privacy.check_data(experiment, patients):
        say(f"warning: {warning}\n")
    for site, count in patients.items():
        enforce(experiment, site, count)


def run(
    experiment: Experiment,
    datalists: Mapping[str, Datalist],
    summaries: Mapping[str, Mapping[str, Any]],
    begun: RunFolder | None = None,
) -> None:
    """Train in the chosen environment and leave a complete run folder.

    Raises:
        InputError: the run of ``begun`` still runs, or has been finished meanwhile.
        RunFailed: the run did not end well; its folder says ``failed`` and keeps what there was.
    """
    folder = begun or RunFolder.create(experiment.artifacts or HERE / ARTIFACTS, experiment.job_name)
    with locks.held(folder.path):
        refuse_finished(folder)
        _run(experiment, datalists, summaries, folder)


def _run(
    experiment: Experiment,
    datalists: Mapping[str, Datalist],
    summaries: Mapping[str, Mapping[str, Any]],
    folder: RunFolder,
) -> None:
    folder.set_log_aside()
    progress = Progress(folder, experiment)
    started = time.monotonic()
    try:
        describe(folder, experiment, datalists, summaries)
        say(f"run        {folder.path}\n{console.settings(experiment, summaries, data_of(experiment))}\n")
        with tempfile.TemporaryDirectory(prefix="fedmed-job-") as staging:
            job = export_job(experiment, Path(staging))
            experiment.environment.run(job, experiment, folder, progress.watch)
        progress.finish(time.monotonic() - started)
    except BaseException as error:
        with contextlib.suppress(OSError, InputError):  # a full disk must not hide why
            folder.write_status("failed", _reason(error))
            progress.book_unfinished()
        say(f"\nThe run failed; what there is of it is in {folder.path}")
        say(f"To go on after its last completed round: python job.py --resume {shlex.quote(str(folder.path))}")
        if isinstance(error, InputError | OSError):
            raise RunFailed(_reason(error)) from error
        raise


def _reason(error: BaseException) -> str:
    return "stopped by the user" if isinstance(error, KeyboardInterrupt) else in_words(error) or type(error).__name__


def describe(
    folder: RunFolder,
    experiment: Experiment,
    datalists: Mapping[str, Datalist],
    summaries: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write down what is about to run, on what data and on which machine."""
    model = experiment.task.build_model()
    folder.write_status("running")
    folder.write_experiment(experiment)
    earlier = [folder.read_json("environment")] if (folder.path / "environment.json").is_file() else []
    folder.write_json("environment", {**machine.describe(), **({"earlier": earlier} if earlier else {})})
    folder.write_json("dataset_stats", summaries)
    if datalists:  # else they are known to the sites alone
        folder.write_json("dataset_splits", splits_of(datalists))
    folder.write_json("label_map", experiment.task.label_map())
    parameters = sum(p.numel() for p in model.parameters())
    meta = {**_model_spec(model), "parameters": parameters, "trained_on": data_of(experiment)}
    folder.write_json("model_meta", meta)


class Progress:
    """Turns the server's records into lines on the screen and files in the run folder."""

    def __init__(self, folder: RunFolder, experiment: Experiment) -> None:
        self.folder, self.experiment = folder, experiment
        self.records: list[dict[str, Any]] = []
        self.ledger = Ledger(folder.name, experiment.privacy.document())

    def watch(self, record: dict[str, Any]) -> None:
        """Take in one more record."""
        task, rounds = self.experiment.task, self.experiment.training.num_rounds
        if not self.records and not self.experiment.privacy.withholds_metrics:
            say(console.header(task.key_score, global_model=self.experiment.algorithm.GLOBAL_MODEL))
        if self.records and self.records[-1].get(EARLIER) and not record.get(EARLIER):
            say(f"resumed after round {len(self.records)} of {rounds}")
        self.records.append(record)
        self.folder.write_history(history.rows(self.records))
        self.ledger.entries += [Entry.from_plain(entry) for entry in record.get("privacy", {}).values()]
        self.ledger.save(self.folder.path / LEDGER)
        left = console.time_left(self.records, rounds)
        if not record.get(EARLIER):
            say(console.round_line(record, rounds, task.key_score, left))
        if record.get("final") and self.experiment.training.cross_site:
            say("cross-site: every site scores every model")

    def book_unfinished(self) -> None:
        """Take over what sites booked for a round that did not end: their updates may have left them."""
        self.ledger.entries = all_booked(self.ledger, self.folder.path / SITES)
        self.ledger.save(self.folder.path / LEDGER)

    def finish(self, seconds: float) -> None:
        """Draw the curves, show the result and say where everything is."""
        path = self.folder.path
        self.book_unfinished()
        self._draw_curves()
        matrix = self._cross_site() if self.experiment.training.cross_site else []
        lines = [
            *self._result(),
            "",
            *matrix,
            console.settings(self.experiment, self.folder.read_json("dataset_stats"), data_of(self.experiment)),
            f"spent      {self.experiment.privacy.verdict(self.ledger.entries)}",
            *(f"stopped    {record['stopped']}" for record in self.records if record.get("stopped")),
            f"took       {console.clock(seconds)} on {machine.one_line(self.folder.read_json('environment'))}",
            *(f"{title:<10} {path / name}" for title, name in WHERE.items() if (path / name).exists()),
        ]
        self.folder.write_text(SUMMARY, "\n".join(lines) + "\n")
        self.folder.write_status("finished")
        self.folder.forget_states()
        say("\n" + "\n".join(lines))

    @property
    def _best(self) -> int | None:
        """The round of the best global model."""
        return history.best_round(self.records) if self.experiment.algorithm.GLOBAL_MODEL else None

    @property
    def _caption(self) -> str:
        chosen = f"{self.experiment.algorithm.name}, privacy {self.experiment.privacy.name}"
        return f"{self.folder.name}: {chosen}, data: {data_of(self.experiment)}"

    def _draw_curves(self) -> None:
        task, picture = self.experiment.task, self.folder.path / "curves.png"
        split = any(record.get("split") for record in self.records)
        table, best = self.folder.history(), self._best
        training_curves.draw(table, task.key_score, best, self._caption, picture, split=split)

    def _result(self) -> list[str]:
        """The table of the models, and what there is to say where none was chosen."""
        task, privacy = self.experiment.task, self.experiment.privacy
        if not self.experiment.algorithm.GLOBAL_MODEL:
            return [console.own_table(self.records, task.key_score)]
        table = console.result_table(self.records, task.key_score)
        if self._best is not None:
            return [table]
        why = (
            "scores stay at the sites under this privacy mechanism; the last model is the result"
            if privacy.withholds_metrics
            else f"no site reported {task.KEY_METRIC} for a trained model"
        )
        return [table, f"No best model was chosen: {why}."]

    def _cross_site(self) -> list[str]:
        """Write the matrix of models and sites as a table and a picture; what it says at each site."""
        key, sites = self.experiment.task.key_score, self.experiment.training.sites
        known = (self.folder.path / f"{CROSS_SITE}.json").is_file()
        results = self.folder.read_json(CROSS_SITE) if known else {}
        scored = cross_site_matrix.matrix(results, sites, key)
        if scored.empty:
            return ["cross-site no model was scored at any site; training.log says why", ""]
        self.folder.write_text(f"{CROSS_SITE}.csv", cross_site_matrix.table(results, sites).to_csv(index=False))
        write_whole(self.folder.path / MATRIX, cross_site_picture.picture(scored, key.title, self._caption))
        listed = (self.folder.path / "dataset_splits.json").is_file()
        splits = self.folder.read_json("dataset_splits") if listed else {}
        validation = {site: split["validation"] for site, split in splits.items()}
        told = cross_site_matrix.sentences(scored, key.name, validation)
        return [*(f"{'cross-site' if i == 0 else '':<10} {line}" for i, line in enumerate(told)), ""]


def data_of(experiment: Experiment) -> str:
    """The dataset's name, and whether it is made of phantoms."""
    if not experiment.environment.DATA_HERE:
        return "each site's own"
    dataset, _ = experiment.data.resolved()
    return dataset_title(dataset)


def export_job(experiment: Experiment, staging: Path) -> Path:
    """FLARE's job folder: the recipe, the experiment, the first weights and, unless installed elsewhere, the code."""
    torch.manual_seed(experiment.training.seed)
    model = experiment.task.build_model()
    save_weights(model.state_dict(), staging / FIRST_WEIGHTS)
    (staging / EXPERIMENT).write_text(experiment.to_json(travelling=True), encoding="utf-8")
    for name in ("client.py", "model.py"):
        shutil.copy(HERE / name, staging)
    code = code_here()
    shutil.copytree(HERE / "src", staging / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    with contextlib.chdir(staging):  # FLARE takes relative paths for files that travel
        recipe = build_recipe(experiment, code)
        recipe.export(str(staging / "job"))
    job = staging / "job" / experiment.job_name
    _address(job, experiment.training.sites, experiment.faults)
    parts = job / SERVERS_PART, job / SITES_PART
    settle(*parts, staging, code)
    if not experiment.environment.code_travels:
        leave_code_out(*parts)
    return job


def _address(job: Path, sites: Sequence[str], faults: Faults) -> None:
    """Split what FLARE's recipe exports for everyone: to the server its part, to each of these sites theirs.

    The first weights go to the server alone. FLARE 2.9 sends a site its part of the job in one message, and a site that
    is connected by FLARE's default scheme, http, drops the connection when a message has more than 4 MiB.
    """
    for member, not_its_own in PARTS.items():
        shutil.copytree(job / "app", job / member, ignore=shutil.ignore_patterns(not_its_own))
    shutil.rmtree(job / "app")
    told = json.loads((job / "meta.json").read_text(encoding="utf-8"))
    told["deploy_map"] = {SERVERS_PART: ["server"], SITES_PART: list(sites)}
    told["min_clients"] = faults.min_clients or len(sites)
    told["mandatory_clients"] = [] if faults.spares(len(sites)) else list(sites)  # else whoever is connected would do
    (job / "meta.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def build_recipe(experiment: Experiment, code: str) -> Any:
    """The recipe of the experiment's algorithm, with its privacy mechanism as filters on what sites send."""
    training, speed, faults = experiment.training, experiment.performance, experiment.faults
    recipe = experiment.algorithm.recipe(
        name=experiment.job_name,
        model_persistor=FirstWeights(code),
        min_clients=training.n_clients,
        num_rounds=training.num_rounds,
        train_script="client.py",
        key_metric=experiment.task.KEY_METRIC,
        params_transfer_type=TransferType.DIFF,
        aggregator=GuardedAggregator(
            {"name": experiment.algorithm.name, **to_plain(experiment.algorithm)}, faults.max_update_ratio
        ),
        poll_s=speed.poll_s,
        own={
            "split_validation": speed.validation == "split"
            and experiment.algorithm.GLOBAL_MODEL
            and experiment.task.validation_can_be_split,
            "max_epsilon": experiment.privacy.budget,
            "books": experiment.privacy.GUARANTEE != "none",
            "needed_updates": faults.min_clients,
            "round_timeout": faults.round_timeout,
            "site_silence": faults.site_silence if experiment.environment.sites_stay(experiment) else 0.0,
            "run_id": experiment.run_id,
        },
    )
    recipe._job.to_clients(Presence(faults.sign_every_s, faults.spares(training.n_clients)), id="presence")
    for path in ("src", "model.py"):
        recipe.add_client_file(path)
    for item in experiment.privacy.filters(experiment):
        recipe.add_client_output_filter(item, tasks=["train", "submit_model"])  # the latter would be the raw weights
    if speed.poll_s:
        recipe.add_server_config({"server": {"task_request_interval": TASK_WAIT * speed.poll_s}})
    add_experiment_tracking(recipe, "tensorboard")
    if training.cross_site:
        add_cross_site(recipe, global_model=experiment.algorithm.GLOBAL_MODEL, timeout_s=faults.round_timeout)
    return recipe


def _model_spec(model: torch.nn.Module) -> dict[str, Any]:
    """How to build the model again."""
    return {"class_path": f"model.{type(model).__name__}", "args": model.arguments}


if __name__ == "__main__":
    sys.argv[1:] = ARGUMENTS  # the run folder says by which command it came about
    sys.exit(main(ARGUMENTS))
