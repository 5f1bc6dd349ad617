"""The house keeps its own rules: one name for one thing, docstrings that state, few loose files, a thin way in."""

import ast
import re
from collections import Counter

from tests.scripts import ROOT

PACKAGE = ROOT / "src" / "fedmed"
FILES = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
SCRIPTS = [
    path
    for files in ("*.py", "result_stat/*.py", "dataset_*/*.py", "deploy/*.py", "benchmarks/*.py")
    for path in ROOT.glob(files)
]
CLAUSE = re.compile(r"(What|Whether|Whom?|Whose|How|Where|Why|When|Which|That|As|(By|On|In|With) (what|whom|which))\b")
CONTRACT = "base.py"
"""The contract of a kind of choice, in each of the four rooms of choices."""


def twice(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def test_no_two_files_share_a_name() -> None:
    assert twice([path.name for path in FILES if path.name != CONTRACT]) == []
    assert sum(path.name == CONTRACT for path in FILES) == 4


def test_no_two_classes_share_a_name() -> None:
    classes = [
        node.name for path in FILES for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)
    ]
    assert twice(classes) == []


def test_docstrings_state_the_thing_and_do_not_open_with_a_clause() -> None:
    nodes = [(path, node) for path in (*FILES, *SCRIPTS) for node in ast.walk(ast.parse(path.read_text()))]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    opened = [
        f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"
        for path, node in nodes
        if isinstance(node, documented) and (text := ast.get_docstring(node)) and CLAUSE.match(text)
    ]
    assert opened == []


def test_few_files_lie_loose_and_the_way_in_is_thin() -> None:
    assert len([path for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]) <= 6
    assert len((ROOT / "job.py").read_text().splitlines()) <= 80


def test_names_of_variables_and_topics_are_written_once() -> None:
    names = PACKAGE / "core" / "names.py"
    written = re.findall(
        r'"((?:FEDMED|DATASET|DATALIST|CACHE|PRIVACY)_[A-Z_]+|fedmed\.[a-z]+|tb_events|rounds\.jsonl)"',
        names.read_text(),
    )
    assert len(written) >= 8
    elsewhere = {
        name: [str(path) for path in FILES if path != names and f'"{name}"' in path.read_text()] for name in written
    }
    assert {name: paths for name, paths in elsewhere.items() if paths} == {}


def test_every_example_of_a_path_in_the_pages_is_there() -> None:
    """Paths of the repository that the pages name."""
    pages = [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        ROOT / "benchmarks" / "README.md",
        ROOT / "deploy" / "README.md",
    ]
    named = {
        name
        for page in pages
        for name in re.findall(
            r"`((?:src/fedmed|tests|result_stat|benchmarks|deploy|docs)/[\w/.]+\.\w+)`", page.read_text()
        )
    }
    examples = {"src/fedmed/tasks/stripes.py", "src/fedmed/algorithms/fedavgm.py", "docs/README.md"}  # of a bundle
    missing = sorted(name for name in named - examples if not (ROOT / name).exists())
    assert missing == []


def test_every_test_that_the_pages_name_is_there() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    named = set(re.findall(r"`((?:[\w/]+/)?test_\w+\.py)`", pages))
    there = ["/" + path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    assert named
    assert sorted(name for name in named if not any(path.endswith("/" + name) for path in there)) == []


def test_every_test_that_the_page_on_threats_names_is_there() -> None:
    """Written ``folder/test_file.py: beginning_of_a_name``; further names in a cell are of the same file."""
    page = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
    cells = [line.split("|")[2] for line in page.splitlines() if line.startswith("|") and "test_" in line]
    named = [(cell, re.findall(r"`([^`]+)`", cell)) for cell in cells]
    assert len(named) > 20
    for cell, quoted in named:
        file = ""
        for words in quoted:
            path, _, name = words.rpartition(": ") if ".py" in words and ": " in words else (words, "", "")
            if ".py" in words:
                file = (ROOT / "tests" / path).read_text(encoding="utf-8")
            else:
                name = words
            assert f"def test_{name}" in file, (cell, words)
