"""A site has one colour wherever it is."""

from fedmed.analysis.dashboard.site_colours import STYLES, site_styles


def test_a_site_keeps_its_style_in_other_company() -> None:
    of_four = site_styles(f"site-{n}" for n in range(1, 5))
    of_two = site_styles(["site-3", "site-1"])
    assert of_two["site-3"] == of_four["site-3"]
    assert site_styles(["Charité", "site-1"])["Charité"] == site_styles(["Charité"])["Charité"]


def test_sites_look_different_as_long_as_there_are_styles() -> None:
    names = [f"hospital {chr(97 + n)}" for n in range(STYLES)]
    assert len(set(site_styles(names).values())) == STYLES
    mixed = ["site-1", "clinic-1", "ward-1", "Mayo", "site-25"]
    assert len(set(site_styles(mixed).values())) == len(mixed)


def test_more_sites_than_styles_have_one_each_all_the_same() -> None:
    names = [f"site-{n}" for n in range(1, 3 * STYLES)]
    assert set(site_styles(names)) == set(names)


def test_colours_are_hexadecimal_and_neither_black_nor_white() -> None:
    for style in site_styles(f"site-{n}" for n in range(1, 7)).values():
        assert len(style.colour) == 7
        assert style.colour not in ("#000000", "#ffffff")
