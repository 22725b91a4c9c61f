# SPDX-License-Identifier: Apache-2.0
"""The README's table of metrics."""

import re

import pytest

from pidinfod.metrics import reference
from pidinfod.metrics.families import FAMILIES
from tests.support import REPO


def test_the_table_in_the_readme():
    text = (REPO / "README.md").read_text()
    assert reference.rewritten(text) == text, (
        "README.md's table of metrics is not what their descriptions say: "
        "run `python3 -m pidinfod.metrics.reference` in the source's folder"
    )


def test_the_table():
    table = reference.table()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\w, ]*?) ?\| .+\. \|$", table, re.MULTILINE))
    assert len(rows) == table.count("\n") - 2
    for family in FAMILIES:
        assert rows[family.metric] == ", ".join(family.label_names)
    assert rows["pidinfod_build_info"] == "version, source"
    assert rows["pidinfod_groups_recycled_total"] == ""
    assert rows["pidinfod_dropped_total"] == "event, cause"


def test_each_family_has_a_sample():
    for family in reference.every_family():
        assert family.samples, family.name
        assert family.documentation


def test_only_what_is_between_the_marks_changes():
    text = "before\n<!-- metrics -->\nold | x\n<!-- /metrics -->\nafter\n"
    made = reference.rewritten(text)
    assert made == f"before\n<!-- metrics -->\n{reference.table()}<!-- /metrics -->\nafter\n"
    assert reference.rewritten(made) == made


@pytest.mark.parametrize(
    "text",
    ["", "<!-- metrics -->\n", "<!-- /metrics -->\n", "<!-- /metrics -->\n<!-- metrics -->\n"],
)
def test_a_text_without_the_marks(text):
    with pytest.raises(ValueError, match="expected the lines"):
        reference.rewritten(text)
