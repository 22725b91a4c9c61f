# SPDX-License-Identifier: Apache-2.0
"""The running kernel's own types."""

import pytest

from pidinfod.kernel import offsets
from pidinfod.kernel.btf import KernelTypes


@pytest.fixture(scope="module")
def types():
    with KernelTypes() as types:
        yield types


@pytest.mark.parametrize(
    ("struct", "member", "offset"),
    [
        # What goes over the wire, and what has always been so.
        ("list_head", "next", 0),
        ("list_head", "prev", 8),
        ("iphdr", "protocol", 9),  # after bit fields
        ("iphdr", "saddr", 12),  # in an anonymous structure, since Linux 5.16
        ("iphdr", "daddr", 16),
        ("tcphdr", "window", 14),
        ("kernel_siginfo", "si_code", 8),  # in an anonymous structure
        ("sigaction", "sa_handler", 0),
        ("k_sigaction", "sa", 0),
        ("itimerspec64", "it_value", 16),
    ],
)
def test_offsets(types, struct, member, offset):
    assert types.offset(struct, member) == offset


def test_a_member_of_a_member(types):
    assert types.offset("itimerspec64", "it_value", "timespec64", "tv_nsec") == 24
    pending = types.offset("task_struct", "pending")
    assert types.offset("task_struct", "pending", "sigpending", "list", "list_head", "prev") == (
        pending + types.offset("sigpending", "list") + 8
    )


@pytest.mark.parametrize(
    ("where", "missing"),
    [
        (("itimerspec64", "it_value", "timespec64", "nonsense"), "timespec64 has no nonsense"),
        (("itimerspec64", "it_value", "nonsense", "tv_sec"), "struct nonsense has no tv_sec"),
        (("itimerspec64", "nonsense", "timespec64", "tv_sec"), "itimerspec64 has no nonsense"),
    ],
)
def test_no_such_member_of_a_member(types, where, missing):
    with pytest.raises(LookupError, match=missing):
        types.offset(*where)


def test_a_task(types):
    # pid_t pid; pid_t tgid; one after the other.
    assert types.offset("task_struct", "tgid") == types.offset("task_struct", "pid") + 4
    assert 0 < types.offset("task_struct", "tgid") < types.size("task_struct")


@pytest.mark.parametrize(("struct", "size"), [("list_head", 16), ("iphdr", 20), ("tcphdr", 20)])
def test_sizes(types, struct, size):
    assert types.size(struct) == size


def test_all_that_the_probes_need(types):
    for where in offsets.OFFSETS.values():
        # An array of any length is at the end.
        assert 0 <= types.offset(*where) <= types.size(where[0])
    # struct k_sigaction holds a handler, flags, a restorer and 64 bits of a mask.
    assert types.size("k_sigaction") in (24, 32)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("task_newtask", (True, False)),
        ("sched_process_exec", (True, False, True)),
        ("signal_generate", (False, True, True, False, False)),
        ("signal_deliver", (False, True, True)),
        ("cgroup_mkdir", (True, True)),
    ],
)
def test_arguments_of_tracepoints(types, name, arguments):
    assert types.tracepoint_arguments(name) == arguments


def test_arguments_that_newer_kernels_have(types):
    # A task; of the newest kernels also whether it is the last of its process.
    assert types.tracepoint_arguments("sched_process_exit") in ((True,), (True, False))
    # An id; since Linux 6.9 a task and a user.
    assert types.tracepoint_arguments("mark_victim") in ((False,), (True, False))


@pytest.mark.parametrize(
    ("struct", "member"),
    [("task_struct", "nonsense"), ("nonsense", "tgid"), ("", ""), ("task_struct", ""),
     ("pid_t", "tgid")],
)  # fmt: skip
def test_no_such_member(types, struct, member):
    with pytest.raises(LookupError, match=f"struct {struct} has no {member}"):
        types.offset(struct, member)


def test_no_such_structure(types):
    with pytest.raises(LookupError, match="no struct nonsense"):
        types.size("nonsense")


def test_no_such_tracepoint(types):
    with pytest.raises(LookupError, match="no tracepoint nonsense"):
        types.tracepoint_arguments("nonsense")
