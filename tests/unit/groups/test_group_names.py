# SPDX-License-Identifier: Apache-2.0
"""What each group is called; nobody gets into another group by a program's name."""

import pytest

from pidinfod.groups.names import GroupNames, label_of_comm
from pidinfod.kernel.records import BY_COMM, DECLARED, FREE, GROUP_ENTRY, NO_PRECEDENCE


def entry(kind, name, precedence=NO_PRECEDENCE):
    return GROUP_ENTRY.pack(kind=kind, name=name, precedence=precedence)


@pytest.mark.parametrize(
    ("comm", "label"),
    [
        ("bash", "bash"),
        ("kernel", "comm:kernel"),
        ("other", "comm:other"),
        ("web", "comm:web"),  # declared
        ("comm:web", "comm:comm:web"),
        ("comm:", "comm:comm:"),
        ("comm", "comm"),
        ("Web", "Web"),
        ("", ""),
    ],
)
def test_label_of_comm(comm, label):
    assert label_of_comm(comm, ["web", "db"]) == label


def test_labels_of_names_never_meet():
    comms = ["web", "comm:web", "comm:comm:web", "kernel", "comm:kernel", "other", "x", "comm:x"]
    labels = {label_of_comm(comm, ["web"]) for comm in comms}
    assert len(labels) == len(comms)
    assert not labels & {"web", "kernel", "other"}


def test_without_a_table():
    names = GroupNames()
    assert dict(names) == {0: "kernel", 1: "other"}
    assert names.live == {"kernel", "other"}
    assert len(names) == 2
    assert names[7] == names[2**32 - 1] == "other"


def test_a_table():
    names = GroupNames([
        entry(FREE, b""), entry(FREE, b""),
        entry(DECLARED, b"web", 0),
        entry(BY_COMM, b"bash"),
        entry(BY_COMM, b"web"),
        entry(FREE, b"left over"),
        entry(DECLARED, b"retired"),
        entry(BY_COMM, b"late"),
        entry(DECLARED, b"late", 1),  # declared further on than the program's name
        entry(BY_COMM, b"\xff\x1b"),
        entry(BY_COMM, b"fifteen-letters"),
    ])  # fmt: skip
    assert dict(names) == {
        0: "kernel", 1: "other", 2: "web", 3: "bash", 4: "comm:web", 6: "retired",
        7: "comm:late", 8: "late", 9: "\\xff\x1b", 10: "fifteen-letters",
    }  # fmt: skip
    assert names[5] == names[11] == "other"
    assert names.live == set(dict(names).values())
