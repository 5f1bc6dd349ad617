"""The gate lets in whom it should, and no one by a slip: every request, and every header, over plain ASGI."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from fedmed.analysis.dashboard.access_gate import COOKIE, AccessGate

SECRET = "the-right-token"


async def _application(scope: Any, receive: Any, send: Any) -> None:
    """A page, or an accepted socket."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Frame-Options", b"ALLOWALL")]})
    await send({"type": "http.response.body", "body": b"inside"})


def ask(token: str | None, path: str = "/", query: str = "", kind: str = "http", **headers: str) -> list[Any]:
    """The messages that one request is answered with."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": f"{kind}.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in {"host": "localhost:8501", **headers}.items()]
    scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": pairs}
    asyncio.run(AccessGate(_application, token)(scope, receive, send))
    return sent


def headers_of(answer: list[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in answer[0]["headers"]:
        found.setdefault(name.decode().lower(), []).append(value.decode())
    return found


@pytest.mark.parametrize("host", ["localhost", "localhost:8501", "127.0.0.1:8501", "[::1]:8501", "LOCALHOST"])
def test_this_machine_gets_in_by_its_own_names(host: str) -> None:
    assert ask(None, host=host)[-1]["body"] == b"inside"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8501", "", "127.0.0.1.evil.example", "[::1].x"]
)
def test_a_page_elsewhere_that_points_its_name_here_does_not(host: str) -> None:
    assert ask(None, host=host)[0]["status"] == 403
    assert ask(None, kind="websocket", host=host)[0]["type"] == "websocket.close"


@pytest.mark.parametrize(
    ("query", "cookie"),
    [
        ("", ""), ("token=", ""), ("token=wrong", ""), (f"token={SECRET}x", ""), (f"Token={SECRET}", ""),
        (f"token={SECRET}&token=wrong", ""), ("", f"{COOKIE}=wrong"), ("", f"{COOKIE}="), ("", f"other={SECRET}"),
        ("", "\u00e9=;;=" + COOKIE), ("token=%00", ""), ("token=%ff%fe", ""),
    ],
)  # fmt: skip
def test_without_the_token_nobody_gets_in(query: str, cookie: str) -> None:
    for path in ("/", "/run", "/media/x.png", "/_stcore/health", "/static/x.js"):
        answer = ask(SECRET, path, query, cookie=cookie)
        assert answer[0]["status"] == 403
        assert b"inside" not in answer[-1]["body"]
    socket = ask(SECRET, "/_stcore/stream", query, "websocket", cookie=cookie)
    assert [message["type"] for message in socket] == ["websocket.close"]


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address() -> None:
    answer = ask(SECRET, "/run", f"run=run-001&token={SECRET}", host="10.0.0.5:8501")
    assert answer[0]["status"] == 303
    found = headers_of(answer)
    assert found["location"] == ["/run"]
    assert found["set-cookie"] == [f"{COOKIE}={SECRET}; Path=/; HttpOnly; SameSite=Strict"]
    assert ask(SECRET, "/run", cookie=f"{COOKIE}={SECRET}", host="10.0.0.5:8501")[-1]["body"] == b"inside"


def test_the_address_leads_to_no_other_host() -> None:
    answer = ask(SECRET, "//evil.example/x", f"token={SECRET}")
    assert headers_of(answer)["location"] == ["/evil.example/x"]


def test_a_socket_opens_with_the_cookie_alone() -> None:
    assert ask(SECRET, kind="websocket", cookie=f"{COOKIE}={SECRET}")[0]["type"] == "websocket.accept"
    assert ask(SECRET, query=f"token={SECRET}", kind="websocket")[0]["type"] == "websocket.close"


@pytest.mark.parametrize("token", [None, SECRET])
def test_every_answer_forbids_framing_and_other_hosts(token: str | None) -> None:
    for answer in (ask(token), ask(token, cookie=f"{COOKIE}={SECRET}"), ask(token, query=f"token={SECRET}")):
        found = headers_of(answer)
        assert found["x-frame-options"] == ["DENY"]
        (policy,) = found["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'self' data: blob:;" in policy
        assert not any(word in policy for word in ("http:", "https:", " *"))
        assert found["referrer-policy"] == ["no-referrer"]


def test_only_the_page_itself_frames_its_components() -> None:
    found = headers_of(ask(None, "/component/viewer/index.html"))
    assert found["x-frame-options"] == ["SAMEORIGIN"]
    assert "frame-ancestors 'self'" in found["content-security-policy"][0]
