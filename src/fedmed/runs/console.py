"""The text on the screen while a run goes on and when it has ended. Pure functions from records to text."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedmed.core.optimizer import IN_WORDS
from fedmed.core.settings import Training
from fedmed.core.site_scores import CASES, PERSONAL, KeyScore
from fedmed.data.datalist import SPLITS, TEST
from fedmed.experiment import Experiment
from fedmed.runs.encoder_words import encoder_words
from fedmed.runs.history import Record, after_round, best_of_each, best_round, scores_of
from fedmed.runs.parts_words import parts_words
from fedmed.server.fair_weights import medians_of_others

MOST_TARGETS = 6
"""Targets that have a column each; of more, the lowest and the highest figure are shown."""

FAR_LESS = 0.5
"""An update that counts less than this share of the median of the others' is named."""

MOST_NAMED = 10
"""Sites that a line names."""

BAR = 10
"""Characters of a progress bar."""


def settings(
    experiment: Experiment,
    summaries: Mapping[str, Mapping[str, Any]],
    data: str,
    pretrained: Mapping[str, Any] | None = None,
) -> str:
    """The experiment in a few lines.

    Args:
        summaries: the facts of each site's data.
        data: the dataset in words.
        pretrained: the file of a part of the first weights, and what of it fits; empty where all are random.
    """
    training = experiment.training
    task = experiment.task
    crops = sorted({summary["crops"] for summary in summaries.values() if summary.get("crops")})
    parts = [task.name, *([task.network] if task.network else []), *([f"crops of {', '.join(crops)}"] if crops else [])]
    sites = _cases(summaries, task.rules(None).case) if summaries else ", ".join(training.sites)
    lines = [
        ("attack", experiment.attack.statement()),
        ("task", ", ".join(parts)),
        ("algorithm", experiment.algorithm.statement() + _weighting(training)),
        *parts_words(experiment),
        ("privacy", experiment.privacy.statement()),
        ("runs in", experiment.environment.statement(experiment)),
        ("data", data),
        ("sites", sites),
        ("cache", cache(experiment)),
        (
            "training",
            f"{training.num_rounds} rounds x {training.aggregation_epochs} local epochs, {_drawn(training)}"
            f"{_optimizer(training)}, batch {training.batch_size}, "
            f"precision {training.precision}, seed {training.seed}{_sent(training)}",
        ),
    ]
    lines.append(("encoder", encoder_words(pretrained or {}, task.training_told(training.num_rounds))))
    warnings = (*task.warnings(), *experiment.algorithm.warnings(experiment))
    lines += _leaving(training) + [("WARNING", sentence) for sentence in warnings]
    return "\n".join(f"{name:<10} {text}" for name, text in lines if text)


def _weighting(training: Training) -> str:
    return "" if training.aggregation_weights == "auto" else f", sites by {training.aggregation_weights}"


def _leaving(training: Training) -> list[tuple[str, str]]:
    """The lines on what leaves the sites beside their updates."""
    whole = "after the last round every site's own model leaves it whole, and all are scored"
    return [("cross-site", whole)] if training.cross_site else []


def _cases(summaries: Mapping[str, Mapping[str, Any]], word: str) -> str:
    """Each site's numbers of cases by split; ``word`` is that for a case."""
    splits = [*SPLITS, *([TEST] if any(TEST in summary for summary in summaries.values()) else [])]
    cases = [f"{site} {_counts(facts, splits)}{_patients(facts, splits)}" for site, facts in summaries.items()]
    return f"{', '.join(cases)} ({' + '.join(splits)} {word}s)"


def _patients(summary: Mapping[str, Any], splits: Sequence[str]) -> str:
    """The numbers of patients beside those of cases, where the task counts them apart."""
    return f" of {_counts(summary['patients'], splits)} patients" if "patients" in summary else ""


def _counts(numbers: Mapping[str, Any], splits: Sequence[str]) -> str:
    return "+".join(str(numbers.get(split, 0)) for split in splits)


def _drawn(training: Training) -> str:
    """The number of sites that train in a round, where not all do."""
    return "" if training.sites_per_round is None else f"{training.sites_per_round} sites a round drawn by the seed, "


def _optimizer(training: Training) -> str:
    """The optimiser, its learning rate and, where that varies, its course over the rounds."""
    courses = {
        "cosine": "falling as a cosine",
        "plateau": f"halved after {training.patience_of_plateau} scores without a better one",
    }
    warmup = [f"{training.warmup_rounds} rounds of warm-up"] if training.warmup_rounds else []
    parts = [*warmup, *([courses[training.schedule]] if training.schedule in courses else [])]
    return f"{IN_WORDS[training.optimizer]} {training.learning_rate:g}" + (f" ({', '.join(parts)})" if parts else "")


def _sent(training: Training) -> str:
    """The weights that sites send, where they are not those of the last epoch."""
    return "; each site sends its best epoch by its own validation cases" if training.send == "best" else ""


