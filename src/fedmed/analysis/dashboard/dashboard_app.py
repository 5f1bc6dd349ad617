"""The script that Streamlit runs for every look at the dashboard: its pages, and the one that is asked for."""

import os
from pathlib import Path

import streamlit as st

from fedmed.analysis.dashboard.artifacts_listing import ArtifactsListing
from fedmed.analysis.dashboard.page_parts import ICON, plain
from fedmed.analysis.dashboard.runs_page import runs_page
from fedmed.analysis.dashboard.single_run_page import single_run_page
from fedmed.core.errors import InputError
from fedmed.core.names import DASHBOARD_VARIABLE


def main() -> None:
    """Show the page that the address asks for."""
    st.set_page_config("Federated runs", ICON, layout="wide")
    try:
        listing = ArtifactsListing.of(Path(os.environ[DASHBOARD_VARIABLE]))
    except InputError as error:
        st.error(plain(str(error)))
        return
    run = st.Page(lambda: single_run_page(listing), title="Run", icon=":material/monitoring:", url_path="run")
    runs = st.Page(
        lambda: runs_page(listing, run), title="Runs", icon=":material/table_rows:", url_path="runs", default=True
    )
    st.navigation([runs, run], position="top").run()


if __name__ == "__main__":
    main()
