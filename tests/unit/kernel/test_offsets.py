# SPDX-License-Identifier: Apache-2.0
"""What the compiler is told of a kernel: of this one, and of others that have not everything."""

import platform

import pytest

from pidinfod.kernel import offsets


def test_flags_of_this_kernel():
    values = dict(flag[2:].split("=") for flag in offsets.flags() if "=" in flag)
    assert values.keys() - offsets.OPTIONAL_OFFSETS.keys() == {
        "PAGE_BYTES", "THREAD_BYTES", *offsets.OFFSETS,
        *offsets.MACHINE_OFFSETS[platform.machine()], *offsets.SIZES,
    }  # fmt: skip
    assert "OFF_TASK_STATE" in values  # no kernel is without
    assert int(values["OFF_TASK_TGID"]) == int(values["OFF_TASK_PID"]) + 4


class Types:
    """A kernel that has these members, one 8 bytes after the other."""

    def __init__(self, *places):
        self.places = places

    def offset(self, *where):
        try:
            return 8 * self.places.index(where)
        except ValueError:
            raise LookupError(where) from None


@pytest.mark.parametrize(
    ("places", "flags"),
    [
        ((), []),
        ([("task_struct", "__state")], ["-DOFF_TASK_STATE=0"]),
        ([("x", "y"), ("task_struct", "state")], ["-DOFF_TASK_STATE=8"]),
        # The first of both, and once.
        ([("task_struct", "state"), ("task_struct", "__state")], ["-DOFF_TASK_STATE=8"]),
        (
            [("task_io_accounting", "rchar"), ("task_io_accounting", "wchar"),
             ("task_struct", "sched_info", "sched_info", "run_delay")],
            ["-DOFF_TASK_RUN_DELAY=16", "-DOFF_IOAC_RCHAR=0", "-DOFF_IOAC_WCHAR=8"],
        ),
    ],
)  # fmt: skip
def test_members_that_a_kernel_may_not_have(places, flags):
    assert offsets._optional_flags(Types(*places)) == flags


def test_what_needs_a_member_is_asked_of_the_kernel():
    assert offsets.NEEDED_BY.keys() <= offsets.OPTIONAL_OFFSETS.keys()


@pytest.mark.parametrize(
    ("without", "absent"),
    [
        ((), set()),
        (("OFF_TASK_RUN_DELAY",), {"run_delay_ns"}),  # CONFIG_SCHED_INFO
        (("OFF_IOAC_RCHAR", "OFF_IOAC_WCHAR"), {"rchar", "wchar"}),  # CONFIG_TASK_XACCT
        # CONFIG_TASK_IO_ACCOUNTING
        (("OFF_IOAC_READ_BYTES", "OFF_IOAC_WRITE_BYTES"), {"read_bytes", "write_bytes"}),
        (("OFF_UCOUNTS_RLIMIT",), {"queued"}),
        (("OFF_MM_RSS_STAT_COUNT",), set()),  # the other way is there
        (offsets.OPTIONAL_OFFSETS, {
            "run_delay_ns", "rchar", "wchar", "read_bytes", "write_bytes", "queued",
        }),
    ],
)  # fmt: skip
def test_what_a_kernel_does_not_keep(without, absent):
    flags = [f"-D{name}=8" for name in offsets.OPTIONAL_OFFSETS if name not in without]
    # Names that begin as one that is not there.
    flags += [f"-D{name}_TOO=8" for name in without]
    assert set(offsets.absent(flags)) == absent
