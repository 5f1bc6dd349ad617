"""A finding of an audit: one sentence, and its level, which decides whether a run may start."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fedmed.core.errors import InputError

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong (an error, which stops a run) or odd (a warning, which does not).

    ``sentence`` names the file or case, what was found, what was expected and what to do.
    """

    level: Level
    check: str
    sentence: str

    def document(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return asdict(self)


def errors_of(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "error"]


def refuse_errors(findings: Iterable[Finding], where: str) -> None:
    """Refuse data with errors; ``where`` names the data.

    Raises:
        InputError: there is an error; gives the first one's sentence and how many more there are.
    """
    errors = errors_of(findings)
    if errors:
        left = len(errors) - 1
        more = f" (and {left} more error{'s' * (left > 1)}, which prepare.py audit lists)" if left else ""
        raise InputError(f"The audit of {where} failed: {errors[0].sentence}{more}")