def cache(experiment: Experiment) -> str:
    """The place of prepared cases, in words."""
    if not experiment.environment.DATA_IS_LOCAL:
        return f"at each site, where it has a folder for it; {experiment.performance.cache_dataset:.0%} in memory"
    folder, speed = experiment.data.cache_dir, experiment.performance
    on_disk = f"{folder}, at most {speed.cache_gb:g} GB" if folder and speed.cache_gb else "none on disk"
    return f"{on_disk}; {speed.cache_dataset:.0%} of the cases in memory"


def round_line(record: Record, rounds: int, key: KeyScore, left_s: float) -> str:
    """One line for a round, or for the score of the final model, and one more for each site that was left out."""
    scores = scores_of(record, key.figures)
    shown = _scores(scores, key) + (f", personal {scores[PERSONAL]:.4f}" if PERSONAL in scores else "")
    if record.get("final"):
        line = f"final model{'':<20}{shown}  {record['seconds']:5.0f} s"
        return line + _left_out(record.get("unscored", {})) + _notes(record)
    took = "does not count" if record.get("failed") else f"{record['seconds']:5.0f} s  {clock(left_s)} left"
    line = f"{_round(record['round'] + 1, rounds)}  {_loss(record)}  {shown}  {took}"
    return line + _left_out(record.get("refused", {})) + _counted(record) + _notes(record) + _begun_anew(record)


def progress_line(number: int, rounds: int, answered: int, sites: int, step: int = 0, steps: int = 0) -> str:
    """A round under way: ``round 2/5 [#####.....] 3 of 4 sites answered, step 12/24``.

    Args:
        number: the round, from 1, of ``rounds``.
        answered: sites that have answered, of the ``sites`` that were asked.
        step: local training steps that are done, of ``steps`` in the round; 0 of 0 where they are not known. The bar
            shows their share, or that of the sites.
    """
    done, of = (step, steps) if steps else (answered, sites)
    filled = BAR * min(done, of) // of if of else 0
    line = f"{_round(number, rounds)} [{'#' * filled:.<{BAR}}] {answered} of {sites} sites answered"
    return line + (f", step {step}/{steps}" if steps else "")


def _round(number: int, rounds: int) -> str:
    return f"round {number:>{len(str(rounds))}}/{rounds}"


def _loss(record: Record) -> str:
    loss = scores_of(record).get("train_loss")
    return "loss      -" if loss is None else f"loss {loss:.4f}"


def _begun_anew(record: Record) -> str:
    sites = [site for site, report in record["sites"].items() if report.get("fresh_optimizer")]
    names = ", ".join(sites)
    return f"\n  {names} began with a new optimiser: nothing of an earlier round is kept there" if sites else ""


def _left_out(reasons: Mapping[str, str]) -> str:
    return "".join(f"\n  without {site}: {why}" for site, why in sorted(reasons.items()))


def _counted(record: Record) -> str:
    """Lines on the sites whose updates the algorithm left out, or counted far less than those of the others."""
    shares = record.get("counted", {})
    usual = medians_of_others(shares)
    nothing = [site for site, share in sorted(shares.items()) if share == 0]
    little = [site for site, share in sorted(shares.items()) if 0 < share < FAR_LESS * usual.get(site, 0)]
    told = [f"{site} {shares[site]:.0%} (the others {usual[site]:.0%})" for site in little]
    lines = [("left out by the rule", nothing), ("counts far less", told)]
    return "".join(f"\n  {title}: {_some(names)}" for title, names in lines if names)


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _notes(record: Record) -> str:
    """Lines on the parts of the sites' answers that do not count as they were sent."""
    return "".join(f"\n  of {site}: {words}" for site, words in sorted(record.get("notes", {}).items()))


def header(key: KeyScore, *, global_model: bool = True, personal: bool = False) -> str:
    """The meaning of the rounds' lines."""
    model = "the global model" if global_model else "each site's own model"
    beside = f" personal is the mean of {key.name} over the sites' personal models." if personal else ""
    return (
        f"{key.name} ({key.over_sites}) is that of {model} with which a round begins, averaged over the sites by their "
        f"cases; the last line scores the final model.{beside}"
    )


def time_left(records: Sequence[Record], rounds: int) -> float:
    """Seconds until the end, from the rounds so far."""
    return mean_round_s(records) * (rounds - len(records))


def mean_round_s(records: Sequence[Record]) -> float:
    """Mean seconds of the rounds, at least one; the first, in which the sites start up, counts only alone."""
    usual = [record["seconds"] for record in records][1:] or [records[0]["seconds"]]
    return sum(usual) / len(usual)


