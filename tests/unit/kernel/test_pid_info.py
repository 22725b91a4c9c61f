# SPDX-License-Identifier: Apache-2.0
"""One group that the kernel cannot tell costs itself, whatever the error; the call is made up."""

import errno

import pytest

from pidinfod.kernel import pid_info


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


def test_names_that_are_no_utf8_stay_apart(kernel):
    assert pid_info.read(4211).comm == "odd\\xff"
