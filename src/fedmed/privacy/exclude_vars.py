"""A filter of parameters by name: those that match stay at the site, the others leave as they are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from fedmed.core.errors import InputError
from fedmed.core.options import option
from fedmed.core.plugin import ExperimentView
from fedmed.privacy.base import Mechanism, PrivateUpdate, ReleaseContext, Released, Spending
from fedmed.privacy.ledger import Ledger
from fedmed.privacy.update_statistics import cosine, signal_to_noise


@dataclass(frozen=True)
class ExcludeVars(Mechanism):
    """Excluded parameters are sent as differences of zero: the global model keeps its values.

    FLARE's ``ExcludeVars`` leaves them out of the message instead.
    """

    exclude_vars: str = option("", "regular expression; parameters whose name holds a match do not leave")
    dp_send_diagnostics: bool = option(False, "send the ledger's signal-to-noise and cosine too")

    UNIT: ClassVar[Literal["site's update"]] = "site's update"
    GUARANTEE: ClassVar[Literal["heuristic"]] = "heuristic"
    ASSUMPTIONS: ClassVar[tuple[str, ...]] = (
        "The parameters that are not named leave as they are, and they were trained on the same patients.",
    )

    def __post_init__(self) -> None:
        if not self.exclude_vars:
            raise InputError(
                "--privacy exclude_vars has no --exclude_vars; give a regular expression such as 'convInit'."
            )
        try:
            re.compile(self.exclude_vars)
        except re.error as error:
            raise InputError(f"--exclude_vars {self.exclude_vars} is no regular expression ({error}).") from error

    def check(self, experiment: ExperimentView) -> None:
        super().check(experiment)
        names = experiment.algorithm.parts(experiment.task.build_model()).shared.trainable
        excluded = self.excluded(names)
        if not excluded or len(excluded) == len(names):
            found = "none" if not excluded else "each"
            raise InputError(
                f"--exclude_vars {self.exclude_vars} matches {found} of the network's {len(names)} parameters"
                f"{' that are sent' * bool(self.unsent)} ({', '.join(names[:2])}, ...); expected some of them."
            )

    def excluded(self, names: Iterable[str]) -> list[str]:
        """Those of the names that hold a match of the expression, in alphabetical order."""
        return sorted(name for name in names if re.search(self.exclude_vars, name))

    def release(self, update: PrivateUpdate, context: ReleaseContext, ledger: Ledger) -> Released:
        excluded = self.excluded(update)
        sent = {name: np.zeros_like(values) if name in excluded else values.copy() for name, values in update.items()}
        diagnostics = {"signal_to_noise": signal_to_noise(update, sent), "cosine": cosine(update, sent)}
        return Released(sent, Spending(), {"excluded": excluded, "steps": context.steps}, diagnostics)

    def statement(self) -> str:
        return (
            f"exclude_vars: heuristic. Parameters that match {self.exclude_vars} stay at the site, the others leave "
            f"as they are; there is no epsilon and no guarantee{self.not_covered}"
        )


PLUGIN = ExcludeVars
