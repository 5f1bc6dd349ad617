"""The benchmarks' own arithmetic; they train for minutes, so their results stand in benchmarks/README.md instead."""

import numpy as np

from benchmarks.site_strength import table


def test_gap_is_home_less_the_mean_of_the_others() -> None:
    dice = np.array([[0.8, 0.4, 0.6], [0.5, 0.7, 0.3], [0.1, 0.3, 0.9], [0.85, 0.75, 0.95]])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(1.0, dice).splitlines()[2:]]
    assert rows[2] == ["site-1 alone", "0.800", "0.400", "0.600", "0.800", "0.500", "+0.300"]
    assert [row[-1] for row in rows[2:5]] == ["+0.300", "+0.300", "+0.700"]
    assert rows[5][:4] == ["all together", "0.850", "0.750", "0.950"]
    assert rows[6][-3:] == ["0.800", "0.367", "+0.433"]
    assert {len(row) for row in rows} == {7}
