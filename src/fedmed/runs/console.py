"""What a person reads while a run goes on and when it has ended. Pure functions from records to text."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedmed.core.site_scores import CASES
from fedmed.experiment import Experiment
from fedmed.runs.history import Record, after_round, best_of_each, best_round, scores_of


def settings(experiment: Experiment, summaries: Mapping[str, Mapping[str, Any]], data: str) -> str:
    """What is about to run, in a few lines; ``data`` says on what."""
    training = experiment.training
    crops = sorted({" ".join(map(str, s["roi_size"])) for s in summaries.values() if s.get("roi_size")})
    cases = ", ".join(f"{site} {s['training']}+{s['validation']}" for site, s in summaries.items())
    sites = f"{cases} (training + validation cases)" if summaries else ", ".join(training.sites)
    lines = [
        ("task", f"{experiment.task.name}" + (f", crops of {', '.join(crops)} voxels" if crops else "")),
        ("algorithm", experiment.algorithm.statement()),
        ("privacy", experiment.privacy.statement()),
        ("runs in", experiment.environment.statement(experiment)),
        ("data", data),
        ("sites", sites),
        ("cache", cache(experiment)),
        (
            "training",
            f"{training.num_rounds} rounds x {training.aggregation_epochs} local epochs, "
            f"Adam {training.learning_rate:g}, batch {training.batch_size}, precision {training.precision}, "
            f"seed {training.seed}",
        ),
    ]
    if training.cross_site:
        lines.append(("cross-site", "after the last round every site's own model leaves it whole, and all are scored"))
    return "\n".join(f"{name:<10} {text}" for name, text in lines)


def cache(experiment: Experiment) -> str:
    """Where prepared cases are held."""
    if not experiment.environment.DATA_HERE:
        return f"at each site, where it has a folder for it; {experiment.performance.cache_dataset:.0%} in memory"
    folder, speed = experiment.data.cache_dir, experiment.performance
    on_disk = f"{folder}, at most {speed.cache_gb:g} GB" if folder and speed.cache_gb else "none on disk"
    return f"{on_disk}; {speed.cache_dataset:.0%} of the cases in memory"


def round_line(record: Record, rounds: int, regions: Sequence[str], key: str, left_s: float) -> str:
    """One line for a round, or for the score of the final model."""
    scores = scores_of(record)
    dice = _scores(scores, regions, key)
    if record.get("final"):
        return f"final model{'':<20}{dice}  {record['seconds']:5.0f} s" + _left_out(record.get("unscored", {}))
    loss = f"loss {scores['train_loss']:.4f}" if "train_loss" in scores else "loss      -"
    width = len(str(rounds))
    took = f"{record['seconds']:5.0f} s  {clock(left_s)} left"
    took = "does not count" if record.get("failed") else took
    line = f"round {record['round'] + 1:>{width}}/{rounds}  {loss}  {dice}  {took}"
    anew = [site for site, report in record["sites"].items() if report.get("fresh_optimizer")]
    told = (
        f"\n  {', '.join(anew)} began with a new optimiser: nothing of an earlier round is kept there" if anew else ""
    )
    return line + _left_out(record.get("refused", {})) + told


def _left_out(reasons: Mapping[str, str]) -> str:
    return "".join(f"\n  without {site}: {why}" for site, why in sorted(reasons.items()))


def header(key: str, *, global_model: bool = True) -> str:
    """How to read the lines of the rounds."""
    model = "the global model" if global_model else "each site's own model"
    return (
        f"{key} is that of {model} with which a round begins, averaged over the sites by their cases; "
        "the last line scores the final model."
    )


def time_left(records: Sequence[Record], rounds: int) -> float:
    """Seconds until the end, from the rounds so far; the first one, which starts the sites up, counts only alone."""
    usual = [record["seconds"] for record in records][1:] or [records[0]["seconds"]]
    return sum(usual) / len(usual) * (rounds - len(records))


def clock(seconds: float) -> str:
    """``h:mm:ss``, or ``m:ss`` under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def result_table(records: Sequence[Record], regions: Sequence[str], key: str) -> str:
    """The best and the last global model, each with its mean and every site."""
    best, last = best_round(records), records[-1]["round"]
    models = {"best and last": last} if best == last else {"best": best, "last": last}
    lines = [_headings(regions, key)]
    for title, done in models.items():
        record = after_round(records, done) if done is not None else None
        if record is None:
            continue
        part = ", its share" if record.get("split") else ""
        at_sites = {f"at {site}{part}": report for site, report in record["sites"].items()}
        lines += _block(f"{title}, after round {done}", at_sites, regions, key)
    return "\n".join(lines)


def own_table(records: Sequence[Record], regions: Sequence[str], key: str) -> str:
    """Each site's own best and last model on its own cases, and the mean over the sites of each."""
    last, best = records[-1], best_of_each(records, key)
    found = {f"{site}, after round {done}": after_round(records, done) for site, done in sorted(best.items())}
    sites = {title: record["sites"][title.partition(",")[0]] for title, record in found.items() if record}
    lines = [_headings(regions, key)]
    if sites:
        lines += _block("each site's own best", sites, regions, key)
    lines += _block(f"own, after round {last['round']}", last["sites"], regions, key)
    return "\n".join(lines)


def _headings(regions: Sequence[str], key: str) -> str:
    return f"{'model':<30}{'cases':>6}{key:>12}" + "".join(f"{region:>8}" for region in regions)


def _block(title: str, reports: Mapping[str, Mapping[str, float]], regions: Sequence[str], key: str) -> list[str]:
    """A row for the mean over the reports, and one for each of them."""
    cases = sum(report.get(CASES, 0) for report in reports.values())
    mean = scores_of({"sites": reports})
    rows = [_row(f"  {name}", report.get(CASES, 0), report, regions, key) for name, report in reports.items()]
    return [_row(title, cases, mean, regions, key), *rows]


def _row(title: str, cases: float, scores: Mapping[str, float], regions: Sequence[str], key: str) -> str:
    values = [scores.get(name) for name in (key, *(f"{key}_{region.lower()}" for region in regions))]
    shown = ["-" if value is None else f"{value:.4f}" for value in values]
    return f"{title:<30}{cases:>6.0f}{shown[0]:>12}" + "".join(f"{text:>8}" for text in shown[1:])


def _scores(scores: Mapping[str, float], regions: Sequence[str], key: str) -> str:
    def shown(name: str) -> str:
        return f"{scores[name]:.4f}" if name in scores else "     -"

    parts = " ".join(f"{region} {shown(f'{key}_{region.lower()}')}" for region in regions)
    return f"{key} {shown(key)} ({parts})"
