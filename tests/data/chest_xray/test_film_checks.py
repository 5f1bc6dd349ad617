"""A site's audit warns of sideways films and of findings without a case; DICOM films are read by it."""

import json
from pathlib import Path

import numpy as np
import pytest

from fedmed.data.audit.case_findings import Rules
from fedmed.data.audit.site_audit import SiteAudit, audit_site
from fedmed.data.chest_xray.film_checks import film_findings
from fedmed.data.chest_xray.findings import FINDINGS
from fedmed.data.datalist import load_datalist
from tests.data.chest_xray.written_films import dicom, pixels, save

RULES = Rules(("film",), dimensions=2, classes=FINDINGS, several=True)


def audited(root: Path, turned: int = 0, labels: list[str] | None = None) -> SiteAudit:
    """A site of eight training films and one validation film, of which the first ones lie on their side."""
    entries = []
    for number in range(9):
        path = save(root / f"{number:08d}_000.png", np.rot90(pixels(number)) if number < turned else pixels(number))
        entries.append({"image": path.name, "label": labels or [], "patient": str(number)})
    (root / "site-1.json").write_text(json.dumps({"training": entries[:8], "validation": entries[8:]}))
    listed = load_datalist(root / "site-1.json", root)
    return audit_site("site-1", listed.splits, RULES, lambda case: str(case.extra["patient"]))


@pytest.mark.parametrize(("turned", "share"), [(0, None), (3, "33 %"), (9, "100 %")])
def test_a_site_of_sideways_films_is_warned(tmp_path: Path, turned: int, share: str | None) -> None:
    found = [each for each in film_findings(audited(tmp_path, turned)) if each.check == "orientation"]
    assert [each.level for each in found] == ["warning"] * (share is not None)
    if share:
        assert found[0].sentence.startswith(f"{share} of the 9 films of site-1 look turned by a quarter to the left")


def test_findings_that_no_case_of_a_split_has_are_one_warning(tmp_path: Path) -> None:
    audit = audited(tmp_path, labels=[*FINDINGS[:12]])
    found = [each for each in film_findings(audit) if each.check == "classes"]
    assert [each.sentence.split(" film with ")[0] for each in found] == [
        "site-1 has no training", "site-1 has no validation",
    ]  # fmt: skip
    assert "with Pleural_Thickening, Hernia;" in found[0].sentence
    (tmp_path / "numbers").mkdir()
    by_number = audited(tmp_path / "numbers", labels=[*range(14)])  # type: ignore[list-item]
    assert film_findings(by_number) == []


def test_dicom_films_are_read_by_the_audit(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.dcm").write_bytes(dicom(pixels(number)))
    parts = {
        name: [{"image": f"{number}.dcm", "label": ["Mass"], "patient": str(number)}]
        for number, name in enumerate(("training", "validation"))
    }
    (tmp_path / "site-1.json").write_text(json.dumps(parts))
    listed = load_datalist(tmp_path / "site-1.json", tmp_path)
    audit = audit_site("site-1", listed.splits, RULES, lambda case: case.name)
    assert audit.errors == []
    assert audit.cases[0].fingerprints
