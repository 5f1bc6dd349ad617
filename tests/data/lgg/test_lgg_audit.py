"""The audit of a set: counts of institutions, patients of the table, and sentences on what is odd."""

from pathlib import Path

import pytest

from fedmed.core.errors import InputError
from fedmed.data.lgg.lgg_audit import LggAudit, lgg_audit_table, table_patients
from fedmed.data.lgg.lgg_layout import find_lgg
from fedmed.data.lgg.scan_facts import measured_scans
from tests.data.lgg.written_scans import write_scan, write_set


def audited(root: Path) -> LggAudit:
    tree = find_lgg(root)
    return LggAudit(tree, measured_scans(tree.patients), table_patients(root))


def test_a_whole_set_has_a_row_an_institution_and_no_warning(tmp_path: Path) -> None:
    write_set(tmp_path, {"CS": 2, "HT": 1})
    names = ["TCGA_CS_1000", "TCGA_CS_1001", "TCGA_HT_1000"]
    (tmp_path / "data.csv").write_text("\ufeffPatient,age\n" + "".join(f"{name},\n" for name in names))
    found = audited(tmp_path)
    assert found.warnings() == []
    lines = [line.split() for line in lgg_audit_table(found).splitlines()]
    assert [line[:5] for line in lines[1:]] == [
        ["CS", "2", "4", "2", "200"], ["HT", "1", "2", "1", "100"], ["all", "3", "6", "3", "300"],
    ]  # fmt: skip
    assert "Case Western - St Joes" in lgg_audit_table(found)
    document = found.document()
    assert [*document["patients"]] == names
    assert document["institutions"]["CS"]["sizes"] == {"40 x 48": 2}


def test_what_is_odd_is_a_sentence(tmp_path: Path) -> None:
    write_scan(tmp_path, "TCGA_CS_1_1")
    write_scan(tmp_path, "TCGA_XY_2_1", tumour=False)
    (tmp_path / "data.csv").write_text("Patient,age\nTCGA_CS_1,7\nTCGA_CS_9,8\n")
    unknown, empty, without_row, without_folder = audited(tmp_path).warnings()
    assert unknown.startswith("XY is none of the set's institutions (CS, DU, EZ, FG, HT)")
    assert empty == "1 patient whose masks are all empty: TCGA_XY_2; look whether that is so."
    assert without_row == "1 patient with a folder that data.csv does not name: TCGA_XY_2."
    assert without_folder == "1 patient of data.csv without a folder: TCGA_CS_9."


@pytest.mark.parametrize("content", [b"name,age\na,1\n", b"", b'Patient\n"a\n', b"Patient\n\xff\n"])
def test_a_table_that_cannot_be_read_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    assert table_patients(tmp_path) is None
    (tmp_path / "data.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"data\.csv (cannot be read|has the columns)"):
        table_patients(tmp_path)
