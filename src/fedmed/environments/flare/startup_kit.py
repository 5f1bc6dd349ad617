"""Reading a startup kit: whose it is and where it leads, before anything is tried with it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from fedmed.core.errors import InputError

_ADMIN, _OTHERS = "fed_admin.json", {"fed_server.json": "the server's", "fed_client.json": "a site's"}


class UserKit(NamedTuple):
    """A user's startup kit."""

    path: Path
    username: str
    host: str
    port: int


def user_kit(path: Path, username: str | None = None) -> UserKit:
    """The kit in a folder; that of ``username``, where one is given.

    Raises:
        InputError: it is none, or another one's.
    """
    startup = path / "startup"
    _refuse_other_kits(path, startup)
    try:
        admin: dict[str, Any] = json.loads((startup / _ADMIN).read_text(encoding="utf-8"))["admin"]
        kit = UserKit(path, str(admin["username"]), str(admin["host"]), int(admin["port"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{startup / _ADMIN} cannot be read ({error!r:.80}); take the kit anew.") from error
    absent = [name for name in ("client.key", "client.crt", "rootCA.pem") if not (startup / name).is_file()]
    if absent:
        raise InputError(f"--startup_kit {path} lacks startup/{absent[0]}; take the whole kit, as provisioned.")
    if username not in (None, kit.username):
        raise InputError(
            f"--username is {username}, but --startup_kit {path} is that of {kit.username}; give the one that fits."
        )
    return kit


def _refuse_other_kits(path: Path, startup: Path) -> None:
    other = next((whose for file, whose in _OTHERS.items() if (startup / file).is_file()), None)
    if other:
        raise InputError(f"--startup_kit {path} is {other} startup kit; give that of a user who may submit jobs.")
    if not (startup / _ADMIN).is_file():
        raise InputError(
            f"--startup_kit {path} holds no startup/{_ADMIN}; expected the startup kit of a user, as provisioned."
        )
