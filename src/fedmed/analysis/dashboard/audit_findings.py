"""The findings of the audit of the sites' data by kind, without the sentences that name cases."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

KINDS = {
    "classes": "a class or finding that a site does not have",
    "duplicate": "the same images, or the same case, more than once",
    "overlap": "the same images, or the same patient, in training and in validation",
    "orientation": "an image that may lie or be turned otherwise",
    "outlier": "a case unlike the site's others",
    "readable": "a file that cannot be read",
    "name": "cases that have one name",
    "label": "cases that share one file of labels",
    "outside": "a file outside the dataset's folder",
    "exchange": "an answer to the comparison of images that cannot be used",
}
"""Kinds of findings in words; others are shown by their own names."""


def finding_counts(stats: Mapping[str, Any], across: Sequence[Mapping[str, Any]] = ()) -> list[list[str]]:
    """A row a site and kind of finding: site, level, kind, number.

    Args:
        stats: ``dataset_stats.json``: the facts of each site.
        across: findings between the sites.
    """
    groups = {**{site: facts.get("findings", []) for site, facts in stats.items()}, "between sites": across}
    rows = []
    for site, findings in groups.items():
        for (level, check), number in sorted(Counter((each["level"], each["check"]) for each in findings).items()):
            rows.append([site, level, KINDS.get(check, check.replace("_", " ")), str(number)])
    return rows