def clock(seconds: float) -> str:
    """``h:mm:ss``, or ``m:ss`` under an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def result_table(records: Sequence[Record], key: KeyScore) -> str:
    """The best and the last global model, each with its mean and every site."""
    best, last = best_round(records), records[-1]["round"]
    models = {"best and last": last} if best == last else {"best": best, "last": last}
    lines = [_headings(key)]
    for title, done in models.items():
        record = after_round(records, done) if done is not None else None
        if record is None:
            continue
        part = ", its share" if record.get("split") else ""
        at_sites = {f"at {site}{part}": report for site, report in record["sites"].items()}
        lines += _block(f"{title}, after round {done}", at_sites, key)
    return "\n".join([*lines, *_note(key)])


def own_table(records: Sequence[Record], key: KeyScore) -> str:
    """Each site's own best and last model on its own cases, and the mean over the sites of each."""
    last, best = records[-1], best_of_each(records, key.name)
    found = {f"{site}, after round {done}": after_round(records, done) for site, done in sorted(best.items())}
    sites = {title: record["sites"][title.partition(",")[0]] for title, record in found.items() if record}
    lines = [_headings(key)]
    if sites:
        lines += _block("each site's own best", sites, key)
    lines += _block(f"own, after round {last['round']}", last["sites"], key)
    return "\n".join([*lines, *_note(key)])


def personal_table(records: Sequence[Record], key: KeyScore) -> str:
    """The key figure of the global and of the personal models at each site, a line a site."""
    chosen, last, best = best_round(records), records[-1], best_of_each(records, PERSONAL)
    part = ", its share" if last.get("split") else ""
    lines = [f"{f'{key.name} of models':<30}{f'global best{part}':>22}{'last':>8}{'personal best':>26}{'last':>8}"]
    for site in sorted({*last["sites"], *best}):
        found = [(chosen, key.name), (last["round"], key.name), (best.get(site), PERSONAL), (last["round"], PERSONAL)]
        first, second, third, fourth = (_figure_at(records, site, done, name) for done, name in found)
        when = f" after round {best[site]}" if site in best else ""
        lines.append(f"  {site:<28}{first:>22}{second:>8}{third + when:>26}{fourth:>8}")
    return "\n".join(lines)


def _figure_at(records: Sequence[Record], site: str, done: int | None, name: str) -> str:
    """A site's figure of the model that ``done`` rounds made, a dash where there is none."""
    record = None if done is None else after_round(records, done)
    value = record["sites"].get(site, {}).get(name) if record else None
    return "-" if value is None else f"{value:.4f}"


def _columns(key: KeyScore) -> tuple[str, ...]:
    """The headings behind that of the key score itself."""
    return key.targets if len(key.targets) <= MOST_TARGETS else ("lowest", "highest")


def _note(key: KeyScore) -> list[str]:
    """Sentences under a table: what its columns leave out, and what its figures over sites are."""
    many = f"lowest and highest of {len(key.targets)} targets; training_history.csv has every one"
    mean = f"{key.name} over sites is the {key.over_sites}, weighted by cases; result_stat/evaluate.py pools all rows"
    return [*([many] if len(key.targets) > MOST_TARGETS else []), *([] if key.combines else [mean])]


def _headings(key: KeyScore) -> str:
    return _line("model", "cases", [key.name, *_columns(key)], key)


def _block(title: str, reports: Mapping[str, Mapping[str, float]], key: KeyScore) -> list[str]:
    """A row for the mean over the reports, and one for each of them."""
    cases = sum(report.get(CASES, 0) for report in reports.values())
    mean = scores_of({"sites": reports}, key.figures)
    rows = [_row(f"  {name}", report.get(CASES, 0), report, key) for name, report in reports.items()]
    return [_row(title, cases, mean, key), *rows]


def _row(title: str, cases: float, scores: Mapping[str, float], key: KeyScore) -> str:
    by_target = list(_by_target(scores, key).values())
    if len(key.targets) > MOST_TARGETS:
        known = [value for value in by_target if value is not None]
        by_target = [min(known, default=None), max(known, default=None)]
    shown = ["-" if value is None else f"{value:.4f}" for value in (scores.get(key.name), *by_target)]
    return _line(title, f"{cases:.0f}", shown, key)


def _line(title: str, cases: str, values: Sequence[str], key: KeyScore) -> str:
    widths = [max(12, len(key.name) + 2), *(max(8, len(column) + 2) for column in _columns(key))]
    return f"{title:<30}{cases:>6}" + "".join(f"{text:>{width}}" for text, width in zip(values, widths, strict=True))


def _by_target(scores: Mapping[str, float], key: KeyScore) -> dict[str, float | None]:
    return {target: scores.get(key.of(target)) for target in key.targets}


def _scores(scores: Mapping[str, float], key: KeyScore) -> str:
    """``val_dice 0.7012 (TC 0.6510 WT 0.8011 ET 0.6515)``, or of many targets the lowest and the highest."""
    by_target = _by_target(scores, key)
    if len(by_target) <= MOST_TARGETS:
        parts = " ".join(f"{target} {_number(value)}" for target, value in by_target.items())
    else:
        known = {target: value for target, value in by_target.items() if value is not None}
        ends = (
            {"lowest": min(known, key=known.__getitem__), "highest": max(known, key=known.__getitem__)} if known else {}
        )
        parts = ", ".join(f"{end} {target} {_number(known[target])}" for end, target in ends.items())
    return f"{key.name} {_number(scores.get(key.name))}" + (f" ({parts})" if parts else "")


def _number(value: float | None) -> str:
    return "     -" if value is None else f"{value:.4f}"
