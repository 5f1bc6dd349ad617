"""The gate of the dashboard, round the web server's application: who gets in, and what a browser may do there."""

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN = "token"
COOKIE = "fedmed_dashboard"

REFUSED = b"This dashboard opens with the address, and the token in it, that was printed where it was started.\n"
ELSEWHERE = b"This dashboard listens for this machine alone; open it as http://localhost and its port.\n"

LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Names by which a browser on this machine asks; a name of its own comes from a page elsewhere that points it here."""

POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; connect-src 'self' data: blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors {framed}"
)
"""Nothing is loaded from another host, nor sent to one; Streamlit's own pages need scripts and styles in line."""

FRAMED = "/component/"
"""Begins the paths of Streamlit's components, which its own page frames; no other page is framed by any."""


class AccessGate:
    """Lets requests through that may see the dashboard.

    Args:
        application: the web application behind it.
        token: that a browser must have; None where only this machine's own names are let through.
    """

    def __init__(self, application: Application, token: str | None) -> None:
        self._application, self._token = application, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        answer = _Answer(scope, send)
        if self._token is None:
            if _host(scope) in LOCAL:
                await self._application(scope, receive, answer.with_headers)
            else:
                await answer.refuse(receive, ELSEWHERE)
        elif self._is_right(_cookie(scope)):
            await self._application(scope, receive, answer.with_headers)
        elif scope["type"] == "http" and self._is_right(_asked(scope)):
            await answer.take_in(self._token)
        else:
            await answer.refuse(receive, REFUSED)

    def _is_right(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())


class _Answer:
    """An answer to one request."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send

    async def with_headers(self, message: MutableMapping[str, Any]) -> None:
        """Send a message of the application, with the headers that keep the page to itself."""
        if message["type"] == "http.response.start":
            own = {name for name, _ in self._headers()}
            others = [(name, value) for name, value in message.get("headers", []) if name.lower() not in own]
            message = {**message, "headers": [*others, *self._headers()]}
        await self._send(message)

    async def take_in(self, token: str) -> None:
        """Give the browser the token to keep, and send it to the address without it."""
        cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict"
        place = "/" + str(self._scope["path"]).lstrip("/")
        await self._respond(
            303, b"", [(b"location", place.encode("ascii", "ignore")), (b"set-cookie", cookie.encode())]
        )

    async def refuse(self, receive: Receive, words: bytes) -> None:
        """Answer that this is not for everyone."""
        if self._scope["type"] == "websocket":
            await receive()
            await self._send({"type": "websocket.close", "code": 4403})
            return
        await self._respond(403, words, [(b"content-type", b"text/plain; charset=utf-8")])

    async def _respond(self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
        own = [*headers, *self._headers(), (b"cache-control", b"no-store")]
        await self._send({"type": "http.response.start", "status": status, "headers": own})
        await self._send({"type": "http.response.body", "body": body})

    def _headers(self) -> list[tuple[bytes, bytes]]:
        framed = str(self._scope["path"]).startswith(FRAMED)
        return [
            (b"x-frame-options", b"SAMEORIGIN" if framed else b"DENY"),
            (b"content-security-policy", POLICY.format(framed="'self'" if framed else "'none'").encode()),
            (b"referrer-policy", b"no-referrer"),
            (b"x-content-type-options", b"nosniff"),
        ]


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name), "")


def _host(scope: Scope) -> str:
    """The name under which the browser asked, without its port."""
    host = _header(scope, b"host").lower()
    return re.sub(r":\d*$", "", host)


def _cookie(scope: Scope) -> str:
    try:
        found = SimpleCookie(_header(scope, b"cookie"))
    except CookieError:
        return ""
    return found[COOKIE].value if COOKIE in found else ""


def _asked(scope: Scope) -> str:
    """The token in the address."""
    return parse_qs(scope.get("query_string", b"").decode("latin-1")).get(TOKEN, [""])[-1]
