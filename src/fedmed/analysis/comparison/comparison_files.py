"""The files of a comparison: Markdown, LaTeX, or CSV with the tests in a second file."""

from collections.abc import Sequence
from pathlib import Path

from fedmed.analysis.comparison.comparison_report import Compared, blocks, comparison_numbers, runs_numbers
from fedmed.analysis.comparison.table_document import latex, markdown
from fedmed.core.errors import InputError

SUFFIXES = (".md", ".csv", ".tex")


def refuse_unwritable(out: Sequence[Path], force: bool) -> None:
    """Refuse before any work the files that could not be written after it.

    Raises:
        InputError: a file exists, comes twice, is of an unknown kind or has no folder to lie in.
    """
    taken: set[Path] = set()
    for path in out:
        if path.suffix not in SUFFIXES:
            raise InputError(f"--out {path} ends in none of {', '.join(SUFFIXES)}; the ending says what is written.")
        if not path.parent.is_dir():
            raise InputError(f"--out {path} lies in no existing folder; make {path.parent} first.")
        for each in (path, path_of_tests(path)) if path.suffix == ".csv" else (path,):
            if each in taken:
                raise InputError(f"--out would write {each} twice; give each output a name of its own.")
            if each.exists() and not force:
                raise InputError(f"{each} exists and is kept; give --force to replace it, or another name.")
            taken.add(each)


def contents(found: Compared, out: Sequence[Path]) -> dict[Path, bytes]:
    """The content of every file, by its path."""
    texts: dict[Path, str] = {}
    for path in out:
        if path.suffix == ".csv":
            texts[path] = runs_numbers(found).to_csv(index=False)
            texts[path_of_tests(path)] = comparison_numbers(found).to_csv(index=False)
        else:
            texts[path] = (latex if path.suffix == ".tex" else markdown)(blocks(found))
    return {path: text.encode() for path, text in texts.items()}


def path_of_tests(path: Path) -> Path:
    """The file of the tests beside a CSV file of the runs."""
    return path.with_name(f"{path.stem}-tests.csv")
