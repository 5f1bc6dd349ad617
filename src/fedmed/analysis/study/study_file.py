"""The file of a study: the options common to its runs, the axes of its grid, and what is tried for each algorithm."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fedmed.core.errors import InputError
from fedmed.core.unique_keys import unique_keys

Options = Mapping[str, Any]
"""Options of job.py by name, without dashes: texts, numbers, lists of numbers, true. null and false drop an option."""

KEYS = ("name", "base", "partitions", "algorithms", "attacks", "seeds", "tuning")
TUNING_KEYS = ("partition", "tries")
LISTS = "datalist_json_path"
"""The option that each partition gives: its folder of lists."""

MOST_SEEDS = 100
LEAST_TRIES = 2
LABEL = r"[A-Za-z0-9][A-Za-z0-9._-]{,39}"
NO_ATTACK: Mapping[str, Options] = {"none": {}}


@dataclass(frozen=True)
class Tuning:
    """The options that are tried for each algorithm, on the validation cases of one partition."""

    partition: str
    tries: Mapping[str, Sequence[Options]]

    @property
    def budget(self) -> int:
        """The number of tries, which is the same for each algorithm."""
        return len(next(iter(self.tries.values())))


@dataclass(frozen=True)
class Study:
    """A study as its file states it; mappings are from labels to options of job.py."""

    path: Path
    name: str
    base: Options
    partitions: Mapping[str, Options]
    algorithms: Mapping[str, Options]
    attacks: Mapping[str, Options]
    seeds: int
    tuning: Tuning | None
    document: Mapping[str, Any]  # the file's content


def read_study_file(path: Path) -> Study:
    """The study of a file, checked as far as it can be without job.py.

    Raises:
        InputError: it cannot be used.
    """
    document = _document(path)
    try:
        _refuse_unknown(document, KEYS, "")
        missing = [key for key in ("name", "partitions", "algorithms", "seeds") if key not in document]
        if missing:
            raise InputError(f'it has no "{missing[0]}"; see docs/study.md for an example.')
        algorithms = _axis(document, "algorithms")
        partitions = _axis(document, "partitions")
        return Study(
            path=path,
            name=_name(document["name"]),
            base=_options(document.get("base", {}), '"base"'),
            partitions=_with_lists(partitions),
            algorithms=algorithms,
            attacks=_axis(document, "attacks") if "attacks" in document else NO_ATTACK,
            seeds=_seeds(document["seeds"]),
            tuning=_tuning(document["tuning"], partitions, algorithms) if "tuning" in document else None,
            document=document,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=unique_keys)
    except InputError as error:
        raise InputError(f"{path} {error}; drop one.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}); give the file of a study.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds {_shown(found)}; expected an object as in docs/study.md.")
    return found


def _refuse_unknown(document: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in document:
        if key not in known:
            raise InputError(f'{where}"{key:.80}" is not known; {nearest(key, known)}.')


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that is most like an unknown one, in words; all of them where none is like it."""
    like = get_close_matches(name, known, n=1)
    return f'did you mean "{like[0]}"' if like else f"expected {', '.join(known)}"


def _name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(LABEL, value):
        raise InputError(f'"name" is {_shown(value)}; expected {_LABEL_WORDS}.')
    return value


_LABEL_WORDS = "at most 40 letters, digits, dots, dashes and underscores, as it becomes part of names of files"


def _axis(document: Mapping[str, Any], key: str) -> dict[str, Options]:
    """A mapping from labels to options, of at least one."""
    axis = document[key]
    if not isinstance(axis, dict) or not axis:
        raise InputError(f'"{key}" is {_shown(axis)}; expected labels with options, such as {{"fedavg": {{}}}}.')
    for label in axis:
        if not re.fullmatch(LABEL, label):
            raise InputError(f'"{key}" has the label "{label:.80}"; expected {_LABEL_WORDS}.')
    return {label: _options(options, f'"{label}" of "{key}"') for label, options in axis.items()}


def _options(value: Any, where: str) -> Options:
    """Options of job.py, each a value or a list of values."""
    if not isinstance(value, dict):
        raise InputError(f'{where} is {_shown(value)}; expected options of job.py, such as {{"num_rounds": 40}}.')
    for name, given in value.items():
        plain = [given] if not isinstance(given, list) else given
        if not plain or not all(isinstance(each, str | int | float | None) for each in plain):
            raise InputError(f'{where} gives "{name:.80}" as {_shown(given)}; expected a value or a list of values.')
    return value


def _with_lists(partitions: Mapping[str, Options]) -> Mapping[str, Options]:
    for label, options in partitions.items():
        if not isinstance(options.get(LISTS), str):
            raise InputError(f'"{label}" of "partitions" names no folder of lists; give it as "{LISTS}".')
    return partitions


def _seeds(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_SEEDS:
        raise InputError(f'"seeds" is {_shown(value)}; expected a whole number from 1 to {MOST_SEEDS}.')
    return value


def _tuning(value: Any, partitions: Mapping[str, Options], algorithms: Mapping[str, Options]) -> Tuning:
    if not isinstance(value, dict):
        raise InputError(f'"tuning" is {_shown(value)}; expected an object with "tries".')
    _refuse_unknown(value, TUNING_KEYS, '"tuning": ')
    partition = value.get("partition", next(iter(partitions)))
    if partition not in partitions:
        raise InputError(f'"partition" of "tuning" is {_shown(partition)}; expected one of {", ".join(partitions)}.')
    return Tuning(partition, _tries(value.get("tries"), algorithms))


def _tries(value: Any, algorithms: Mapping[str, Options]) -> dict[str, list[Options]]:
    """Lists of options, as many for each algorithm."""
    if not isinstance(value, dict):
        raise InputError(f'"tries" of "tuning" is {_shown(value)}; expected a list of options for each algorithm.')
    _refuse_unknown(value, list(algorithms), '"tries" of "tuning": ')
    for label in algorithms:
        given = value.get(label, [])
        if not isinstance(given, list) or len(given) < LEAST_TRIES:
            raise InputError(
                f'"tries" of "tuning" has {_shown(given)} for {label}; expected a list of {LEAST_TRIES} or more '
                "options, as many for each algorithm, or the comparison favours those that were tuned."
            )
    first = next(iter(algorithms))
    for label in algorithms:
        if len(value[label]) != len(value[first]):
            raise InputError(
                f'"tries" of "tuning" has {len(value[first])} for {first} and {len(value[label])} for {label}; '
                "expected as many for each algorithm, or the comparison favours those that were tuned more."
            )
    return {
        label: [_options(options, f'try {number} of "{label}"') for number, options in enumerate(value[label], start=1)]
        for label in algorithms
    }


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
