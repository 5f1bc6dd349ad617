"""Startup kits: everyone gets one, and a site's says that its logs and files stay there."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from nvflare.fuel.sec.authz import AuthzContext, Person
from nvflare.security.security import FLAuthorizer

from fedmed.core.errors import InputError
from fedmed.environments.flare.federation_project import Federation, Project, project_of, read_project
from fedmed.environments.flare.provisioning import ERRORS, join, make_kits, provision
from fedmed.environments.flare.startup_kit import user_kit

USERS = {"admin@fedmed.org": "project_admin", "lead@fedmed.org": "lead", "member@fedmed.org": "member"}
FEDERATION = Federation("fl.example.org", 8443, ("a", "b"), USERS, storage=Path("/srv/fl"))
MADE, FILE = project_of(FEDERATION), read_project(Path(__file__).resolve().parents[3] / "deploy/project.yml")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kits") / "new"


@pytest.fixture(scope="module")
def kits(out: Path) -> dict[str, Path]:
    return provision(FEDERATION, out)


@pytest.fixture(scope="module", params=[MADE, FILE], ids=["made here", "deploy's"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    """Kits of a project that asks for log streaming, by the participants' types; a site has joined later."""
    project: Project = copy.deepcopy(request.param)
    for each in project["participants"]:
        each["allow_log_streaming"] = True
    folder = tmp_path_factory.mktemp("either") / "kits"
    made = make_kits(project, folder, Path("/srv/fl")) | join(folder, ["later"])
    types = {each["name"]: each["type"] for each in read_project(folder / "project.yml")["participants"]}
    return {kind: {n: kit for n, kit in made.items() if types[n] == kind} for kind in set(types.values())}


def test_everyone_has_a_kit_with_a_private_key_that_is_the_owners_alone(kits: dict[str, Path]) -> None:
    assert set(kits) == {"fl.example.org", "a", "b", *USERS}
    for kit in kits.values():
        keys = list((kit / "startup").glob("*.key"))
        assert [key.stat().st_mode & 0o077 for key in keys] == [0]
    assert kits["a"].parents[2].stat().st_mode & 0o077 == 0
    assert (kits["a"].parents[1] / "state/cert.json").stat().st_mode & 0o077 == 0


def test_a_users_kit_leads_to_the_server(kits: dict[str, Path]) -> None:
    kit = user_kit(kits["lead@fedmed.org"])
    assert (kit.username, kit.host, kit.port) == ("lead@fedmed.org", "fl.example.org", 8443)


def local(kit: Path, name: str) -> dict[str, Any]:
    """A file of a kit as FLARE reads it: the site's own, else the default."""
    own = kit / "local" / name
    content: dict[str, Any] = json.loads((own if own.exists() else own.with_name(f"{name}.default")).read_text())
    return content


def granted(rights: dict[str, str]) -> dict[str, str]:
    """The rights in the categories that are FLARE's own but one."""
    return {right: whom for right, whom in rights.items() if whom != "none" and right != "shell_commands"}


def test_the_server_keeps_jobs_in_a_folder_of_this_federation_and_has_them_wait(
    either: dict[str, dict[str, Path]],
) -> None:
    (server,) = either["server"].values()
    text = (server / "local/resources.json").read_text()
    assert "/tmp/" not in text
    assert {"/srv/fl/jobs", "/srv/fl/snapshots"} <= set(text.split('"'))
    assert json.loads(text).keys() == local(server, "resources.json.default").keys()
    scheduler = next(each for each in json.loads(text)["components"] if each["id"] == "job_scheduler")["args"]
    assert scheduler["min_schedule_interval"] <= 1
    assert scheduler["max_schedule_interval"] * scheduler["max_schedule_count"] >= 3600


def test_a_lead_may_ask_the_server_for_the_rounds_of_the_leads_own_job(either: dict[str, dict[str, Path]]) -> None:
    (server,) = either["server"].values()
    own, default = (local(server, f"authorization.json{end}")["permissions"] for end in ("", ".default"))
    assert own["lead"].pop("app_command") == "n:submitter"
    for role in ("org_admin", "lead", "member"):
        assert {own[role].pop(command) for command in ERRORS} == {"none"}
    assert own == default


def may(kit: Path, role: str, command: str) -> bool:
    """The answer of FLARE's own authorizer, which the server and a site ask, for the submitter of a job."""
    user = Person("someone@fedmed.org", "research", role)
    asked = AuthzContext(command, user, submitter=user)
    permitted: bool = FLAuthorizer("hospital", local(kit, "authorization.json")).evaluate(asked)[0]
    return permitted


