"""Counts of findings, and of those that come together, by hand."""

from fedmed.data.chest_xray.finding_counts import (
    counts_document,
    counts_table,
    pairs_line,
    positives,
    together,
    together_table,
    without_positives,
)
from fedmed.data.chest_xray.findings import FINDINGS
from tests.data.chest_xray.written_films import film

FILMS = [
    film("a_0", ["Effusion", "Mass"]), film("a_1", ["Effusion", "Mass", "Hernia"]), film("b_0", ["Hernia"]),
    film("c_0"),
]  # fmt: skip


def test_findings_and_pairs_are_counted() -> None:
    counts = positives(FILMS)
    assert (counts["Effusion"], counts["Hernia"], counts["No Finding"], counts["Edema"]) == (2, 2, 1, 0)
    assert together(FILMS) == {("Effusion", "Mass"): 2, ("Effusion", "Hernia"): 1, ("Mass", "Hernia"): 1}
    document = counts_document(FILMS)
    assert (document["films"], document["patients"]) == (4, 3)
    assert document["together"]["Effusion + Mass"] == 2
    assert pairs_line("x", FILMS) == "x: Effusion + Mass (2), Effusion + Hernia (1), Mass + Hernia (1)"
    assert pairs_line("x", FILMS[2:]) == "x: no two findings come together"


def test_the_table_of_pairs_is_symmetric_with_the_counts_on_its_diagonal() -> None:
    rows = [line.split() for line in together_table(FILMS).splitlines()[1:]]
    cells = [[int(cell) for cell in row[1:]] for row in rows]
    assert [row[0] for row in rows] == [*FINDINGS]
    assert cells == [[*column] for column in zip(*cells, strict=True)]
    assert [cells[place][place] for place in range(14)] == [positives(FILMS)[name] for name in FINDINGS]
    assert cells[FINDINGS.index("Mass")][FINDINGS.index("Effusion")] == 2


def test_the_table_of_counts_has_a_column_for_each_part() -> None:
    lines = counts_table({"site-1": FILMS[:2], "test": FILMS[2:]}).splitlines()
    assert lines[0].split() == ["site-1", "test"]
    rows = {line.rsplit(maxsplit=2)[0]: line.split()[-2:] for line in lines[1:]}
    assert rows["Hernia"] == ["1", "1"]
    assert rows["films"] == ["2", "2"]
    assert rows["patients"] == ["1", "2"]


def test_a_finding_without_any_film_is_told_of_the_part_or_of_all() -> None:
    most = [film("x_0", FINDINGS[:13])]
    assert without_positives({"site-1": most, "site-2": [film("y_0", FINDINGS[:12])]}) == [
        "No film has Hernia: nothing can be learnt or said of it.",
        "site-2 has no film with Pleural_Thickening: its AUROC there is n/a.",
    ]
    assert without_positives({"site-1": [film("x_0", FINDINGS)]}) == []
