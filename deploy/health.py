"""The health check of a container: exit code 0 where FLARE is up, or 1 and a sentence (Docker reserves 2).

A server is up when it completes a TLS handshake with the federation's certificates; a site when its process holds a
connection to the server, which only a site with a certificate of the federation gets, and its heartbeats are accepted,
which those of a site that is not registered, or disabled, are not.
"""

import json
import os
import socket
import ssl
import sys
import time
from datetime import datetime
from pathlib import Path

import psutil

WORKSPACE = Path(os.environ.get("NVFL_WORKSPACE", "/var/lib/fedmed/workspace"))
CLIENT = "nvflare.private.fed.app.client.client_train"
PATIENCE = 5.0
"""Seconds that the server may take for an answer."""

REFUSED = "Failed to send heartbeat"
RECENT = 30.0
"""Seconds after which a failed heartbeat no longer counts; FLARE tries again, and logs it, every 5."""


def main() -> int:
    """Print the fault on stderr, if there is one."""
    startup = WORKSPACE / "startup"
    try:
        is_server = (startup / "fed_server.json").exists()
        fault = fault_of_server(startup) if is_server else fault_of_site(startup)
    except (OSError, ValueError, LookupError, psutil.Error) as error:
        fault = f"{type(error).__name__}: {error}"
    if fault:
        print(fault, file=sys.stderr)
    return 1 if fault else 0


def fault_of_server(startup: Path) -> str | None:
    """None where the server answers on its port as itself.

    Raises:
        OSError: it does not.
    """
    host, port = target(startup / "fed_server.json")
    context = ssl.create_default_context(cafile=startup / "rootCA.pem")
    context.load_cert_chain(startup / "server.crt", startup / "server.key")
    context.set_alpn_protocols(["h2"])  # HTTP/2, which gRPC speaks
    with (
        socket.create_connection(("localhost", port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        return None


def fault_of_site(startup: Path) -> str | None:
    """None where FLARE's client runs, is connected to the server's port and has its heartbeats accepted."""
    _, port = target(startup / "fed_client.json")
    own = {CLIENT, str(WORKSPACE)}  # a host may run another site too
    clients = [process for process in psutil.process_iter(["cmdline"]) if own <= set(process.info["cmdline"] or [])]
    if not clients:
        return "FLARE's client does not run"
    if not any(port in connected_ports(client) for client in clients):
        return f"no connection to the server's port {port}"
    refused = last_refusal(WORKSPACE / "log.txt")
    return None if refused is None or time.time() - refused > RECENT else "the server refuses this site's heartbeats"


def last_refusal(log: Path) -> float | None:
    """The time of the last failed heartbeat in the end of FLARE's log, in seconds since the epoch; None without one."""
    if not log.exists():
        return None
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2**16))
        lines = file.read().decode(errors="replace").splitlines()
    refusals = [line.split(",")[0] for line in lines if REFUSED in line]
    return datetime.strptime(refusals[-1], "%Y-%m-%d %H:%M:%S").timestamp() if refusals else None


def connected_ports(process: psutil.Process) -> set[int]:
    """The ports of other machines to which a process is connected."""
    connections = process.net_connections(kind="tcp")
    return {each.raddr.port for each in connections if each.raddr and each.status == psutil.CONN_ESTABLISHED}


def target(config: Path) -> tuple[str, int]:
    """The server's host and port that a startup kit names."""
    host, port = json.loads(config.read_text(encoding="utf-8"))["servers"][0]["service"]["target"].rsplit(":", 1)
    return host, int(port)


if __name__ == "__main__":
    sys.exit(main())
