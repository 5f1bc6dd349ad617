"""The GPUs of the sites, in the form in which the simulator takes them."""

import re

from fedmed.core.errors import InputError

MOST_GPUS = 16
"""In one machine; a larger number is a slip of the keyboard also where no GPU tells so."""


def count_gpus() -> int:
    """The number of this machine's GPUs."""
    import torch

    return torch.cuda.device_count()


def parse_ids(text: str) -> list[int]:
    """``"0,1,2"`` -> [0, 1, 2].

    Raises:
        InputError: the text is no list of GPU numbers.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("[0-9]{1,2}", part) and int(part) < MOST_GPUS for part in parts):
        raise InputError(
            f"--gpu is {text!r:.80}; expected GPU numbers from 0 to {MOST_GPUS - 1} with commas between them, such as "
            "0 or 0,1,2,3."
        )
    return [int(part) for part in parts]


def check_ids(ids: list[int], present: int) -> None:
    """Refuse a GPU that this machine lacks. A machine without any is accepted: its sites run on the CPU.

    Raises:
        InputError: some GPU but not this one is there.
    """
    absent = sorted({i for i in ids if i >= present})
    if present and absent:
        raise InputError(
            f"--gpu names GPU {', '.join(map(str, absent))}, but this machine has {present} "
            f"(0 to {present - 1}); choose among these."
        )


def simulator_groups(ids: list[int], at_once: int) -> str:
    """The simulator's ``-gpu`` value with which ``at_once`` sites live at the same time.

    The simulator makes a group of every comma-separated entry and gives each group one thread as soon as there is
    more than one; a group's sites take turns on it, and a site that loses its turn loses its process. An entry a
    living site, with the ids dealt round, therefore keeps every site alive: 4 sites on GPU 0 are ``0,0,0,0``. (For one
    GPU alone ``0`` with four threads does the same; ``0,0`` starts 18 processes for 4 sites and 3 rounds.)
    """
    return ",".join(str(ids[i % len(ids)]) for i in range(at_once))
