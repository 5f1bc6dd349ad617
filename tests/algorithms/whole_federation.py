"""A whole federation in one thread: the real server and real sites of an experiment, each with its state on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedmed.core.lines import json_lines
from fedmed.core.messages import Answer, Question
from fedmed.core.names import BEST_OWN, LAST_OWN, STATE_VARIABLE
from fedmed.core.weights import load_weights, payload
from fedmed.experiment import Experiment
from fedmed.server.checkpoint import Checkpoints
from fedmed.server.federation_server import FederationServer, ServerFiles
from fedmed.server.plan import ServerPlan
from fedmed.site.local_training import LocalSite
from fedmed.site.site import Site
from fedmed.site.site_events import SiteEvents

Arrays = dict[str, np.ndarray]


class Killed(BaseException):
    """A process is killed."""


class NoEvents:
    """Takes a site's events."""

    def add_scalar(self, tag: str, scalar: float, global_step: int) -> None:
        pass


class WholeFederation:
    """A run whose state lies in ``place``; each call of :meth:`run` is a job with new processes of all.

    Attributes:
        questions: all that were asked, as they were sent.
        answers: by site what came back, in that order.
        said: the lines of the sites' own logs.
        on: called with "asked", "answered" or "closed" and the question; it may raise :class:`Killed`.
    """

    def __init__(self, experiment: Experiment, place: Path, monkeypatch: Any) -> None:
        self.experiment, self.place = experiment, place
        monkeypatch.setenv(STATE_VARIABLE, str(place / "sites"))
        self.questions, self.answers = list[Question](), list[tuple[str, Answer]]()
        self.said, self.reported = list[str](), list[str]()
        self.on: Callable[[str, Question], object] = lambda moment, question: None
        self.present: Callable[[Question | None], tuple[str, ...]] = lambda last: experiment.training.sites

    def first(self) -> dict[str, torch.Tensor]:
        network: torch.nn.Module = self.experiment.task.first_model(self.experiment.training.seed)
        return network.state_dict()

    def site(self, name: str) -> Site:
        local = LocalSite(self.experiment, name, "job")
        return Site(local, SiteEvents(name, "job", NoEvents()), self.said.append)

    def run(self) -> "WholeFederation":
        jobs = len(list(self.place.glob("job-*")))
        files = ServerFiles(self.place / f"job-{jobs + 1}", self.place / "server")
        parts = self.experiment.algorithm.parts(self.experiment.task.build_model())
        plan = ServerPlan.of(self.experiment, parts.shared)
        server = FederationServer(plan, files, self.first, 0.0, self.reported.append)
        self.sites = {name: self.site(name) for name in self.experiment.training.sites}
        last: Question | None = None
        try:
            while (question := server.next(self.present(last), 0.0)) is not None:
                self.questions.append(question)
                self.on("asked", question)
                for name in question.sites:
                    answer = self.sites[name].answer(question)
                    self.answers.append((name, answer))
                    server.take(name, answer, 0.0)
                    self.on("answered", question)
                server.close(0.0)
                self.on("closed", question)
                last = question
            server.leave()
        finally:
            server.checkpoints.release()
        return self

    @property
    def model(self) -> Arrays:
        """The server's last model."""
        found = Checkpoints(self.place / "server").load()
        assert found is not None
        return {name: values.numpy() for name, values in load_weights(found.last).items()}

    def own(self, site: str, which: str = LAST_OWN) -> Arrays:
        """A site's own last or best model."""
        path = self.place / "sites" / "job" / site / which
        return {name: values.numpy() for name, values in load_weights(path).items()}

    @property
    def bits(self) -> dict[str, bytes]:
        """All models that the run leaves."""
        found = {"global": self.model}
        for site in self.experiment.training.sites:
            for which in (BEST_OWN, LAST_OWN):
                if (self.place / "sites" / "job" / site / which).is_file():
                    found[f"{site} {which}"] = self.own(site, which)
        return {title: b"".join(model[name].tobytes() for name in sorted(model)) for title, model in found.items()}

    @property
    def records(self) -> list[dict[str, Any]]:
        return json_lines(self.place / "server" / "rounds.jsonl")

    def sizes(self, kind: str) -> set[int]:
        """Bytes of the weights in the questions of a kind."""
        return {payload(question.weights) for question in self.questions if question.kind == kind}
