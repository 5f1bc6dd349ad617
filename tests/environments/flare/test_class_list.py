"""A job without code of its own may name what this project's jobs name, by FLARE's own judgement, and little else."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from nvflare.apis.fl_exception import UnsafeComponentError
from nvflare.apis.workspace import Workspace
from nvflare.app_common.widgets.component_path_authorizer import ComponentPathAuthorizer

from fedmed.command_line import read_experiment
from fedmed.core.code_version import REPOSITORY
from fedmed.environments.flare.class_list import SERVERS_CLASSES, SITES_CLASSES
from fedmed.environments.flare.federation_project import Federation
from fedmed.environments.flare.job_folder import export_job
from fedmed.environments.flare.provisioning import provision
from fedmed.tasks.brats18 import Brats18
from model import BratsSegResNet

SERVERS_PART, SITES_PART = "app_server", "app_site"

JOBS = (
    ["--cross_site"],
    ["--algorithm", "local"],
    ["--fedproxloss_mu", "0.1"],
    ["--privacy", "svt"],
    ["--privacy", "percentile"],
    ["--privacy", "exclude_vars", "--exclude_vars", "convInit"],
    ["--privacy", "gaussian", "--dp_noise_multiplier", "1"],
    ["--privacy", "dpsgd", "--dp_target_epsilon", "8", "--dp_delta", "1e-3"],
)


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("kits")
    federation = Federation("server.org", 8443, ("a",), {"x@y.org": "lead"}, storage=place / "store")
    return provision(federation, place / "kits")


def components(config: Any) -> Iterator[dict[str, Any]]:
    """All that FLARE builds of a configuration."""
    if isinstance(config, dict) and "path" in config:
        yield config
    parts = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    yield from chain.from_iterable(components(part) for part in parts)


def configured(exported: Path, part: str) -> list[dict[str, Any]]:
    (config,) = (exported / part / "config").glob("config_fed_*.json")
    return list(components(json.loads(config.read_text())))


def authorize(component: dict[str, Any], kit: Path, name: str) -> None:
    ComponentPathAuthorizer().authorize_component_config(component, workspace=Workspace(str(kit), name))


def test_every_class_of_every_job_is_allowed_and_each_that_is_listed_is_needed(
    kits: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Brats18, "build_model", lambda self: BratsSegResNet(init_filters=8, blocks_down=(1, 1, 1, 1)))
    named: dict[str, set[str]] = {SERVERS_PART: set(), SITES_PART: set()}
    for number, chosen in enumerate(JOBS):
        arguments = ["--env", "prod", "--code", "installed", "--n_clients", "2", "--num_rounds", "2", *chosen]
        (tmp_path / str(number)).mkdir()
        exported = export_job(read_experiment(arguments), tmp_path / str(number))
        for part, kit, name in ((SERVERS_PART, "server.org", "server"), (SITES_PART, "a", "a")):
            for component in configured(exported, part):
                authorize(component, kits[kit], name)
                named[part].add(component["path"])
    ours = {part: {path for path in paths if path.startswith("fedmed.")} for part, paths in named.items()}
    assert ours == {SERVERS_PART: set(SERVERS_CLASSES), SITES_PART: set(SITES_CLASSES)}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", "nvflare.app_common.executors.client_api_executor.ClientAPIExecutor"),  # runs any command
        ("a", "fedmed.core.files.write_whole"),
        ("a", "fedmed.environments.flare.privacy_filter.PrivacyFilter"),  # of a site's own scope alone
        ("server.org", "nvflare.app_opt.pt.file_model_persistor.PTFileModelPersistor"),  # may be told to unpickle
        ("server.org", "model.BratsSegResNet"),
    ],
)
def test_what_could_bring_code_or_write_files_is_not(kits: dict[str, Path], name: str, path: str) -> None:
    with pytest.raises(UnsafeComponentError, match="is not in allow_list"):
        authorize({"path": path}, kits[name], "server" if name == "server.org" else name)


def test_the_page_for_sites_names_every_class_that_a_kit_made_elsewhere_needs() -> None:
    page = (REPOSITORY / "docs" / "site.md").read_text()
    assert [name for name in (*SERVERS_CLASSES, *SITES_CLASSES) if f'"{name}"' not in page] == []
