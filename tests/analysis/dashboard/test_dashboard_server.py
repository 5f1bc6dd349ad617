"""The server: where it listens, to whom it answers, and the real thing once, as it is started."""

import http.client
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.analysis.dashboard.conftest import MakeRun
from tests.scripts import ROOT

WHY = "the dashboard's packages are not installed (make dashboard installs requirements-dashboard.txt)"
SCRIPT = ROOT / "result_stat" / "dashboard.py"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_missing_packages_are_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from fedmed.core.errors import InputError
    from result_stat import dashboard

    monkeypatch.setattr(dashboard, "NEEDED", ("no_such_package",))
    with pytest.raises(InputError, match=r"^no_such_package cannot be imported; .*: make dashboard$"):
        dashboard.main([str(tmp_path)])


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.5", False),
     ("fl.example.org", False), ("localhost.example.org", False), ("", False)],
)  # fmt: skip
def test_only_this_machine_needs_no_token(host: str, local: bool) -> None:
    pytest.importorskip("streamlit", reason=WHY)
    from fedmed.analysis.dashboard.dashboard_server import address, is_local, new_token

    token = new_token(host)
    assert is_local(host) == local
    assert (token is None) == local
    if token:
        assert len(token) >= 43  # 256 bits
        assert token != new_token(host)
        assert address(host, 80, token).endswith(f":80/?token={token}")


def test_settings_send_nothing_out_and_show_no_traceback() -> None:
    pytest.importorskip("streamlit", reason=WHY)
    from fedmed.analysis.dashboard.dashboard_server import settings

    found = settings("localhost", 8501)
    assert found["browser.gatherUsageStats"] is False
    assert found["server.enableXsrfProtection"] is True
    assert found["server.headless"] is True
    assert found["server.enableStaticServing"] is False
    assert found["client.showErrorDetails"] == "none"
    assert found["client.showErrorLinks"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["{}/nowhere"], "nowhere cannot be listed"), (["{}", "--port", "0"], "--port"),
     (["{}", "--host", "192.0.2.1"], "Nobody can listen on 192.0.2.1")],
)  # fmt: skip
def test_what_cannot_be_served_is_refused(arguments: list[str], words: str, tmp_path: Path) -> None:
    pytest.importorskip("streamlit", reason=WHY)
    from fedmed.core.errors import InputError
    from result_stat import dashboard

    with pytest.raises(InputError, match=words):
        dashboard.main([argument.format(tmp_path) for argument in arguments])


def test_a_port_that_is_taken_is_refused() -> None:
    pytest.importorskip("streamlit", reason=WHY)
    from fedmed.analysis.dashboard.dashboard_server import check_free
    from fedmed.core.errors import InputError

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="give another --port"):
            check_free("127.0.0.1", taken.getsockname()[1])


Ask = Callable[..., http.client.HTTPResponse]


@pytest.fixture
def served(make_run: MakeRun, root: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[Ask, str]]]:
    """Starts the script on a host; a function that asks it for a path, and the address that it printed."""
    pytest.importorskip("streamlit", reason=WHY)
    make_run()
    processes = []

    def start(host: str) -> tuple[Ask, str]:
        port, printed = free_port(), tmp_path / "printed"
        command = [sys.executable, str(SCRIPT), str(root), "--host", host, "--port", str(port)]
        with printed.open("w") as output:
            processes.append(subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output))

        def ask(path: str, **headers: str) -> http.client.HTTPResponse:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", path, headers=headers)
            return connection.getresponse()

        while processes[-1].poll() is None:
            try:
                ask("/_stcore/health")
                break
            except OSError:
                time.sleep(0.2)
        assert processes[-1].poll() is None, printed.read_text()
        return ask, printed.read_text()

    yield start
    for process in processes:
        process.terminate()
        assert process.wait(60) in (0, 130, -15)


def test_on_this_machine_it_answers_by_its_own_name_and_changes_nothing(
    served: Callable[..., tuple[Ask, str]], root: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    ask, printed = served("127.0.0.1")
    assert re.search(r"1 run of .*: http://127\.0\.0\.1:\d+/$", printed, re.MULTILINE)
    page = ask("/")
    assert page.status == 200
    assert page.getheader("X-Frame-Options") == "DENY"
    assert "frame-ancestors 'none'" in str(page.getheader("Content-Security-Policy"))
    assert ask("/", Host="evil.example").status == 403
    for path in ("/../run-001/experiment.json", "/app/static/../experiment.json", "/media/..%2f..%2fetc%2fpasswd",
                 "/static/%2e%2e/%2e%2e/etc/passwd", "/run-001/experiment.json"):  # fmt: skip
        body = ask(path).read()
        assert b'"algorithm"' not in body
        assert b"root:" not in body
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_on_another_host_it_asks_for_the_token_that_it_printed(served: Callable[..., tuple[Ask, str]]) -> None:
    ask, printed = served("0.0.0.0")
    (token,) = re.findall(r"\?token=([\w-]{43,})", printed)
    assert "nothing encrypts the way" in printed
    for path in ("/", "/_stcore/health", "/_stcore/host-config", "/?token=wrong"):
        assert ask(path).status == 403
    taken_in = ask(f"/?token={token}")
    assert taken_in.status == 303
    cookie = str(taken_in.getheader("Set-Cookie")).partition(";")[0]
    assert ask("/", Cookie=cookie).status == 200
    assert ask("/", Cookie=cookie[:-1]).status == 403
    socket_headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw=="}
    assert ask("/_stcore/stream", **socket_headers, **key).status == 403
