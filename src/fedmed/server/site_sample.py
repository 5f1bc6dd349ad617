"""The sites that train in a round: a draw that follows from the seed and the round alone."""

from collections.abc import Collection, Sequence

import numpy as np


def drawn(sites: Sequence[str], there: Collection[str], count: int | None, seed: int, rounds: int) -> list[str]:
    """The first ``count`` sites that are there, in an order of all sites that is drawn anew each round.

    Drawn without replacement, every site with the same probability, as in McMahan et al. 2017, algorithm 1. Who is
    missing changes nothing but who takes its place.

    Args:
        sites: of the run.
        there: those that can be asked.
        count: how many are wanted; None for all.
        rounds: how many rounds are completed.
    """
    if count is None:
        return sorted(there)
    order = np.random.default_rng([seed, rounds, *b"sites"]).permutation(len(sites))
    known = [name for place in order if (name := sorted(sites)[place]) in there]
    return sorted(known[:count])
