"""The dashboard's web server: Streamlit in this process, with settings that no file of the machine changes."""

import ipaddress
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

from fedmed.analysis.dashboard.access_gate import TOKEN, AccessGate
from fedmed.core.errors import InputError
from fedmed.core.names import DASHBOARD_VARIABLE

SCRIPT = Path(__file__).with_name("dashboard_app.py")

UPLOAD_MB = 200
"""The largest file that the server takes."""


def new_token(host: str) -> str | None:
    """A token of 256 bits for a host other than this machine itself; None for that."""
    return None if is_local(host) else secrets.token_urlsafe(32)


def is_local(host: str) -> bool:
    """True for a name or an address that only this machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(host: str, port: int, token: str | None) -> str:
    """The address to open; of a server on all addresses, with this machine's name."""
    every = host in ("0.0.0.0", "::")
    name = socket.gethostname() if every else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?{TOKEN}={token}" if token else "")


def check_free(host: str, port: int) -> None:
    """Refuse a host or port on which nobody can listen.

    Raises:
        InputError: it is one.
    """
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(place)
    except OSError as error:
        raise InputError(
            f"Nobody can listen on {host}, port {port} ({error.strerror}); give another --port, or a --host of this "
            "machine."
        ) from error


def settings(host: str, port: int) -> Mapping[str, Any]:
    """Streamlit's settings: no browser of its own, no telemetry, no traceback on a page, no file served."""
    return {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        "server.enableStaticServing": False,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "runner.magicEnabled": False,
        "server.maxUploadSize": UPLOAD_MB,
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "server.enableAgentApi": False,
        "client.toolbarMode": "minimal",
        "logger.hideWelcomeMessage": True,
        "logger.level": "warning",
    }


def serve(artifacts: Path, host: str, port: int, token: str | None) -> None:
    """Serve the dashboard until the process is told to end."""
    os.environ[DASHBOARD_VARIABLE] = str(artifacts)
    gate = Middleware(AccessGate, token=token)
    st.App(SCRIPT, middleware=[gate]).run(config=settings(host, port))
