"""One self-contained HTML page about a run: settings, data, curves, scores, privacy, best and worst cases.

python result_stat/report.py artifacts/run-001      -> artifacts/run-001/report.html

It opens without a network. A run that was not scored yet is scored first, as by evaluate.py.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from fedmed.analysis.evaluation.case_scoring import caching_after
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.report import report_sections
from fedmed.analysis.report.report_page import Picture, Section, Text, render
from fedmed.core.errors import InputError, in_words
from fedmed.core.files import write_whole
from fedmed.core.options import Parser, absolute_path
from fedmed.data.audit.case_facts import FactsBook
from fedmed.data.phantoms.phantom import dataset_title
from fedmed.runs.run_folder import RunFolder
from fedmed.tasks.base import Pictures
from result_stat import evaluate

PAGE = "report.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; 0 when done, 2 when something given cannot be used."""
    try:
        args = parser().parse_args(arguments)
        out = args.out or args.run / PAGE
        _refuse(out, args.force)
        run = RunFolder.open(args.run)
        page = page_of(run, args)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, page.encode())
    except (InputError, OSError) as error:
        print(f"error: {in_words(error)}", file=sys.stderr)
        return 2
    print(f"{out}: {len(page) / 1e6:.1f} MB, shows images of cases")
    return 0


def parser() -> Parser:
    """The command line: that of evaluate.py for one run, and where the page goes."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=absolute_path, help="run folder")
    parser.add_argument("--out", type=absolute_path, help=f"page to write (default: {PAGE} in the run folder)")
    parser.add_argument("--pictures", type=int, default=2, help="worst, and best, cases to show (default: %(default)s)")
    parser.add_argument(
        "--force", action="store_true", help="replace a page that is there, and an evaluation that differs"
    )
    evaluate.add_choices(parser)
    parser.set_defaults(place=None)
    return parser


def page_of(run: RunFolder, args: argparse.Namespace) -> str:
    """The whole page."""
    experiment = run.experiment()
    task, metric = experiment.task, experiment.task.METRICS[0]
    folder, why = scored(run, args)
    dataset = args.dataset_base_dir or experiment.data.dataset_base_dir
    found: list[Section | None] = [
        report_sections.result(run, folder, metric, dataset_title(dataset) if dataset else ""),
        report_sections.scores(folder, task.METRICS) if folder else Section("Scores", [Text(why, warning=True)]),
        report_sections.cases(folder, metric, pictures(run, folder, args)) if folder else None,
        report_sections.training(run, task) if (run.path / "training_history.json").is_file() else None,
        report_sections.cross_site(run),
        report_sections.privacy(run),
        report_sections.data(run),
        report_sections.configuration(run),
    ]
    chosen = f"{task.name}, {experiment.algorithm.name}, privacy {experiment.privacy.name}"
    subtitle = f"{chosen}, {experiment.training.n_clients} sites, {experiment.training.num_rounds} rounds"
    return render(run.name, subtitle, [section for section in found if section is not None])


def scored(run: RunFolder, args: argparse.Namespace) -> tuple[EvaluationFolder | None, str]:
    """The run's evaluation, made now if it is not there; without one, why there is none.

    Raises:
        InputError: there is one of other weights, cases or settings.
    """
    try:
        source = evaluate.source_of(run.path, run.name, args)
    except InputError as error:
        return None, f"The run was not scored: {error}"
    folder = evaluate.folder_of(source, args)
    try:
        listed = evaluate.cases_of(source, args, FactsBook(caching_after(run.experiment(), run.name).disk))
    except InputError as error:  # the data are gone; what was found while they were there still holds
        if not folder.is_made():
            return None, f"The run was not scored: {error}"
        listed = None
    try:
        made = folder.finished(evaluate.identity_of(source, listed, args))
    except InputError:
        if not args.force:
            raise
        made = False
    if not made:
        evaluate.evaluate(run.path, run.name, args)
    return folder, ""


def pictures(run: RunFolder, folder: EvaluationFolder, args: argparse.Namespace) -> list[Picture]:
    """The worst and the best cases by the first metric, as pictures; none where the images are gone."""
    source = evaluate.source_of(run.path, run.name, args)
    task, metric = source.task, source.task.METRICS[0]
    if not isinstance(task, Pictures):
        return []
    held = caching_after(run.experiment(), run.name)
    try:
        listed = evaluate.cases_of(source, args, FactsBook(held.disk))
    except InputError:
        return []
    by_name = {case.name: case for case in listed.cases}
    drawn = []
    for (site, name), value, title in chosen(folder, metric.name, metric.better == "higher", args.pictures):
        if name not in by_name:
            continue
        model = source.models.get(site) or source.models[""]
        with model.inference():
            item = model.task.eval_set([by_name[name]], listed.label_scheme, held)[0]
            caption = f"{title}: {name} ({site}), mean {metric.title} {value:.4f}"
            drawn.append(Picture(caption, task.picture(model.network, item, model.device)))
    return drawn


def chosen(
    folder: EvaluationFolder, metric: str, higher_is_better: bool, number: int
) -> list[tuple[tuple[str, str], float, str]]:
    """Site, case, mean over the regions and title of the worst cases and then the best, each case once."""
    own = folder.cases()
    means = own[own["metric"] == metric].groupby(["site", "case"])["value"].mean().dropna().reset_index()
    means = means.sort_values("value", ascending=higher_is_better, kind="stable")
    ordered = [((row["site"], row["case"]), float(row["value"])) for _, row in means.iterrows()]
    worst = ordered[:number]
    best = [each for each in ordered[::-1][:number] if each not in worst]
    return [(*each, "worst") for each in worst] + [(*each, "best") for each in best]


def _refuse(out: Path, force: bool) -> None:
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out is {out}; expected a name that ends in .html.")
    if out.exists() and not force:
        raise InputError(f"{out} exists and is kept; give --force to replace it, or --out for another place.")


if __name__ == "__main__":
    sys.exit(main())
