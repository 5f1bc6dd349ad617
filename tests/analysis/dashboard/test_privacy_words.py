"""Sentences on privacy promise no more than the mechanism does, and tables name what was found."""

import pytest

from fedmed.analysis.dashboard.attack_table import attack_table
from fedmed.analysis.dashboard.audit_findings import finding_counts
from fedmed.analysis.dashboard.privacy_words import in_plain_words, ledger_table
from fedmed.core.errors import InputError
from fedmed.runs.run_folder import RunFolder
from tests.analysis.dashboard.conftest import MakeRun
from tests.ledgers import entry


@pytest.mark.parametrize(
    ("guarantee", "epsilon", "words"),
    [
        ("none", None, "nothing hides"),
        ("heuristic", None, "nobody can say how much"),
        ("heuristic", 1.0, "nobody can say how much"),
        ("formal", None, "nothing has been spent"),
        ("formal", 0.0, "at most 1 times as sure"),
        (
            "formal",
            1.0,
            "at most 2.72 times as sure as before (in odds) that an image took part, but for a chance of 1e-05",
        ),
        ("formal", 12.0, "bounds very little"),
    ],
)
def test_each_guarantee_has_its_sentence(guarantee: str, epsilon: float | None, words: str) -> None:
    sentence = in_plain_words(guarantee, "image", epsilon, 1e-5)
    assert sentence.startswith("In plain words: ")
    assert words in sentence


def test_the_ledger_is_a_row_a_round_and_site() -> None:
    table = ledger_table([entry("site-2", 1, 0.5), entry("site-1", 2, 2.0), entry("site-1", 1, 1.0)])
    assert table[["round", "site", "epsilon in all"]].to_numpy().tolist() == [
        [1, "site-1", 1.0], [1, "site-2", 0.5], [2, "site-1", 2.0]
    ]  # fmt: skip


def test_an_attack_is_shown_beside_what_was_promised(private_run: RunFolder, make_run: MakeRun) -> None:
    table = attack_table(private_run)
    assert table is not None
    assert table.iloc[0].to_dict() == {
        "attack": "loss", "group": "every site", "members": "4", "held-out": "2", "AUC": "0.61 [0.50, 0.72]",
        "TPR at FPR 1%": "0.61 [0.50, 0.72]", "promised at 1%": "at most 0.90",
    }  # fmt: skip
    assert attack_table(make_run()) is None
    private_run.write_json("privacy_audit", {"attacks": [{}]})
    with pytest.raises(InputError, match="not as an audit leaves it"):
        attack_table(private_run)


def test_findings_are_counted_by_kind_and_no_sentence_is_shown() -> None:
    odd = {"level": "warning", "check": "outlier", "sentence": "DOE^JANE is odd"}
    rows = finding_counts(
        {"a": {"findings": [odd, odd]}, "b": {}}, [{**odd, "level": "error", "check": "far brighter"}]
    )
    assert rows == [
        ["a", "warning", "a case unlike the site's others", "2"], ["between sites", "error", "far brighter", "1"]
    ]  # fmt: skip
