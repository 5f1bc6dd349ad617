"""A provisioned federation on this machine: its kits, its sites' data, its processes, and what they leave."""

import contextlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

import job
from fedmed.core.cli import run_script
from fedmed.core.names import BEST, LAST
from fedmed.core.weights import load_weights
from fedmed.environments.flare.admin_session import admin_session
from fedmed.environments.flare.federation_project import Federation
from fedmed.environments.flare.local_federation import LocalFederation, free_port, running
from fedmed.environments.flare.provisioning import provision
from fedmed.environments.flare.startup_kit import user_kit
from fedmed.environments.plain_paths import scratch_folder
from fedmed.runs.run_folder import RunFolder
from tests.federations import here, launch
from tests.federations.launch import Begun

SITES = ("hospital-a", "hospital-b")
LEAD, MEMBER = "lead@fedmed.org", "member@fedmed.org"
JOB = ("--task", "toy_task", "--site_names", ",".join(SITES), "--seed", 3)
ROUNDS = ("--num_rounds", 4)
KEY = "k" * 40


class Federated:
    """A federation that runs, the folder that everything of it lies in, and members that a test may stop and start."""

    def __init__(self, place: Path, federation: Federation, pictures: Path, project: Path) -> None:
        self.place, self.federation, self.project = place, federation, project
        self.kits = provision(federation, place / "kits")
        self.data = {site: Path(shutil.copytree(pictures, place / f"confidential {site}")) for site in SITES}
        self.members: LocalFederation
        clean = launch.variables(DUPLICATES_KEY=KEY, OMP_NUM_THREADS="1")
        self.variables: dict[str, dict[str, str]] = {"localhost": clean}
        for site, path in self.data.items():
            self.variables[site] = {**clean, "DATASET_ROOT": str(path), "DATALIST_ROOT": str(path / "datalist")}

    @contextlib.contextmanager
    def running(self) -> Iterator["Federated"]:
        """Server and sites, with their variables in the environment of each."""
        with scratch_folder() as scratch, pytest.MonkeyPatch.context() as patch:
            for name, value in self.variables["localhost"].items():  # the server inherits this process's environment
                patch.setenv(name, value)
            log = self.place / "flare.log"
            with running(self.federation, self.kits, log, scratch, self.variables) as self.members:
                self.wait_for_sites()
                yield self
        assert not launch.processes_with(str(self.place))

    def wait_for_sites(self) -> None:
        with admin_session(user_kit(self.kits[LEAD])) as admin:
            self.members.wait_for_sites(admin)

    def code(self, name: str) -> Path:
        """Where the server or a site has its own copy of the code."""
        return self.place / f"code of {name}"

    def submit(self, name: str, *options: object) -> Begun:
        environment = ["--env", "prod", "--startup_kit", self.kits[LEAD], "--artifacts", self.place / "artifacts"]
        return Begun(self.run(name), *JOB, *environment, "--job_name", name, *options, project=self.project)

    def submit_here(self, user: str, name: str, *options: object) -> int:
        """The same in this process; its exit code."""
        usual = ["--env", "prod", "--startup_kit", self.kits[user], "--artifacts", self.place / "artifacts"]
        with here.plugins():
            return run_script(job.main, [*map(str, [*usual, *JOB, "--job_name", name, *options])])

    def resume(self, name: str) -> str:
        """Go on with a run to its end; what was said."""
        with Begun(self.run(name), "--resume", self.run(name), project=self.project) as begun:
            return begun.end()

    def hold(self, number: int) -> Path:
        """The file that has the second site hold its answer back in that round, counted from 1, while it is there."""
        path = self.place / "filters" / f"hold-{number - 1}"
        path.touch()
        return path

    def run(self, name: str) -> Path:
        return self.place / "artifacts" / f"{name}-001"

    def secrets(self) -> list[str]:
        """What must not leave the sites: names of cases, and their places."""
        lists = [json.loads((path / "datalist" / f"{site}.json").read_text()) for site, path in self.data.items()]
        cases = [case for each in lists for split in ("training", "validation") for case in each[split]]
        names = {name for case in cases for name in (Path(case["image"]).stem, case["patient"])}
        return [*names, *(str(path) for path in self.data.values())]

    def server_side(self) -> list[Path]:
        """All files at the server and with its users, and of the runs that were followed from there."""
        folders = [self.kits["localhost"], self.kits[LEAD], self.place / "store", self.place / "artifacts"]
        return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

    def processes_of(self, name: str) -> list[psutil.Process]:
        """Of the server or a site: FLARE's own, and those of jobs."""
        kit = str(self.kits[name])
        return [each for each in psutil.process_iter(["cmdline"]) if kit in (each.info["cmdline"] or [])]

    def kill(self, name: str) -> None:
        found = self.processes_of(name)
        assert len(found) >= 2  # its own and a job's
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def start(self, name: str) -> None:
        self.members.start(name, self.variables[name])


def made(place: Path, pictures: Path, project: Path) -> Federated:
    users = {LEAD: "lead", MEMBER: "member"}
    federation = Federation("localhost", free_port(), SITES, users, storage=place / "store")
    return Federated(place, federation, pictures, project)


def history(run: RunFolder) -> pd.DataFrame:
    """What the sites measured in each round, without what depends on the machine."""
    table = run.history().sort_values(["round", "site"], ignore_index=True)
    return table[[name for name in table if not name.endswith("seconds")]]


def assert_same(run: RunFolder, other: RunFolder) -> None:
    for name in (BEST, LAST):
        torch.testing.assert_close(load_weights(run.path / name), load_weights(other.path / name), rtol=0, atol=0)
    pd.testing.assert_frame_equal(history(run), history(other), check_exact=True)


def found_in(paths: list[Path], words: list[str]) -> list[str]:
    """Where one of the words occurs: in a file, its name, or what is in it where it is an archive."""
    found = []
    for path in paths:
        texts = {str(path): path.read_bytes() + path.name.encode()}
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                texts |= {f"{path}: {name}": archive.read(name) + name.encode() for name in archive.namelist()}
        found += [f"{word} in {place}" for place, text in texts.items() for word in words if word.encode() in text]
    return found
