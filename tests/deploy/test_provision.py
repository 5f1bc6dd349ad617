"""Startup kits: what is in them, who may read them, what is refused, and that git takes none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from deploy import provision
from fedmed.core.cli import run_script

REPOSITORY = Path(__file__).resolve().parents[2]
HOST = "fl.hospital-1.example.org"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("provision") / "kits"
    assert run_script(provision.main, [HOST, "--out", str(out), "--port", "8443", "--storage", "/srv/store"]) == 0
    return out


@pytest.fixture(scope="module")
def kits(out: Path) -> Path:
    return out / "fedmed/prod_00"


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def named(name: x509.Name, what: x509.ObjectIdentifier) -> list[str]:
    return [str(each.value) for each in name.get_attributes_for_oid(what)]


def test_everybody_gets_a_certificate_of_one_root_with_their_role(kits: Path) -> None:
    root = certificate(kits / HOST / "startup/rootCA.pem")
    roles = {}
    for kit in kits.iterdir():
        cert = certificate(next(kit.glob("startup/*.crt")))
        cert.verify_directly_issued_by(root)
        assert named(cert.subject, NameOID.COMMON_NAME) == [kit.name]
        roles[kit.name] = named(cert.subject, NameOID.UNSTRUCTURED_NAME)
    people = {"admin@fedmed.example": ["project_admin"], "lead@fedmed.example": ["lead"]}
    people["member@fedmed.example"] = ["member"]
    assert roles == {HOST: [], **{f"site-{i}": [] for i in range(1, 5)}, **people}


def test_the_server_is_known_by_its_host_name_and_port(kits: Path) -> None:
    cert = certificate(kits / HOST / "startup/server.crt")
    alternative = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternative.get_values_for_type(x509.DNSName) == [HOST]
    for name in ("site-1", "site-4"):
        server = json.loads((kits / name / "startup/fed_client.json").read_text())["servers"][0]
        assert server["service"] == {"target": f"{HOST}:8443", "scheme": "grpc"}
    client = json.loads((kits / "site-1/startup/fed_client.json").read_text())["client"]
    assert client["connection_security"] == "mtls"


def test_keys_are_their_owners_alone(out: Path) -> None:
    assert out.stat().st_mode & 0o077 == 0
    keys = [*out.rglob("*.key"), *out.rglob("cert.json")]
    assert len(keys) == 9
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys)


def test_jobs_and_snapshots_lie_in_this_federations_own_folder(kits: Path) -> None:
    text = (kits / HOST / "local/resources.json").read_text()
    assert "/tmp/" not in text
    assert {"/srv/store/jobs", "/srv/store/snapshots"} <= set(text.split('"'))
    default = json.loads((kits / HOST / "local/resources.json.default").read_text())
    assert json.loads(text).keys() == default.keys()


@pytest.mark.parametrize("chosen", [None, ["north", "south-2"]])
def test_no_site_sends_its_log_or_lets_its_files_be_read(out: Path, tmp_path: Path, chosen: list[str] | None) -> None:
    sites, kits = ["site-1", "site-2", "site-3", "site-4"], out / "fedmed/prod_00"
    if chosen:
        sites, kits = chosen, tmp_path / "own/fedmed/prod_00"
        assert run_script(provision.main, ["localhost", "--out", str(tmp_path / "own"), "--sites", *chosen]) == 0
    assert sorted(kit.name for kit in kits.iterdir() if (kit / "startup/fed_client.json").exists()) == sites
    for site in sites:
        resources = json.loads((kits / site / "local/resources.json.default").read_text())
        assert resources["allow_log_streaming"] is False
        permissions = json.loads((kits / site / "local/authorization.json").read_text())["permissions"]
        assert {rights["shell_commands"] for rights in permissions.values()} == {"none"}
        assert {permissions[role].get("submit_job") for role in ("project_admin", "lead")} == {"any"}
        assert "submit_job" not in permissions["member"]


def test_it_says_who_gets_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script(provision.main, ["localhost", "--out", str(tmp_path / "kits"), "--sites", "only"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["server", "site", "project_admin", "lead", "member", "nobody"]
    assert all(Path(line.split()[-1]).is_dir() for line in lines[:-1])
    assert "private key" in lines[-1]


def test_a_site_that_joins_gets_a_kit_beside_those_that_are_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ["--out", str(tmp_path / "kits")]
    assert run_script(provision.main, ["fl", *made, "--sites", "north", "--port", "8443"]) == 0
    capsys.readouterr()
    assert run_script(provision.main, [*made, "--join", "west", "east"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[:2] for line in lines[:2]] == [["site", "west"], ["site", "east"]]
    assert [line[0] for line in lines[2:]] == ["nobody", "Each"]
    kits = tmp_path / "kits/fedmed"
    assert [Path(line[-1]) for line in lines[:3]] == [kits / "prod_01/west", kits / "prod_01/east", kits / "state"]
    server = json.loads((kits / "prod_01/west/startup/fed_client.json").read_text())["servers"][0]
    assert server["service"] == {"target": "fl:8443", "scheme": "grpc"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fl example"], "The server's name is 'fl example'; expected a host name"),
        (["https://fl.example.org"], "expected a host name"),
        (["a." * 40 + "org"], "at most 63"),
        (["localhost", "--sites", "a", "b", "a"], "a is the name of more than one participant"),
        (["localhost", "--sites", "a", "A"], "a is the name of more than one participant"),
        (
            ["localhost", "--sites", "st. mary"],
            "The site's name is 'st. mary'; expected letters, digits",
        ),
        (["localhost", "--sites", "all"], "all is FLARE's own word in its commands; give each site a name"),
        (["localhost", "--sites", "a", "Client"], "Client is FLARE's own word"),
        (["localhost", "--storage", "store"], "--storage store is relative to a folder of this machine"),
        (["localhost", "--storage", "~/store"], "--storage ~/store is relative to a folder of this machine"),
        (["localhost", "--project", "nothing.yml"], "nothing.yml is no project file of nvflare provision (it is empty"),
        (["localhost", "--project", "half.yml"], "half.yml is no project file of nvflare provision (its participant 2"),
        (["fl", "--sites", "fl"], "fl is the name of more than one participant"),
        (["localhost", "--port", "70000"], "port is 70000; expected a number from 1 to 65535"),
        (["localhost", "--project", "none.yml"], "none.yml cannot be used"),
        (["localhost", "--project", "list.yml"], "list.yml is no project file"),
        (["localhost", "--project", "empty.yml"], "empty.yml has 0 servers; expected one"),
        (["localhost", "--project", "role.yml"], "The role of a@b.org is None; expected one of project_admin"),
        (["localhost", "--project", "org.yml"], "FLARE refuses the project (missing participant org"),
        ([], "one of the arguments host --join is required"),
        (["localhost", "--join", "a"], "argument --join: not allowed with argument host"),
        (["--join", "a"], "project.yml cannot be used (No such file or directory)"),
        (["--join", "a", "--port", "8443"], "--port has no meaning with --join"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", "/opt/plain/bin/python3")  # the tests' own may lie under a path with a blank
    Path("list.yml").write_text("- 1\n")
    Path("nothing.yml").write_text("# later\n")
    Path("half.yml").write_text("participants: [{name: s, type: server}, {name: a}]\n")
    Path("empty.yml").write_text("api_version: 3\nname: x\nparticipants: []\n")
    whole = (REPOSITORY / "deploy/project.yml").read_text()
    for lacking, rest in (("role", "org: x"), ("org", "role: lead")):
        person = f"  - {{name: a@b.org, type: admin, {rest}}}\n"
        Path(f"{lacking}.yml").write_text(whole.replace("\nbuilders", person + "\nbuilders"))
    before = set(tmp_path.iterdir())
    assert run_script(provision.main, [*arguments, "--out", "made/kits"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err
    assert said.err.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


def test_a_place_and_a_python_that_flare_would_cut_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script(provision.main, ["localhost", "--out", str(tmp_path / "my kits")]) == 2
    assert f"--out {tmp_path / 'my kits'} has white space" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sys, "executable", "/srv/my tools/.venv/bin/python3")
    assert run_script(provision.main, ["localhost", "--out", str(tmp_path / "kits"), "--sites", "a"]) == 0
    assert "warning: Python is /srv/my tools/.venv/bin/python3" in capsys.readouterr().err


def test_kits_that_are_there_are_kept(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert run_script(provision.main, [HOST, "--out", str(out)]) == 2
    assert "is there already, and keys are never overwritten" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_git_takes_no_file_of_a_kit_wherever_it_lies(out: Path) -> None:
    secret = [path for path in out.rglob("*") if path.is_file() and (path.parent.name in ("startup", "state"))]
    names = [Path(folder) / path.relative_to(out) for path in secret for folder in ("kits", "deploy/mine")]
    names += [Path("deploy/site.env"), Path("server.env")]
    command = ["git", "check-ignore", "--stdin", "--no-index"]
    listed = "\n".join(map(str, names))
    done = subprocess.run(command, input=listed, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert sorted(done.stdout.splitlines()) == sorted(map(str, names))
    for name in ("deploy/env.example", "deploy/project.yml", "src/fedmed/privacy/ledger.py"):
        assert (
            subprocess.run(["git", "check-ignore", "-q", "--no-index", name], cwd=REPOSITORY, check=False).returncode
            == 1
        )


def test_make_hands_the_names_on_or_asks_for_the_host() -> None:
    def make(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["make", "--dry-run", "provision", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    asked = make("HOST=fl.example.org", "SITES=a b", "OUT=/x/y", "PORT=8443").stdout
    assert "deploy/provision.py fl.example.org --out /x/y --sites a b" in " ".join(asked.split())
    joins = make("JOIN=west", "OUT=/x/y").stdout
    assert "deploy/provision.py --out /x/y --join west" in " ".join(joins.split())
    refused = make()
    assert refused.returncode == 2
    assert "HOST is not set; expected the server's host name: make provision HOST=" in refused.stderr