@pytest.mark.parametrize("role", ["project_admin", "org_admin", "lead", "member"])
def test_nobody_sees_the_errors_of_a_job_at_a_site_and_only_who_runs_the_server_there(
    either: dict[str, dict[str, Path]], role: str
) -> None:
    (server,) = either["server"].values()
    assert may(server, role, "show_errors") == may(server, role, "reset_errors") == (role == "project_admin")
    for kit in [server, *either["client"].values()]:
        assert may(kit, role, "check_status")  # a right that looking on still is
    for kit in either["client"].values():
        assert not any(may(kit, role, command) for command in ("show_errors", "reset_errors", "cat", "tail", "grep"))


def test_a_site_sends_no_log_and_lets_no_role_read_its_files(either: dict[str, dict[str, Path]]) -> None:
    assert "later" in either["client"]
    for kit in either["client"].values():
        assert local(kit, "resources.json")["allow_log_streaming"] is False
        rights = local(kit, "authorization.json")["permissions"]
        assert set(rights) == set(local(kit, "authorization.json.default")["permissions"])
        assert {of_role["shell_commands"] for of_role in rights.values()} == {"none"}
        for role in ("org_admin", "lead", "member"):  # have what FLARE gives them else
            assert granted(rights[role]) == granted(local(kit, "authorization.json.default")["permissions"][role])
        assert "any" not in rights.values()  # which would be every right there is
        assert {role for role, of_role in rights.items() if of_role.get("submit_job") == "any"} == {
            "project_admin",
            "lead",
        }


def test_a_site_that_joins_belongs_to_the_same_federation_and_nothing_of_the_others_changes(
    out: Path, kits: dict[str, Path]
) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and "prod_00" in path.parts}

    before = files()
    assert join(out, ["new"]) == {"new": out / "fedmed/prod_01/new"}
    assert join(out, ["x", "y-2"]) == {name: out / "fedmed/prod_02" / name for name in ("x", "y-2")}
    assert files() == before
    roots = {(kit / "startup/rootCA.pem").read_bytes() for kit in out.glob("fedmed/prod_*/*")}
    assert len(roots) == 1
    later = [path.name for path in (*out.glob("fedmed/prod_01/*"), *out.glob("fedmed/prod_02/*"))]
    assert sorted(later) == ["new", "x", "y-2"]
    fed = [json.loads((kit / "startup/fed_client.json").read_text()) for kit in (kits["a"], out / "fedmed/prod_02/x")]
    assert fed[0]["servers"] == fed[1]["servers"]
    assert sorted(path.name for path in out.iterdir()) == ["fedmed", "project.yml"]
    assert (out / "fedmed/state/cert.json").stat().st_mode & 0o077 == 0
    for name in ("a", "NEW", "server"):
        with pytest.raises(InputError, match="name of more than one participant"):
            join(out, [name])
    assert len(list(out.glob("fedmed/prod_*"))) == 3


def test_no_site_joins_without_the_root_key(tmp_path: Path) -> None:
    out = tmp_path / "kits"
    provision(FEDERATION, out)
    root = out / "fedmed/state/cert.json"
    root.rename(tmp_path / "in the safe")
    with pytest.raises(InputError, match=r"state/cert\.json, the federation's root key, is not there; put it back"):
        join(out, ["new"])
    assert not root.exists()
    with pytest.raises(OSError, match="none"):
        join(tmp_path / "none", ["new"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in the safe", "kits"]


def test_kits_that_are_there_are_kept(out: Path, kits: dict[str, Path]) -> None:
    before = (kits["a"] / "startup/client.key").read_bytes()
    with pytest.raises(InputError, match="is there already, and keys are never overwritten"):
        provision(FEDERATION, out)
    assert (kits["a"] / "startup/client.key").read_bytes() == before


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((InputError, OSError), match="file"):
        provision(FEDERATION, tmp_path / "file" / "kits")


TEMPLATE = {"path": "nvflare.lighter.impl.workspace.WorkspaceBuilder", "args": {"template_file": ["none.yml"]}}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"api_version": 1}, "FLARE refuses the project .*API version"),
        ({"builders": []}, "FLARE refuses the project .*no builders"),
        ({"builders": [{"path": "nvflare.lighter.impl.none.Builder"}]}, "FLARE refuses the project"),
        ({"builders": [TEMPLATE]}, r"FLARE made no kits .*none\.yml"),
    ],
)
def test_what_flare_refuses_becomes_one_sentence_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], other: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        make_kits({**MADE, **other}, tmp_path / "kits", Path("/srv/fl"))
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
