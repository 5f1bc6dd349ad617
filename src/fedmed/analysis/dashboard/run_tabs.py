"""The tabs of a run's page: each shows one part of what came of the run, or says which command makes it."""

import shlex
from collections.abc import Callable, Mapping

import pandas as pd
import streamlit as st

from fedmed.analysis.dashboard.attack_table import AUDIT_FILE, attack_table
from fedmed.analysis.dashboard.audit_findings import finding_counts
from fedmed.analysis.dashboard.case_aliases import CaseAliases
from fedmed.analysis.dashboard.curves_tab import curves_tab
from fedmed.analysis.dashboard.extreme_pictures import extreme_pictures, unnamed_cases
from fedmed.analysis.dashboard.page_parts import plain, show_chart, show_missing, show_section, show_table
from fedmed.analysis.dashboard.privacy_words import booked_entries, in_plain_words, ledger_table, spent_so_far
from fedmed.analysis.dashboard.round_charts import sites_chart
from fedmed.analysis.dashboard.run_view import RunView
from fedmed.analysis.dashboard.site_colours import SiteStyle
from fedmed.analysis.evaluation.evaluation_folder import EvaluationFolder
from fedmed.analysis.report import report_sections
from fedmed.analysis.report.class_section import class_section
from fedmed.analysis.report.finding_section import finding_section
from fedmed.analysis.report.report_page import Section, Table, Text
from fedmed.core.errors import InputError
from fedmed.core.names import LEDGER
from fedmed.data.audit.duplicates_exchange import OVERLAPS

Styles = Mapping[str, SiteStyle]

RESEARCH = "Images of patients: for research alone, and no medical device."


def _result(view: RunView, styles: Styles) -> None:
    chosen = _evaluation(view, "result")
    if chosen is None:
        return
    folder, aliases = chosen
    metric = view.experiment.task.METRICS[0]
    parts = report_sections.outcome(view.run, folder, metric, view.run.trained_on)
    show_section(Section("Result", parts), aliases)
    show_chart(sites_chart(folder.table(), metric, styles), "sites")
    show_section(report_sections.scores(folder, view.experiment.task), aliases)


def _classes(view: RunView, styles: Styles) -> None:
    chosen = _evaluation(view, "classes")
    if chosen is None:
        return
    sections = [found for found in (class_section(chosen[0]), finding_section(chosen[0])) if found]
    if not sections:
        st.info("The task has regions and no classes; their figures are under Result.")
    for section in sections:
        show_section(section, chosen[1])


def _cases(view: RunView, styles: Styles) -> None:
    chosen = _evaluation(view, "cases")
    if chosen is None:
        return
    folder, aliases = chosen
    st.caption("Cases have numbers here, in the order of their names at their site; the names are in cases.csv.")
    for part in unnamed_cases(report_sections.cases(folder, view.experiment.task.METRICS, []), aliases).parts:
        if isinstance(part, Table):
            show_table(pd.DataFrame(part.rows, columns=list(part.columns)), part.caption)
    st.subheader("Worst and best cases", anchor=False)
    st.caption(RESEARCH)
    if st.button("Draw them", icon=":material/image:", help="The model runs on these cases here and now."):
        with st.spinner("The model looks at the worst and the best cases ..."):
            _pictures(view, folder, aliases)


def _pictures(view: RunView, folder: EvaluationFolder, aliases: CaseAliases) -> None:
    try:
        drawn = extreme_pictures(view, folder, aliases)
    except (InputError, OSError) as error:
        st.warning(plain(aliases.clean(str(error))))
        return
    if not drawn:
        st.info("The images are not on this machine any more, or the task draws none.")
    for picture in drawn:
        st.image(picture.png, caption=plain(picture.caption), alt=picture.caption)


