# SPDX-License-Identifier: Apache-2.0
"""Giving up rights: capabilities(7) by the C library."""

from __future__ import annotations

import ctypes
import os

# include/uapi/linux/capability.h, prctl.h
CAP_SYS_PTRACE = 19
_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
_CAP_SETPCAP = 8


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")
    )


def keep_only(keep: int) -> None:
    """Drop every capability but one, for good; that one stays if the process has it.

    Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int, what: str) -> None:
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"{what}: {os.strerror(error)}")

    header = _Header(_VERSION_3, 0)
    data = (_Data * 2)()
    check(libc.capget(ctypes.byref(header), data), "capget")
    if data[0].effective >> _CAP_SETPCAP & 1:
        with open("/proc/sys/kernel/cap_last_cap") as file:
            last = int(file.read())
        for capability in range(last + 1):
            if capability != keep:
                check(libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "PR_CAPBSET_DROP")
    check(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "PR_CAP_AMBIENT")
    kept = data[0].permitted & 1 << keep
    data[0].effective = data[0].permitted = kept
    data[1].effective = data[1].permitted = 0
    data[0].inheritable = data[1].inheritable = 0
    check(libc.capset(ctypes.byref(header), data), "capset")
    check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
