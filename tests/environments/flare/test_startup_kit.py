"""A startup kit that is none, or somebody else's, is told before anything is tried with it."""

import json
from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.environments.flare.admin_session import admin_session
from fedmed.environments.flare.local_federation import free_port
from fedmed.environments.flare.startup_kit import user_kit

ADMIN = {"admin": {"username": "lead@fedmed.org", "host": "localhost", "port": 1}}


def made(place: Path, files: dict[str, str]) -> Path:
    (place / "startup").mkdir()
    for name, text in files.items():
        (place / "startup" / name).write_text(text)
    return place


WHOLE = {"fed_admin.json": json.dumps(ADMIN), "client.key": "", "client.crt": "", "rootCA.pem": ""}


def test_a_users_kit_says_whose_it_is_and_where_it_leads(tmp_path: Path) -> None:
    kit = user_kit(made(tmp_path, WHOLE))
    assert kit == (tmp_path, "lead@fedmed.org", "localhost", 1)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "holds no startup/fed_admin.json"),
        ({"fed_server.json": "{}"}, "is the server's startup kit"),
        ({"fed_client.json": "{}"}, "is a site's startup kit"),
        ({**WHOLE, "fed_admin.json": "{"}, "cannot be read"),
        ({**WHOLE, "fed_admin.json": "{}"}, "cannot be read"),
        ({"fed_admin.json": json.dumps(ADMIN)}, "lacks startup/client.key"),
    ],
)
def test_what_is_no_users_kit_is_refused(tmp_path: Path, files: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        user_kit(made(tmp_path, files))


def test_another_users_kit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--username is x@y\.org, but .* is that of lead@fedmed\.org"):
        user_kit(made(tmp_path, WHOLE), "x@y.org")


def test_a_server_that_does_not_run_is_told_at_once(tmp_path: Path) -> None:
    kit = user_kit(made(tmp_path, WHOLE))._replace(port=free_port())
    with pytest.raises(InputError, match=f"No server answers at localhost:{kit.port}"), admin_session(kit):
        pass
