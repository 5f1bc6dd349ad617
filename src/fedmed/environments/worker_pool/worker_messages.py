"""The messages between the launcher and the workers of a pool, and a worker's setup."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fedmed.core.messages import Answer, Question
from fedmed.environments.step_progress import Steps


@dataclass(frozen=True)
class Ask:
    """A question to some of the worker's sites, one after the other. Its weights lie in a file."""

    question: Question
    weights: Path | None
    sites: tuple[str, ...]


@dataclass(frozen=True)
class ScoreModel:
    """The request to score a model at some of the worker's sites, apart from any round."""

    model: str
    weights: Path
    sites: tuple[str, ...]


@dataclass(frozen=True)
class GiveOwn:
    """The request for the own models of some of the worker's sites, after so many rounds."""

    rounds: int
    sites: tuple[str, ...]


Message = Ask | ScoreModel | GiveOwn
"""The launcher's messages."""


class Begins(NamedTuple):
    """A worker's word that a site's turn has come."""

    site: str


class Answered(NamedTuple):
    """A site's answer; its update, or its own model, lies in ``arrays``."""

    site: str
    answer: Answer
    arrays: Path | None


class Failed(NamedTuple):
    """A site that could not answer, and why."""

    site: str
    why: str


class Progress(NamedTuple):
    """A site's steps in its round."""

    site: str
    steps: Steps


@dataclass(frozen=True)
class WorkerSetup:
    """A worker's part of a run.

    Attributes:
        experiment: the file of the experiment.
        job_id: the run's name at its sites.
        events: folder of the TensorBoard events, with a folder a site.
        arrays: folder for the files of answers.
        state_bytes: most that it holds of its sites' states.
        sites: how many sites pass through it.
    """

    experiment: Path
    job_id: str
    events: Path
    arrays: Path
    state_bytes: int
    sites: int
