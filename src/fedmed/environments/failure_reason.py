"""The reason of a failed run, in the words of whoever noticed it first."""

import re
from pathlib import Path

from fedmed.core.code_version import OTHER_CODE
from fedmed.data.audit.duplicates_exchange import REFUSED_DATA
from fedmed.server.aggregation import NO_UPDATE
from fedmed.server.quorum import NO_ROUND

_BAD_RESULT = re.compile(r"Result from (\S+) is bad, error code: (\w+)")
"""FLARE's words for a site that could not do its part; the reason is in the site's own log alone."""


_TOO_FEW = re.compile(r"(?:All clients are dead|Alive clients \d+ < required min|Required client\(s\) dead).*")
"""FLARE's words for a job that has lost too many sites."""

_DIED = re.compile(r"Failing job \S+(?: due to reported failure|: terminal outcome unavailable) from (\S+): ")
"""FLARE's words for a site whose process of the job has ended otherwise than well."""

_BROKEN = re.compile(r"Exception in model controller run: (.*)")
"""FLARE's words for an error of the server's own, such as a full disk."""


def reason_of_sites(reports: Path) -> str | None:
    """The words that the site of this machine that failed first left in ``reports``; None where none did."""
    found = sorted(reports.glob("*.error"), key=lambda path: path.stat().st_mtime)
    return f"{found[0].stem} failed: {found[0].read_text(encoding='utf-8')}" if found else None


def failure_reason(reports: Path, log: Path) -> str | None:
    """The reason by the sites of this machine and the server's log; None where neither gives one."""
    site, server = reason_of_sites(reports), reason_of_server(log)
    if site and server and server.startswith(NO_ROUND):
        return f"{server} {site}"
    return site or server


def reason_of_server(log: Path) -> str | None:
    """The reason by a log of the server: a refusal of code, data or a round's updates, or which site failed first."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    refusals = re.findall(rf"(?:{NO_UPDATE}|{NO_ROUND}|{REFUSED_DATA}|{OTHER_CODE}).*", text)
    if refusals:
        return refusals[-1]
    too_few = _TOO_FEW.search(text)
    if too_few:
        return f"too many sites are lost ({too_few[0].strip()}); the server's log is {log}"
    broken = _BROKEN.search(text)
    if broken:
        return f"the server could not go on ({broken[1].strip()}); its log is {log}"
    bad = _BAD_RESULT.search(text)
    if bad:
        return f"{bad[1]} failed ({bad[2]}); its own log says why, the server's is {log}."
    died = _DIED.search(text)
    return died_without_a_word(died[1], log) if died else None


def died_without_a_word(site: str, log: Path) -> str:
    """The sentence for a site whose process has ended and left no reason."""
    return f"The process of {site} died without a word (killed, or out of memory?); its last lines are in {log}."
