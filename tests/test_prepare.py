"""prepare.py as a user runs it: a process, its output, its exit code, what it leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread

from fedmed.data.datalist import load_datalist
from fedmed.data.phantoms.phantom import make_phantom
from tests import scripts

SCRIPT = Path(__file__).resolve().parents[1] / "dataset_brats18" / "prepare.py"


def prepare(*arguments: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return scripts.run(SCRIPT, *arguments, cwd=cwd, variables={**os.environ, **variables}, timeout=60)


def exported(output: str) -> dict[str, str]:
    """The variables after a shell has run the export lines that the script printed."""
    lines = [line for line in output.splitlines() if line.startswith("export ")]
    shown = "\n".join([*lines, 'printf "%s\\n" "$DATASET_ROOT" "$DATALIST_ROOT"'])
    shell = subprocess.run(["sh", "-c", shown], capture_output=True, text=True, timeout=10, check=True)
    return dict(zip(("dataset", "lists"), shell.stdout.splitlines(), strict=True))


def make_tree(tree: Path, high: int = 15, low: int = 5) -> Path:
    for grade, number in (("HGG", high), ("LGG", low)):
        for i in range(number):
            folder = tree / "training" / grade / f"Brats18_{grade}_{i}_1"
            folder.mkdir(parents=True)
            for part in ("t1ce", "t1", "t2", "flair", "seg"):
                (folder / f"{folder.name}_{part}.nii.gz").touch()
    return tree


def refused(result: subprocess.CompletedProcess[str], words: str) -> bool:
    assert result.returncode == 2, result
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return True


def test_phantom_in_a_path_with_a_space(tmp_path: Path) -> None:
    options = ("--sites", "2", "--cases", "1", "--validation", "1", "--size", "32", "32", "32")
    result = prepare("phantom", "my data/it's", *options, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    roots = exported(result.stdout)
    assert roots["dataset"] == str((tmp_path / "my data" / "it's").resolve())
    for site, cases in (("site-1", 1), ("site-2", 1), ("site-All", 2)):
        read = load_datalist(Path(roots["lists"]) / f"{site}.json", Path(roots["dataset"]))
        assert (len(read.training), len(read.validation)) == (cases, 1)
        assert all(path.is_file() for case in read.all_cases for path in (*case.images, case.target))
    assert [p.name for p in (tmp_path / "my data").iterdir()] == ["it's"]
    before = sorted(tmp_path.rglob("*"))
    assert refused(prepare("phantom", "my data/it's", *options, cwd=tmp_path), "nothing is overwritten")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sites", "0"), "sites is 0"),
        (("--layout", "x"), "'x'"),
        (("--size", "8", "8", "8"), "(8, 8, 8)"),
        (("--site_strength", "2"), "2.0"),
    ],
)
def test_phantom_refuses_wrong_options(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    assert refused(prepare("phantom", "set", *options, cwd=tmp_path), words)
    assert list(tmp_path.iterdir()) == []


def test_phantom_of_sites_that_differ_is_split_by_them_again(tmp_path: Path) -> None:
    options = ("--sites", "2", "--cases", "5", "--validation", "1", "--size", "32", "32", "32")
    apart = ("--site_strength", "1", "--validation_lists", "per_site")
    result = prepare("phantom", "set", *options, *apart, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Wrote 12 synthetic cases (2 of them for validation)")
    by = ("--by", "institution", "--validation", "per_site")
    result = prepare("split", "set", "--out", "lists", *by, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    for site in ("site-1", "site-2"):
        made = load_datalist(tmp_path / "set" / "datalist" / f"{site}.json", tmp_path / "set")
        split = load_datalist(tmp_path / "lists" / f"{site}.json", tmp_path / "set")
        assert {case.target for case in made.all_cases} == {case.target for case in split.all_cases}


def test_split_prints_a_table_and_writes_lists(tmp_path: Path) -> None:
    make_tree(tmp_path / "my tree")
    result = prepare("split", "my tree", "--out", "my lists", "--by", "iid", cwd=tmp_path)
    assert result.returncode == 0
    *small, volumes = result.stderr.splitlines()
    assert [line.split(", fewer")[0] for line in small] == [
        f"warning: site-{i} has 4 training cases" for i in (2, 3, 4)
    ]
    assert volumes.startswith("warning: the volumes of 20 tumours are unknown")  # the files are empty
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[:7]}
    assert rows["site"] == ["training", "HGG", "LGG", "validation"]
    # 0.15 of 20 cases are 3, and 17 at four sites 4.25 at each
    assert [int(rows[f"site-{i}"][0]) for i in (1, 2, 3, 4)] == [5, 4, 4, 4]
    assert (rows["site-All"][0], rows["site-All"][3]) == ("17", "3")
    assert int(rows["site-All"][1]) + int(rows["(validation)"][0]) == 15
    roots = exported(result.stdout)
    assert sorted(p.name for p in Path(roots["lists"]).iterdir()) == [
        *(f"site-{i}.json" for i in (1, 2, 3, 4)),
        "site-All.json",
        "split.json",
        "split.png",
    ]
    read = load_datalist(Path(roots["lists"]) / "site-All.json", Path(roots["dataset"]))
    assert len({case.target for case in read.all_cases}) == 20
    assert all(path.is_file() for case in read.all_cases for path in (*case.images, case.target))
    assert read.label_scheme == "brats2018"


def test_split_keeps_lists_that_differ(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    usual = ("split", "tree", "--out", "lists", "--by", "iid")
    assert prepare(*usual, cwd=tmp_path).returncode == 0
    first = {p.name: p.read_bytes() for p in (tmp_path / "lists").iterdir()}
    assert prepare(*usual, cwd=tmp_path).returncode == 0
    assert refused(prepare(*usual, "--seed", "1", cwd=tmp_path), "--force")
    assert {p.name: p.read_bytes() for p in (tmp_path / "lists").iterdir()} == first
    assert prepare(*usual, "--seed", "1", "--force", cwd=tmp_path).returncode == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "lists").iterdir()} != first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lists", "tree"]


def test_split_of_an_unusable_tree_writes_nothing(tmp_path: Path) -> None:
    assert refused(prepare("split", "nowhere", "--out", "lists", cwd=tmp_path), "nowhere does not exist")
    make_tree(tmp_path / "few", high=2, low=1)
    assert refused(prepare("split", "few", "--out", "lists", "--by", "iid", cwd=tmp_path), "3 patients")
    tree = make_tree(tmp_path / "broken")
    next((tree / "training" / "LGG").glob("*_3_1/*_seg.nii.gz")).unlink()
    assert refused(prepare("split", "broken", "--out", "lists", cwd=tmp_path), "Brats18_LGG_3_1 lacks seg")
    assert not (tmp_path / "lists").exists()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny") / "set"
    make_phantom(out, out / "datalist", sites=3, cases=6, validation=2, size=(32, 32, 32))
    return out


def test_split_by_tumour_volume_with_a_test_set(tiny: Path, tmp_path: Path) -> None:
    options = ("--by", "tumour_volume", "--sites", "3", "--validation", "per_site", "--test", "0.1")
    result = prepare("split", tiny, "--out", "lists", *options, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    record = json.loads((tmp_path / "lists" / "split.json").read_text())
    sites = [[case["volume_ml"] for part in site.values() for case in part] for site in record["sites"].values()]
    assert max(sites[0]) <= min(sites[1])
    assert max(sites[1]) <= min(sites[2])
    assert (record["options"]["by"], record["options"]["validation_share"]) == ("tumour_volume", 0.15)
    everyone = load_datalist(tmp_path / "lists" / "site-All.json", tiny)
    tested = json.loads((tmp_path / "lists" / "test.json").read_text())
    assert tested["label_scheme"] == "brats2018"
    labels = [tiny / case["label"] for case in tested["testing"]]
    assert len(labels) == len(record["test"]) == 2
    assert not set(labels) & {case.target for case in everyone.all_cases}
    assert (len(everyone.training), len(everyone.validation)) == (15, 3)
    assert imread(tmp_path / "lists" / "split.png").shape[2] == 4
    # another split of fewer sites leaves no list of this one behind
    fewer = ("split", tiny, "--out", "lists", "--by", "iid", "--sites", "2")
    assert refused(prepare(*fewer, cwd=tmp_path), "site-3.json, test.json")
    assert (tmp_path / "lists" / "test.json").is_file()
    assert prepare(*fewer, "--force", cwd=tmp_path).returncode == 0
    names = ["site-1.json", "site-2.json", "site-All.json", "split.json", "split.png"]
    assert sorted(path.name for path in (tmp_path / "lists").iterdir()) == names


def test_split_by_dirichlet_warns_of_small_sites(tiny: Path, tmp_path: Path) -> None:
    result = prepare("split", tiny, "--out", "lists", "--by", "dirichlet", "--alpha", "0.05", cwd=tmp_path)
    assert result.returncode == 0
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[:6]}
    small = [site for site, row in rows.items() if site[-1].isdigit() and int(row[0]) < 5]
    assert [line.split()[1] for line in result.stderr.splitlines()] == small != []
    again = prepare("split", tiny, "--out", "lists", "--by", "dirichlet", "--alpha", "0.05", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, result.stdout)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--by", "iid", "--alpha", "0.5"), "--alpha is 0.5; expected no value with --by iid"),
        (("--by", "iid", "--sites", "19", "--test", "0.1"), "20 patients cannot be split into 19 sites"),
    ],
)
def test_split_refuses_wrong_options(tiny: Path, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    assert refused(prepare("split", tiny, "--out", "lists", *options, cwd=tmp_path), words)
    assert not (tmp_path / "lists").exists()


def test_split_by_volume_refuses_unreadable_labels(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    result = prepare("split", "tree", "--out", "lists", "--by", "tumour_volume", cwd=tmp_path)
    assert refused(result, "_seg.nii.gz is empty")


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("audited")
    make_phantom(place / "set", place / "lists", sites=2, cases=1, validation=1, size=(32, 32, 32))
    return place


def test_audit_of_lists_shows_a_table_a_site_and_writes_json(audited: Path, tmp_path: Path) -> None:
    usual = ("audit", audited / "lists", "--dataset_base_dir", audited / "set")
    done = prepare(*usual, "--json", "found.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    headings = [line for line in done.stdout.splitlines() if line.startswith("site-")]
    assert [line.split(":")[0] for line in headings] == ["site-1", "site-2"]
    assert all("1 training + 1 validation cases of 2 patients" in line and "0 errors" in line for line in headings)
    document = json.loads((tmp_path / "found.json").read_text())
    assert set(document["sites"]) == {"site-1", "site-2"}
    assert document["across_sites"] == []
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]


def test_audit_of_one_list_and_of_a_tree(audited: Path, tmp_path: Path) -> None:
    one = prepare("audit", audited / "lists" / "site-All.json", "--dataset_base_dir", audited / "set", cwd=tmp_path)
    tree = prepare("audit", audited / "set", cwd=tmp_path)
    assert one.stdout.startswith("site-All: 2 training + 1 validation cases of 3 patients, labels brats2018: 0 errors")
    assert tree.stdout.startswith("set: 3 cases of 3 patients, labels brats2018: 0 errors")


def test_a_failed_audit_lists_every_error_and_ends_with_2(audited: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(audited / "set", tmp_path / "ein Größerer Satz"))
    broken = sorted(tree.rglob("*_t2.nii.gz"))[0]
    broken.write_bytes(broken.read_bytes()[:-40])
    sorted(tree.rglob("*_flair.nii.gz"))[1].unlink()
    done = prepare("audit", tree, "--json", tmp_path / "found.json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "found 2 errors" in done.stderr
    assert f"error: {broken} cannot be read to its end" in done.stdout
    assert "lacks flair" in done.stdout
    findings = json.loads((tmp_path / "found.json").read_text())["sites"][tree.name]["findings"]
    assert sum(finding["level"] == "error" for finding in findings) == 2


def test_audit_says_what_overlaps_and_accepts_it_when_told(audited: Path, tmp_path: Path) -> None:
    lists = Path(shutil.copytree(audited / "lists", tmp_path / "lists"))
    document = json.loads((lists / "site-1.json").read_text())
    document["training"] += document["validation"]
    (lists / "site-1.json").write_text(json.dumps(document))
    usual = ("audit", lists, "--dataset_base_dir", audited / "set")
    done = prepare(*usual, cwd=tmp_path)
    assert done.returncode == 2
    assert "(training) and" in done.stdout
    assert "site-1 trains on what site-2 validates on" in done.stdout
    assert "found 2 errors" in done.stderr
    accepted = prepare(*usual, "--allow_overlap", cwd=tmp_path)
    assert accepted.returncode == 0
    assert accepted.stdout.count("warning: ") == 2


def test_audit_refuses_what_is_not_brats(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "IM0001").write_bytes(bytes(128) + b"DICM" + bytes(64))
    assert refused(prepare("audit", "series", cwd=tmp_path), "IM0001")
    assert "dcm2niix" in prepare("audit", "series", cwd=tmp_path).stderr
    assert refused(prepare("audit", "nowhere", cwd=tmp_path), "nowhere does not exist")
    (tmp_path / "site-1.json").write_text("{}")
    assert refused(prepare("audit", "site-1.json", cwd=tmp_path), "give --dataset_base_dir")
    absent = prepare("audit", "site-1.json", "--dataset_base_dir", "gone", cwd=tmp_path)
    assert refused(absent, "gone does not exist; give the one in which the paths")


def test_audit_refuses_a_place_for_its_json_before_the_work(audited: Path, tmp_path: Path) -> None:
    for place in ("gone/found.json", "."):
        assert refused(prepare("audit", audited / "set", "--json", place, cwd=tmp_path), "error: ")
    assert list(tmp_path.iterdir()) == []


def test_audit_compares_test_cases_with_all_sites(audited: Path, tmp_path: Path) -> None:
    lists = Path(shutil.copytree(audited / "lists", tmp_path / "lists"))
    document = json.loads((lists / "site-2.json").read_text())
    test = {"label_scheme": "brats2018", "testing": document["training"]}
    (lists / "test.json").write_text(json.dumps(test))
    done = prepare("audit", lists, "--dataset_base_dir", audited / "set", cwd=tmp_path)
    assert done.returncode == 2
    assert "test.json: 1 test case of 1 patient" in done.stdout
    assert done.stdout.count("site-2 trains on what test.json tests on: Brats18_PHANTOM2_") == 1
    assert "found 1 error, listed above" in done.stderr
    test["testing"] = document["training"][:0]
    (lists / "test.json").write_text(json.dumps(test))
    done = prepare("audit", lists, "--dataset_base_dir", audited / "set", cwd=tmp_path)
    assert "The testing list of" in done.stderr


def test_audit_of_a_volume_without_voxels_is_one_error(audited: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(audited / "set", tmp_path / "set"))
    nib.save(nib.Nifti1Image(np.zeros((0, 32, 32), np.int16), np.eye(4)), sorted(tree.rglob("*_t1.nii.gz"))[0])
    done = prepare("audit", tree, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "has no voxels" in done.stdout


def test_what_the_terminal_cannot_show_is_shown_otherwise(audited: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(audited / "set", tmp_path / "Größe"))
    command = [sys.executable, str(SCRIPT), "audit", str(tree)]  # Python asks for its encoding when it starts
    variables = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Gr\\xf6\\xdfe: 3 cases")


@pytest.mark.parametrize("command", ["audit", "split", "picture"])
def test_a_folder_name_that_is_no_utf8_does_no_harm(audited: Path, tmp_path: Path, command: str) -> None:
    tree = os.fsencode(tmp_path) + b"/odd \xff"
    shutil.copytree(audited / "set", os.fsdecode(tree))
    case = next(Path(os.fsdecode(tree)).glob("training/*/*"))
    for path in [*case.iterdir(), case]:
        path.rename(path.with_name(path.name.replace("_1_", "_1\udcfe_") if path != case else f"{case.name}\udcfe"))
    options = {"split": ("--out", "lists", "--by", "iid", "--sites", "1"), "picture": ("--out", "a.png")}
    done = prepare(command, os.fsdecode(tree), *options.get(command, ()), cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done


def test_output_that_nobody_reads_is_no_error(audited: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, str(SCRIPT), "audit", str(audited / "set"), "--json", "found.json"]
    done = subprocess.run(command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "found.json").is_file()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_what_is_stopped_leaves_nothing(tmp_path: Path, sent: signal.Signals) -> None:
    command = [sys.executable, str(SCRIPT), "phantom", "set", "--cases", "40"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not list(tmp_path.rglob("*.nii.gz")) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(sent)
    assert process.communicate(timeout=60) == ("", "stopped: nothing is left half-written\n")
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


def in_mount(folder: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The script where ``folder`` is a file system of its own; the names of what is in it afterwards follow."""
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(folder)], check=False).returncode
    ):
        pytest.skip("no file system may be mounted here")
    script = 'mount -t tmpfs none "$1" && folder="$1" && shift && "$@" && echo "holds:" && ls -A "$folder"'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", folder, sys.executable, SCRIPT, *arguments]
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_lists_may_lie_on_a_file_system_of_their_own(tiny: Path, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    done = in_mount(lists, "split", tiny, "--out", lists, "--by", "iid", "--sites", "2", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    held = done.stdout.split("holds:")[1].split()
    assert held == ["site-1.json", "site-2.json", "site-All.json", "split.json", "split.png"]
    one = ("--sites", "1", "--cases", "1", "--validation", "1", "--size", "32", "32", "32")
    done = in_mount(lists, "phantom", "set", "--datalist", lists, *one, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("holds:")[1].split() == ["site-1.json", "site-All.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists", "set"]


def test_picture_of_cases(tiny: Path, tmp_path: Path) -> None:
    result = prepare("picture", tiny, "--out", "cases.png", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Brats18_PHANTOM1_001_1, Brats18_PHANTOM2_002_1" in result.stdout
    assert imread(tmp_path / "cases.png").shape[2] == 4
    wrong = prepare("picture", tiny, "--out", "other.png", "--cases", "Brats18_X_1_1", cwd=tmp_path)
    assert refused(wrong, "no case Brats18_X_1_1 among 20")
    assert not (tmp_path / "other.png").exists()
    assert refused(prepare("picture", tiny, "--out", "cases.jpg", cwd=tmp_path), "ends in .jpg; expected .png, .svg")
    assert refused(prepare("picture", tiny, "--out", "gone/cases.png", cwd=tmp_path), "its folder does not exist")


@pytest.mark.parametrize("command", ["phantom", "audit", "split", "picture"])
def test_a_full_disk_is_told_in_one_sentence_and_nothing_is_left(tiny: Path, tmp_path: Path, command: str) -> None:
    """No file of the process may grow beyond 100 bytes: the kernel refuses as on a full disk."""
    arguments = {
        "phantom": ("set", "--sites", "1", "--cases", "1", "--validation", "1", "--size", "32", "32", "32"),
        "audit": (tiny, "--json", "found.json"),
        "split": (tiny, "--out", "lists", "--by", "iid"),
        "picture": (tiny, "--out", "cases.png"),
    }[command]
    limited = [
        sys.executable, "-c",
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')",
        str(SCRIPT), command, *map(str, arguments),
    ]  # fmt: skip
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1, done.stderr
    assert "free some space, or choose another place" in done.stderr
    assert list(tmp_path.iterdir()) == []
