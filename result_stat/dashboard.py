"""The runs of an artifacts folder as pages in a browser: how they go on, what came of them, what they spent.

python result_stat/dashboard.py                              artifacts/, on http://localhost:8501
python result_stat/dashboard.py STUDY --port 9000            the runs of another folder
python result_stat/dashboard.py --host 0.0.0.0               for other machines, with a token in the address

It reads run folders and writes nothing into them. make dashboard installs what it needs and starts it.
"""

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

from tqdm import tqdm

from fedmed.core.cli import Parser, absolute_path, echo, run_script, warn
from fedmed.core.errors import InputError, counted
from fedmed.core.names import ARTIFACTS
from fedmed.core.options import expect_between
from fedmed.core.progress import importing

NEEDED = ("streamlit", "plotly")
STOPPED = "the dashboard has ended; it wrote nothing"


def main(arguments: Sequence[str]) -> None:
    """Serve the dashboard until Ctrl-C."""
    args = parser().parse_args(arguments)
    expect_between("port", args.port, 1, 65535)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"{' and '.join(missing)} cannot be imported; install what the dashboard needs: make dashboard"
        )
    with importing(__name__):
        from fedmed.analysis.dashboard import dashboard_server as server
        from fedmed.analysis.dashboard.artifacts_listing import ArtifactsListing
        from fedmed.analysis.dashboard.run_row import row_of
    listing = ArtifactsListing.of(args.artifacts)
    server.check_free(args.host, args.port)
    for path in tqdm(listing.runs.values(), desc="runs are read", unit="run", leave=False, delay=1):
        row_of(path)  # here, so that the first page need not wait for hundreds of them
    token = server.new_token(args.host)
    if token:
        warn("whoever has this address sees the runs, and nothing encrypts the way to it; ssh -L is safer than --host.")
    echo(f"{counted(len(listing.runs), 'run')} of {args.artifacts}: {server.address(args.host, args.port, token)}")
    server.serve(args.artifacts, args.host, args.port, token)


def parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "artifacts", nargs="?", type=absolute_path, default=HERE.parent / ARTIFACTS,
        help="folder of run folders (default: artifacts beside job.py)",
    )  # fmt: skip
    parser.add_argument("--host", default="localhost", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8501, help="(default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(run_script(main, stopped=STOPPED))
