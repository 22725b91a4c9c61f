# SPDX-License-Identifier: Apache-2.0
"""One group that the kernel cannot tell costs itself, whatever the error; the call is made up."""

import errno

import pytest

from pidinfod.kernel import pid_info
from pidinfod.kernel.records import USE_FIELDS


@pytest.fixture
def kernel(monkeypatch):
    """Errors by group: a call that asks for one of these fails with it."""
    errors = {}

    def call(pid, info, flags=0):
        for bit, number in errors.items():
            if bit == 0 or info.mask & bit:
                raise OSError(number, "made up")
        info.pid = info.tgid = pid
        info.uid, info.nice, info.comm = 1009, 7, b"odd\xff"

    monkeypatch.setattr(pid_info, "call", call)
    pid_info.is_supported.cache_clear()
    yield errors
    pid_info.is_supported.cache_clear()


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.ENOENT, errno.ENOMEM, errno.EIO])
@pytest.mark.parametrize(
    "bits", [(bit,) for bit in pid_info.GROUPS] + [(pid_info.ROOT, pid_info.CWD)]
)
def test_a_failing_group_costs_itself(kernel, bits, number):
    whole = pid_info.read(4211)
    kernel.update(dict.fromkeys(bits, number))
    told = pid_info.read(4211)
    lost = {name for bit in bits for name in pid_info.GROUPS[bit]}
    for name in pid_info.FIELD_NAMES:
        assert getattr(told, name) == (None if name in lost else getattr(whole, name)), name


def test_an_error_of_the_whole_call_is_told(kernel):
    kernel[0] = errno.ENOMEM
    with pytest.raises(OSError, match="made up"):
        pid_info.read(4211)


def test_no_process(kernel):
    kernel[0] = errno.ESRCH
    with pytest.raises(ProcessLookupError):
        pid_info.read(4211)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EACCES])
def test_a_call_that_is_refused_is_not_there(kernel, number):
    assert pid_info.is_supported()
    pid_info.is_supported.cache_clear()
    kernel[0] = number
    assert not pid_info.is_supported()


class Processes:
    """In the place of the call: fields by group of each process, and only those asked for."""

    def __init__(self, monkeypatch):
        self.found = {}
        monkeypatch.setattr(pid_info, "call", self._call)

    def add(self, pid, ppid=1, state="S", groups=pid_info.ALL, **fields):
        self.found[pid] = groups, {"ppid": ppid, "state": ord(state), **fields}

    def _call(self, pid, info, flags=0):
        assert flags == pid_info.NEXT
        number = min((one for one in self.found if one >= pid), default=None)
        if number is None:
            raise ProcessLookupError(errno.ESRCH, "made up")
        groups, fields = self.found[number]
        info.mask &= groups
        info.pid = info.tgid = number
        hidden = {name for bit, names in pid_info.GROUPS.items() if not info.mask & bit
                  for name in names}  # fmt: skip
        for name, value in fields.items():
            if name not in hidden:
                setattr(info, name, value)


@pytest.fixture
def processes(monkeypatch):
    return Processes(monkeypatch)


def told(use):
    return {name: value for name, value in zip(USE_FIELDS, use, strict=True) if value}


def test_a_sweep(processes):
    processes.add(
        7, ppid=5, state="R", comm=b"odd\xff", num_threads=3, start_ns=11, utime_ns=13, stime_ns=17,
        nvcsw=19, nivcsw=23, min_flt=29, maj_flt=31, rss=37, vsize=41, rchar=43, wchar=47,
        read_bytes=53, write_bytes=59, sig_pending=1, sig_shared_pending=6, sig_blocked=8,
        sigq_len=61, sigq_limit=67,
    )  # fmt: skip
    processes.add(2, ppid=0)
    processes.add(23, ppid=2)
    kthreadd, ours, kworker = pid_info.sweep()
    assert ours == (
        7, 5, "R", "odd\\xff", 3, 11, False, 7, 8, 61, 67, ours.use, 37, 41, 0,
    )  # fmt: skip
    assert told(ours.use) == {
        "cpu_ns": 30, "utime_ns": 13, "stime_ns": 17, "nvcsw": 19, "nivcsw": 23, "min_flt": 29,
        "maj_flt": 31, "rchar": 43, "wchar": 47, "read_bytes": 53, "write_bytes": 59,
    }  # fmt: skip
    assert [(one.pid, one.is_kernel) for one in (kthreadd, kworker)] == [(2, True), (23, True)]
    assert told(kthreadd.use) == {}


def test_what_a_sweep_does_not_tell(processes):
    """It says so, or it is there; context switches are those of one thread."""
    every = {name: 7 for names in pid_info.GROUPS.values() for name in names
             if name not in ("root", "cwd", "children")}  # fmt: skip
    processes.add(7, **every)
    (found,) = pid_info.sweep()
    assert {*USE_FIELDS} - told(found.use).keys() == {"run_delay_ns"}
    assert pid_info.ABSENT & {*USE_FIELDS} == {"run_delay_ns", "nvcsw", "nivcsw"}
    without = {name for name in ("resident_bytes", "virtual_bytes", "swap_bytes")
               if not getattr(found, name)}  # fmt: skip
    assert without == pid_info.ABSENT & without == {"swap_bytes"}


def test_one_that_the_kernel_tells_less_of(processes):
    processes.add(
        7, groups=pid_info.TIMES, utime_ns=13, rchar=43, rss=37, sig_pending=1, sigq_limit=67
    )
    (found,) = pid_info.sweep()
    assert found[7:11] == (None,) * 4
    assert told(found.use) == {"cpu_ns": 13, "utime_ns": 13}
    assert found.resident_bytes == 0


def test_a_sweep_that_fails(kernel):
    kernel[0] = errno.EPERM
    with pytest.raises(OSError, match="made up"):
        list(pid_info.sweep())


def test_names_that_are_no_utf8_stay_apart(kernel):
    assert pid_info.read(4211).comm == "odd\\xff"
