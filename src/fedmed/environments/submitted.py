"""What a job must never have when it is submitted to a federation's server, be the sites on one machine or on many."""

from typing import TYPE_CHECKING

from fedmed.core.errors import InputError

if TYPE_CHECKING:
    from fedmed.experiment import Experiment


def check_submitted(experiment: "Experiment") -> None:
    """Refuse what has a place in the simulator only.

    Raises:
        InputError: the experiment has it.
    """
    if experiment.privacy.insecure_seeded_noise:
        raise InputError(
            "--insecure_seeded_noise makes noise that protects nothing, for tests in the simulator; "
            "drop it, or take --env sim."
        )