def _privacy(view: RunView, styles: Styles) -> None:
    try:
        mechanism = view.experiment.privacy
        entries = booked_entries(view.run, view.records)
        found = spent_so_far(view.run, mechanism, entries, goes_on=view.status.goes_on)
        guarantee = "none" if mechanism.insecure_seeded_noise else found.guarantee
        st.info(plain(in_plain_words(guarantee, found.unit, found.epsilon, found.delta)), icon=":material/lock:")
        section = report_sections.privacy(view.run)
        if view.status.goes_on and not (view.run.path / LEDGER).is_file():  # it is written when the run is over
            section = Section(section.title, [Text(mechanism.verdict(entries))])
        show_section(section, view.aliases)
    except InputError as error:
        st.warning(plain(view.aliases.clean(str(error))))
        return
    if entries:
        show_table(ledger_table(entries), "the ledger by round")
    st.subheader("Attacks", anchor=False)
    _attacks(view)


def _attacks(view: RunView) -> None:
    try:
        table = attack_table(view.run)
    except InputError as error:
        st.warning(plain(view.aliases.clean(str(error))))
        return
    if table is None and view.status.goes_on:
        st.info("The run goes on; its model can be attacked when it is finished.")
        return
    if table is None:
        command = f"python result_stat/privacy_audit.py {shlex.quote(str(view.run.path))}"
        show_missing("Nobody has attacked this run's model yet.", command)
        return
    show_table(table, "membership inference: AUC 0.5 is a guess; TPR is the share of members that are found while at "
        "most the stated share of others is taken for members (FPR)")  # fmt: skip
    picture = view.run.path / f"{AUDIT_FILE}.png"
    if picture.is_file():
        caption = "ROC curves of the attacks beside the bound of the stated privacy"
        st.image(picture.read_bytes(), caption=caption, alt=caption)


def _data(view: RunView, styles: Styles) -> None:
    try:
        section = report_sections.data(view.run)
        across = view.run.read_json(OVERLAPS.removesuffix(".json")) if (view.run.path / OVERLAPS).is_file() else {}
        rows = finding_counts(view.run.read_json("dataset_stats"), across.get("findings", []))
    except InputError as error:
        st.info(plain(view.aliases.clean(f"There is no audit of the data to show: {error}")))
        return
    kept = [part for part in section.parts if isinstance(part, Table | Text)]  # sentences of findings name cases
    show_section(Section(section.title, kept), view.aliases)
    if rows:
        table = Table("findings by kind; their sentences name cases and are in data_audit.txt in the run folder",
            ("site", "level", "kind", "number"), rows)  # fmt: skip
        show_section(Section("", [table]), view.aliases)
    crossed = report_sections.cross_site(view.run)
    if crossed is not None:
        show_section(crossed, view.aliases, heading=True)


def _configuration(view: RunView, styles: Styles) -> None:
    try:
        show_section(report_sections.configuration(view.run), CaseAliases({}, view.aliases.secrets))
    except InputError as error:
        st.warning(plain(view.aliases.clean(str(error))))


def _log(view: RunView, styles: Styles) -> None:
    text = view.log_tail()
    if not text:
        st.info("The run has left no log.")
        return
    st.caption("The end of training.log, without paths and names of cases.")
    st.code(text, language=None, height=480)


TABS: Mapping[str, Callable[[RunView, Styles], None]] = {
    "Curves": curves_tab,
    "Result": _result,
    "Classes": _classes,
    "Cases": _cases,
    "Privacy": _privacy,
    "Data": _data,
    "Configuration": _configuration,
    "Log": _log,
}


def _evaluation(view: RunView, place: str) -> tuple[EvaluationFolder, CaseAliases] | None:
    """The evaluation that is chosen in a tab; None, and the command that makes one, where there is none."""
    names = view.evaluations
    if not names:
        if view.status.goes_on:
            st.info("The run goes on; it can be scored when it is finished.")
        else:
            show_missing("This run has not been scored yet.",
                f"python result_stat/evaluate.py {shlex.quote(str(view.run.path))}")  # fmt: skip
        return None
    name = names[0]
    if len(names) > 1:
        name = st.selectbox("Evaluation", names, key=f"evaluation {place} {view.run.name}", help="Model and cases.")
    try:
        return view.evaluation(str(name))
    except InputError as error:
        st.warning(plain(view.aliases.clean(str(error))))
        return None
