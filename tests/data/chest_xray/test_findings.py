"""The names of the findings: their order is CheXNet's, and slips are known."""

import pytest

from fedmed.data.chest_xray.findings import FINDINGS, NO_FINDING, in_order, nearest_finding


def test_the_findings_are_fourteen_in_the_order_of_chexnets_lists() -> None:
    assert len(set(FINDINGS)) == 14
    assert FINDINGS[0] == "Atelectasis"
    assert FINDINGS[8] == "Consolidation"
    assert FINDINGS[-1] == "Hernia"


@pytest.mark.parametrize(
    ("slip", "meant"),
    [("Pleural Thickening", "Pleural_Thickening"), ("effusions", "Effusion"), ("no finding", NO_FINDING),
     ("Infiltrate", "Infiltration"), ("cardiomegalie", "Cardiomegaly")],
)  # fmt: skip
def test_a_slip_is_answered_by_the_name_that_is_meant(slip: str, meant: str) -> None:
    assert nearest_finding(slip) == meant


def test_findings_are_put_in_their_order() -> None:
    assert in_order(["Hernia", "Effusion", "Mass"]) == ("Effusion", "Mass", "Hernia")
    assert in_order([]) == ()
