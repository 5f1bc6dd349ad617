"""The Dockerfile and the compose file, read and linted; no engine is needed, and none builds them here."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
DEPLOY = REPOSITORY / "deploy"
SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSW|CREDENTIAL", re.IGNORECASE)


def tool(name: str) -> str:
    """A linter that pip has installed beside this Python."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is not installed; requirements-dev.txt names its package"
    return found


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, in order."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in whole if line.strip())]


def arguments(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


def compose(values: Mapping[str, str], name: str = "compose.yaml") -> dict[str, Any]:
    """A compose file with its variables replaced, as the specification says for ``:-`` and ``:+``."""

    def replaced(match: re.Match[str]) -> str:
        value, how, other = values.get(match[1], ""), match[2], match[3]
        return {":-": value or other, ":+": other if value else ""}[how]

    text = re.sub(r"\$\{(\w+)(:[-+])([^}]*)\}", replaced, (DEPLOY / name).read_text())
    assert "$" not in text
    return dict(yaml.safe_load(text))


def example() -> dict[str, str]:
    """What the example of an environment file sets."""
    lines = [line for line in (DEPLOY / "env.example").read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def mounts(service: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is mounted where; a short form is somewhere to write."""
    parsed = {}
    for each in service["volumes"]:
        if isinstance(each, str):
            source, target = each.rsplit(":", 1)
            each = {"type": "volume", "source": source, "target": target}
        parsed[each["target"]] = each
    return parsed


def test_the_linter_finds_nothing() -> None:
    done = subprocess.run([tool("hadolint"), DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_one_base_is_pinned_and_its_python_is_the_projects() -> None:
    assert len(arguments("FROM")) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}", arguments("FROM")[0])
    assert 'requires-python = ">=3.11"' in (REPOSITORY / "pyproject.toml").read_text()


def test_the_user_is_not_root_and_stays_so() -> None:
    assert arguments("USER") == ["10001:10001"]
    after = [name for name, _ in instructions()][[name for name, _ in instructions()].index("USER") :]
    assert set(after) == {"USER", "HEALTHCHECK", "ENTRYPOINT"}
    assert "useradd --uid 10001" in " ".join(arguments("RUN"))


def test_nothing_is_fetched_but_by_pip_and_no_secret_is_set() -> None:
    assert arguments("ADD") == []
    assert not any("://" in rest for rest in arguments("COPY"))
    assert not re.search(r"curl|wget|git clone", " ".join(arguments("RUN")))
    assert not SECRET.search(" ".join(arguments("ENV") + arguments("ARG")))


def locked(name: str) -> dict[str, str]:
    """The versions in a lock by package, each of which has the hash of a file at least."""
    text = (DEPLOY / "locks" / f"{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    parsed = [re.fullmatch(r"([a-z0-9-]+)==(\S+)((?: +--hash=sha256:[0-9a-f]{64})+) *", line) for line in lines]
    assert parsed
    assert all(parsed), "a line that pins no version, or has no hash"
    return {match[1]: match[2] for match in parsed if match}


def test_pip_installs_nothing_but_files_whose_hashes_are_listed() -> None:
    installs = [run for run in arguments("RUN") if "pip" in run]
    assert len(installs) == 1
    words = installs[0].split()
    assert {"--require-hashes", "--no-deps", "--only-binary", "--no-build-isolation"} <= set(words)
    named = [words[place + 1] for place, word in enumerate(words) if word == "-r"]
    assert named == ['"deploy/locks/torch-${TORCH}.txt"', "deploy/locks/packages.txt"]
    assert arguments("ARG") == ["TORCH=cpu"]
    urls = re.findall(r"\S+://\S+", "".join(path.read_text() for path in (DEPLOY / "locks").iterdir()))
    assert urls == ["https://download.pytorch.org/whl/cpu"]  # and no index of whoever made the locks


@pytest.mark.parametrize("build", ["cpu", "gpu"])
def test_the_locks_hold_the_versions_of_requirements_txt_and_all_that_these_need(build: str) -> None:
    packages, torch = locked("packages"), locked(f"torch-{build}")
    assert not set(packages) & set(torch)
    versions = {**packages, **torch, "torch": torch["torch"].removesuffix("+cpu")}
    asked = re.findall(r"(?m)^([\w.-]+)==(\S+)", (REPOSITORY / "requirements.txt").read_text())
    assert {canonicalize_name(name): version for name, version in asked}.items() <= versions.items()
    for name, version in packages.items():
        if installed(name) == version:  # and so needs what the locked one needs
            assert needs(name) <= set(versions), name


def installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def needs(name: str) -> set[str]:
    """The packages that an installed one needs on this system, without extras."""
    wanted = [Requirement(each) for each in metadata.requires(name) or ()]
    needed = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    return {canonicalize_name(each.name) for each in needed}


def test_only_what_is_copied_reaches_the_engine() -> None:
    rules = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {source.removeprefix("./") for rest in arguments("COPY") for source in rest.split()[:-1]}
    assert let_in == copied
    assert all((REPOSITORY / name).exists() for name in copied)


def test_the_script_that_writes_the_locks_is_sound() -> None:
    done = subprocess.run([tool("shellcheck"), DEPLOY / "lock.sh"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_starts_and_checks_what_it_holds() -> None:
    assert arguments("ENTRYPOINT") == ['["/opt/fedmed/deploy/entrypoint.sh"]']
    assert arguments("HEALTHCHECK")[0].endswith('CMD ["python3", "/opt/fedmed/deploy/health.py"]')
    assert (DEPLOY / "entrypoint.sh").stat().st_mode & 0o111 == 0o111


@pytest.mark.parametrize("values", [{}, example()], ids=["nothing set", "example"])
def test_both_services_are_the_same_image_held_tight(values: dict[str, str]) -> None:
    services = compose(values)["services"]
    assert set(services) == {"server", "site"}
    for service in services.values():
        assert service["image"] == services["server"]["image"]
        assert (
            DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]
        ).resolve() == DEPLOY / "Dockerfile"
        assert service["restart"] == "on-failure"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"mem_limit", "cpus", "pids_limit", "shm_size"} <= set(service)
        assert not {"privileged", "user", "healthcheck", "network_mode", "ipc", "pid"} & set(service)


def test_kits_and_data_are_mounted_read_only() -> None:
    document = compose({**example(), "PRIVACY_POLICY": "/srv/policy.json"})
    server, site = (mounts(document["services"][name]) for name in ("server", "site"))
    assert set(server) == {"/kit", "/var/lib/fedmed"}
    data = {"/data/dataset": "/srv/fedmed/dataset", "/data/datalist": "/srv/fedmed/datalist"}
    readable = {"/kit": "/srv/fedmed/site-1", **data, "/etc/fedmed/privacy_policy.json": "/srv/policy.json"}
    assert {target: site[target]["source"] for target in readable} == readable
    assert all(site[target]["read_only"] for target in readable)
    assert server["/kit"]["read_only"]
    writable = {mount["source"] for mount in (*server.values(), *site.values()) if not mount.get("read_only")}
    assert writable == {"server", "site", "ledger", "cache"} == set(document["volumes"])
    own = mounts(compose({**example(), "SITE_LEDGER": "/srv/ledger"})["services"]["site"])
    assert own["/var/lib/fedmed-ledger"]["source"] == "/srv/ledger"  # not a volume that goes with the container's


def test_a_site_opens_no_port_and_gets_what_its_environment_file_says() -> None:
    values = {**example(), "DUPLICATES_KEY": "a secret", "PRIVACY_POLICY": "/srv/policy.json", "SITE_LEDGER": "/l"}
    site = compose(values)["services"]["site"]
    assert "ports" not in site
    assert site["environment"] == {
        "FEDMED_CODE": "job", "DATASET_ROOT": "/data/dataset", "DATALIST_ROOT": "/data/datalist",
        "PRIVACY_POLICY": "/etc/fedmed/privacy_policy.json", "SITE_LEDGER": "/var/lib/fedmed-ledger",
        "DUPLICATES_KEY": "a secret",
    }  # fmt: skip
    unset = compose({})["services"]["site"]["environment"]
    for name in ("PRIVACY_POLICY", "DUPLICATES_KEY", "SITE_LEDGER"):
        assert unset[name] in ("", None)
    assert compose({"PORT": "8443"})["services"]["server"]["ports"] == ["8443:8443"]


def test_the_example_names_every_variable_and_no_other() -> None:
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    assert set(example()) == used
    assert example()["DUPLICATES_KEY"] == ""


def test_the_gpu_file_changes_the_site_alone() -> None:
    services = compose({}, "compose.gpu.yaml")["services"]
    assert set(services) == {"site"}
    [device] = services["site"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
