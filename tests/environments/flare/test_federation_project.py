"""Who takes part: said by a project file or made here, filled in, and refused in a sentence where it cannot be used."""

from pathlib import Path
from typing import Any

import pytest

from fedmed.core.errors import InputError
from fedmed.environments.flare.federation_project import (
    Federation,
    Project,
    check,
    filled,
    of_type,
    project_of,
    read_project,
)

USERS = {"admin@fedmed.org": "project_admin", "lead@fedmed.org": "lead", "member@fedmed.org": "member"}
DEPLOY = Path(__file__).resolve().parents[3] / "deploy/project.yml"


def federation(**other: Any) -> Federation:
    usual = {"host": "fl.example.org", "port": 8443, "sites": ("a", "b"), "users": USERS, "storage": Path("/srv/fl")}
    return Federation(**{**usual, **other})


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"host": "my server"}, "a host name"),
        ({"host": "a." * 40 + "org"}, "at most 63"),
        ({"port": 0}, "port is 0"),
        ({"port": 70000}, "from 1 to 65535"),
        ({"sites": ("a b",)}, "'a b'"),
        ({"sites": ("a\n",)}, "letters, digits, dashes"),
        ({"sites": ("a", "a")}, "give each a name of its own"),
        ({"sites": ("a", "A")}, "give each a name of its own"),
        ({"sites": ("server",)}, "give each a name of its own"),
        ({"host": "Fl", "sites": ("fl",)}, "give each a name of its own"),
        ({"users": {"admin": "lead"}}, "an e-mail address"),
        ({"users": {"x@y.org": "boss"}}, "is boss; expected one of project_admin"),
        ({"storage": Path("jobs")}, "no absolute path"),
        ({"project": "my project"}, "letters, digits, dashes and underscores"),
        ({"project": "p" * 64}, "at most 63"),
    ],
)
def test_what_flare_would_not_take_is_refused(other: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        federation(**other)


def test_a_host_may_be_called_server() -> None:
    assert federation(host="server").host == "server"


@pytest.mark.parametrize("project", [project_of(federation()), read_project(DEPLOY)], ids=["made here", "deploy's"])
def test_no_lead_shares_an_organisation_with_the_server_or_a_site(project: Project) -> None:
    check(project)
    leads = {each["org"] for each in of_type(project, "admin") if each["role"] == "lead"}
    assert leads
    sites = [each["org"] for each in of_type(project, "client")]
    assert len(set(sites)) == len(sites)
    assert leads.isdisjoint({*sites, of_type(project, "server")[0]["org"]})


def test_the_project_names_everyone_once() -> None:
    names = [each["name"] for each in project_of(federation())["participants"]]
    assert sorted(names) == sorted(["fl.example.org", "a", "b", *USERS])


def test_what_is_filled_in_takes_the_place_of_the_files_and_the_rest_stays() -> None:
    own = read_project(DEPLOY)
    assert filled(own, of_type(own, "server")[0]["name"]) == own
    project = filled(own, "fl.example.org", ["north", "south-2"], 8443)
    server = of_type(project, "server")[0]
    assert (server["name"], server["fed_learn_port"]) == ("fl.example.org", 8443)
    assert [(each["name"], each["org"]) for each in of_type(project, "client")] == [
        ("north", "north"),
        ("south-2", "south_2"),
    ]
    assert of_type(project, "admin") == of_type(own, "admin")
    assert project["builders"] == own["builders"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 1\n", "is no project file"),
        ("participants: [{type: client}]", r"is no project file of nvflare provision \(its participant 1 has not both"),
        ("participants: [{name: a}]", "participant 1 has not both a name and a type"),
        ("a: [", "is no project file"),
        ("participants: []", "has 0 servers; expected one"),
        ("participants: [{name: a, type: server}, {name: b, type: server}]", "has 2 servers; expected one"),
    ],
)
def test_what_is_no_project_file_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "p.yml"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as refused:
        read_project(path)
    assert "\n" not in str(refused.value)
