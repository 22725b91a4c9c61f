# SPDX-License-Identifier: Apache-2.0
"""In a child, as what is given up is gone; /proc tells what is left. With any rights or none."""

import errno
import os

import pytest

from pidinfod.service.capabilities import CAP_BPF, CAP_SYS_PTRACE, drop, drop_as_far_as


def held(kind):
    """The capabilities of the calling thread by /proc: Eff, Prm, Inh, Bnd or Amb."""
    with open("/proc/thread-self/status") as file:
        bits = next(int(line.split()[1], 16) for line in file if line.startswith(f"Cap{kind}:"))
    return {bit for bit in range(64) if bits >> bit & 1}


OURS = held("Prm")


def in_child(test):
    """Run a test in a child."""
    pid = os.fork()
    if pid == 0:
        try:
            test()
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("keep", [set(), {CAP_SYS_PTRACE}, {CAP_SYS_PTRACE, CAP_BPF}, {63}])
def test_only_what_is_kept_is_left(keep):
    def test():
        left = drop(keep)
        assert left == OURS & keep
        assert held("Eff") == held("Prm") == left
        assert not held("Inh")
        assert not held("Amb")
        if 8 in OURS:  # CAP_SETPCAP
            assert held("Bnd") == left
        assert drop(keep) == left

    in_child(test)


def fails_with(number):
    def trial():
        raise OSError(number, os.strerror(number))

    return trial


def fails_without_bpf():
    if CAP_BPF not in held("Eff"):
        raise PermissionError(errno.EPERM, "bpf")


@pytest.mark.parametrize(
    ("trial", "keeps_bpf"),
    [
        (lambda: None, False),
        (fails_without_bpf, True),
        (fails_with(errno.EPERM), True),
        (fails_with(errno.EBADF), False),
    ],
)
@pytest.mark.parametrize("keep", [frozenset(), frozenset({CAP_SYS_PTRACE})])
def test_as_far_as_a_trial_shows(trial, keeps_bpf, keep):
    def test():
        asked = []

        def watched():
            asked.append((held("Eff"), held("Prm")))
            trial()

        left = drop_as_far_as(watched, keep)
        assert asked == [(OURS & keep, OURS)]
        assert left == OURS & (keep | {CAP_BPF} if keeps_bpf else keep)
        assert held("Eff") == held("Prm") == left
        if CAP_BPF in left:
            fails_without_bpf()

    in_child(test)
