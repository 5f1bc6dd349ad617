"""Startup kits: everyone gets one, and a site's says that its logs and files stay there."""

import json
from pathlib import Path
from typing import Any

import pytest

from fedmed.errors import InputError
from fedmed.federation.kit import user_kit
from fedmed.federation.provision import Federation, project_of, provision

USERS = {"admin@fedmed.org": "project_admin", "lead@fedmed.org": "lead", "member@fedmed.org": "member"}


def federation(**other: Any) -> Federation:
    usual = {"host": "fl.example.org", "port": 8443, "sites": ("a", "b"), "users": USERS, "storage": Path("/srv/fl")}
    return Federation(**{**usual, **other})


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return provision(federation(), tmp_path_factory.mktemp("kits") / "new")


def test_everyone_has_a_kit_with_a_private_key_that_is_the_owners_alone(kits: dict[str, Path]) -> None:
    assert set(kits) == {"fl.example.org", "a", "b", *USERS}
    for kit in kits.values():
        keys = list((kit / "startup").glob("*.key"))
        assert [key.stat().st_mode & 0o077 for key in keys] == [0]
    assert kits["a"].parents[2].stat().st_mode & 0o077 == 0


def test_a_users_kit_leads_to_the_server(kits: dict[str, Path]) -> None:
    kit = user_kit(kits["lead@fedmed.org"])
    assert (kit.username, kit.host, kit.port) == ("lead@fedmed.org", "fl.example.org", 8443)


def local(kit: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((kit / "local" / name).read_text())
    return content


def test_the_server_keeps_jobs_in_a_folder_of_this_federation(kits: dict[str, Path]) -> None:
    text = (kits["fl.example.org"] / "local" / "resources.json").read_text()
    assert "/tmp/nvflare" not in text
    assert '"/srv/fl/jobs"' in text
    assert '"/srv/fl/snapshots"' in text


def test_a_site_sends_no_log_and_lets_no_role_read_its_files(kits: dict[str, Path]) -> None:
    assert local(kits["a"], "resources.json")["allow_log_streaming"] is False
    rights = local(kits["a"], "authorization.json")["permissions"]
    assert set(rights) == set(local(kits["a"], "authorization.json.default")["permissions"])
    assert not any("shell_commands" in of_role for of_role in rights.values())
    assert "any" not in rights.values()  # which would be every right there is


def test_kits_made_later_belong_to_the_same_federation(tmp_path: Path) -> None:
    first = provision(federation(sites=("a",)), tmp_path)
    later = provision(federation(sites=("a", "new")), tmp_path)
    roots = {(kit / "startup" / "rootCA.pem").read_bytes() for kit in (first["a"], later["a"], later["new"])}
    assert len(roots) == 1


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"host": "my server"}, "a host name"),
        ({"port": 0}, "--port is 0"),
        ({"port": 70000}, "from 1 to 65535"),
        ({"sites": ("a b",)}, "'a b'"),
        ({"sites": ("a", "a")}, "give each its own"),
        ({"users": {"admin": "lead"}}, "an e-mail address"),
        ({"users": {"x@y.org": "boss"}}, "is boss; expected one of project_admin"),
        ({"storage": Path("jobs")}, "no absolute path"),
        ({"project": "my project"}, "letters, digits and underscores"),
    ],
)
def test_what_flare_would_not_take_is_refused(other: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        federation(**other)


def test_the_project_names_everyone_once() -> None:
    names = [each["name"] for each in project_of(federation())["participants"]]
    assert sorted(names) == sorted(["fl.example.org", "a", "b", *USERS])


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((InputError, OSError), match="file"):
        provision(federation(), tmp_path / "file" / "kits")
