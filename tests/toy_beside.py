"""Puts the task and the algorithm of ``tests/toy`` beside the package's own, in whatever process imports this."""

from pathlib import Path

import fedmed.algorithms
import fedmed.tasks

TOY = Path(__file__).parent / "toy"

fedmed.tasks.__path__.append(str(TOY))
fedmed.algorithms.__path__.append(str(TOY / "algorithm"))
