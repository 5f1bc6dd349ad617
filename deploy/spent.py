"""The privacy that a site's patients have spent over all jobs, without their names, by the ledger of SITE_LEDGER.

python deploy/spent.py --begin      makes an empty ledger, once and for all
python deploy/spent.py              shows it, at the delta of PRIVACY_POLICY
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

import pandas as pd

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError, counted
from fedmed.core.names import SITE_LEDGER_VARIABLE
from fedmed.privacy.accounting import epsilon_of
from fedmed.privacy.patient_spending import all_patients, delta_of
from fedmed.privacy.policy import policy_of_this_site
from fedmed.privacy.site_wide_ledger import SiteWideLedger, begin_site_wide_ledger


def main(arguments: Sequence[str]) -> None:
    """Make a ledger, or print one."""
    args = parser().parse_args(arguments)
    folder = args.ledger or folder_of_this_site()
    if args.begin:
        begin_site_wide_ledger(folder)
        echo(f"{folder}: an empty ledger. Set {SITE_LEDGER_VARIABLE} to it where the site runs, and keep copies of it.")
        return
    policy = policy_of_this_site()
    if args.delta is None and policy is None:
        raise InputError("PRIVACY_POLICY names no policy, whose max_delta would be taken; give --delta, such as 1e-4.")
    delta = args.delta if policy is None or args.delta is not None else delta_of(policy)
    echo(report(SiteWideLedger(folder), delta))
    if policy is not None and policy.max_epsilon is not None:
        echo(f"The policy allows a patient epsilon {policy.max_epsilon:g} at delta {delta_of(policy):g}.")


def parser() -> Parser:
    """The command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledger", type=absolute_path, help=f"the ledger's folder (default: {SITE_LEDGER_VARIABLE})")
    parser.add_argument("--begin", action="store_true", help="make it, empty; refused where there is something already")
    parser.add_argument(
        "--delta", type=share, help="delta at which epsilon is stated (default: the policy's max_delta)"
    )
    return parser


def share(text: str) -> float:
    """A number between 0 and 1, from the command line."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and below 1")
    return value


def folder_of_this_site() -> Path:
    """The folder that the environment names.

    Raises:
        InputError: it names none.
    """
    named = os.environ.get(SITE_LEDGER_VARIABLE)
    if not named:
        raise InputError(f"{SITE_LEDGER_VARIABLE} is not set; set it to the ledger's folder, or give --ledger.")
    return absolute_path(named)


def report(ledger: SiteWideLedger, delta: float) -> str:
    """Each job with what it alone has spent, and how many patients have spent how much over all of them."""
    patients = all_patients(ledger)
    number = counted(len({job.job for job in ledger.jobs}), "job")
    title = f"Ledger {ledger.folder}, begun on {ledger.since}: {number} on {counted(len(patients), 'patient')}"
    if not ledger.jobs:
        return title
    spent = Counter(f"{epsilon_of(history, delta):.3g}" for history in ledger.histories(patients))
    people = [{"patients": count, "epsilon over all jobs": epsilon} for epsilon, count in spent.most_common()]
    tables = [pd.DataFrame(rows).to_string(index=False) for rows in (jobs(ledger, delta), people)]
    return "\n\n".join([title, *tables, f"Epsilon at delta {delta:g}, for one patient."])


def jobs(ledger: SiteWideLedger, delta: float) -> list[dict[str, object]]:
    """A row a job."""
    return [
        {
            "job": job.job,
            "site": job.site,
            "privacy": job.mechanism,
            "patients": len(ledger.datasets[job.dataset]),
            "rounds": rounds.rounds,
            "first": rounds.first,
            "last": rounds.last,
            "epsilon": f"{epsilon_of([(*job.noise, rounds.steps)], delta):.3g}" if job.noise else "no formal guarantee",
        }
        for job, rounds in ledger.jobs.items()
    ]


if __name__ == "__main__":
    sys.exit(run_script(main))
