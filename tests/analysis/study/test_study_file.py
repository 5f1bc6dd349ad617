"""The file of a study: what is wrong with it is said before any run, in one sentence."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fedmed.analysis.study.study_cells import words_of
from fedmed.analysis.study.study_file import NO_ATTACK, read_study_file
from fedmed.core.errors import InputError
from tests.scripts import ROOT

GOOD: dict[str, Any] = {
    "name": "skew",
    "base": {"num_rounds": 4},
    "partitions": {"iid": {"datalist_json_path": "iid"}, "skewed": {"datalist_json_path": "skewed"}},
    "algorithms": {"fedavg": {}, "fedprox": {"algorithm": "fedprox"}},
    "seeds": 3,
}
TRIES = {"fedavg": [{}, {"learning_rate": 0.1}], "fedprox": [{"fedproxloss_mu": 0.1}, {"fedproxloss_mu": 1}]}


def written(place: Path, document: Any) -> Path:
    path = place / "study.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_study_without_attacks_and_tuning_has_one_condition_a_partition(tmp_path: Path) -> None:
    found = read_study_file(written(tmp_path, GOOD))
    assert (found.name, found.seeds, found.tuning, found.attacks) == ("skew", 3, None, NO_ATTACK)
    assert found.base == {"num_rounds": 4}
    assert found.document == GOOD


def test_tuning_is_on_the_first_partition_unless_it_says_another(tmp_path: Path) -> None:
    found = read_study_file(written(tmp_path, {**GOOD, "tuning": {"tries": TRIES}})).tuning
    assert found is not None
    assert (found.partition, found.budget) == ("iid", 2)
    found = read_study_file(written(tmp_path, {**GOOD, "tuning": {"tries": TRIES, "partition": "skewed"}})).tuning
    assert found is not None
    assert found.partition == "skewed"


def changed(**keys: Any) -> dict[str, Any]:
    return {**GOOD, **keys}


MISTAKES: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", r"cannot be read as JSON \(.*\); give the file of a study"),
    "a list": ([], r"holds \[\]; expected an object"),
    "twice": ('{"seeds": 1, "seeds": 2}', 'states "seeds" twice in one object'),
    "unknown key": (changed(partition={}), '"partition" is not known; did you mean "partitions"'),
    "strange key": (changed(xyzzy=1), '"xyzzy" is not known; expected name, base, partitions'),
    "no name": ({key: GOOD[key] for key in GOOD if key != "name"}, 'it has no "name"; see docs/study.md'),
    "odd name": (changed(name="a b"), '"name" is "a b"; expected at most 40 letters'),
    "no algorithms": (changed(algorithms={}), '"algorithms" is {}; expected labels with options'),
    "odd label": (changed(algorithms={"a/b": {}}), '"algorithms" has the label "a/b"; expected at most 40'),
    "options": (changed(algorithms={"a": []}), r'"a" of "algorithms" is \[\]; expected options of job.py'),
    "value": (changed(base={"num_rounds": {}}), '"base" gives "num_rounds" as {}; expected a value or a list'),
    "no lists": (changed(partitions={"iid": {}}), '"iid" of "partitions" names no folder of lists'),
    "seeds": (changed(seeds=0), '"seeds" is 0; expected a whole number from 1 to 100'),
    "seeds true": (changed(seeds=True), '"seeds" is true; expected a whole number'),
    "attacks": (changed(attacks={}), '"attacks" is {}; expected labels'),
    "tuning": (changed(tuning=[]), r'"tuning" is \[\]; expected an object'),
    "tuning key": (changed(tuning={"trys": {}}), '"tuning": "trys" is not known; did you mean "tries"'),
    "tuning where": (
        changed(tuning={"partition": "x", "tries": TRIES}),
        '"partition" of "tuning" is "x"; expected one',
    ),
    "no tries": (changed(tuning={}), '"tries" of "tuning" is null; expected a list of options for each algorithm'),
    "tries of a stranger": (
        changed(tuning={"tries": {**TRIES, "fedporx": []}}),
        '"tries" of "tuning": "fedporx" is not known; did you mean "fedprox"',
    ),
    "one is not tuned": (
        changed(tuning={"tries": {"fedprox": TRIES["fedprox"]}}),
        r'"tries" of "tuning" has \[\] for fedavg; expected a list of 2 or more options, as many for each algorithm',
    ),
    "unequal budget": (
        changed(tuning={"tries": {**TRIES, "fedprox": [{}, {}, {}]}}),
        '"tries" of "tuning" has 2 for fedavg and 3 for fedprox; expected as many for each algorithm',
    ),
    "odd try": (changed(tuning={"tries": {**TRIES, "fedavg": [{}, 1]}}), 'try 2 of "fedavg" is 1; expected options'),
}


@pytest.mark.parametrize(("document", "words"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_in_one_sentence_that_names_the_file(document: Any, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, document)
    with pytest.raises(InputError, match=words) as error:
        read_study_file(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_the_example_of_the_page_is_a_study(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "study.md").read_text(encoding="utf-8")
    example = re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL)[0]
    found = read_study_file(written(tmp_path, example))
    assert found.tuning is not None
    assert found.tuning.budget == 2
    options = [found.base, *found.partitions.values(), *found.algorithms.values()]
    for given in [*options, *(each for tries in found.tuning.tries.values() for each in tries)]:
        assert all(words_of(name, value, tmp_path) for name, value in given.items())
