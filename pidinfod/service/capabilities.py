# SPDX-License-Identifier: Apache-2.0
"""Giving up rights: capabilities(7) by the C library.

Rights are those of a thread: give them up before others are started.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Collection

# include/uapi/linux/capability.h, prctl.h
CAP_SYS_PTRACE, CAP_BPF = 19, 39
_CAP_SETPCAP = 8
_VERSION_3 = 0x20080522
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 23, 24, 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")
    )


_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _permitted() -> frozenset[int]:
    data = (_Data * 2)()
    _check(_libc.capget(ctypes.byref(_Header(_VERSION_3, 0)), data), "capget")
    return frozenset(bit for bit in range(64) if data[bit // 32].permitted >> bit % 32 & 1)


def _set(effective: Collection[int], permitted: Collection[int]) -> None:
    data = (_Data * 2)()
    for bit in effective:
        data[bit // 32].effective |= 1 << bit % 32
    for bit in permitted:
        data[bit // 32].permitted |= 1 << bit % 32
    _check(_libc.capset(ctypes.byref(_Header(_VERSION_3, 0)), data), "capset")


def drop(keep: Collection[int]) -> frozenset[int]:
    """Drop every capability but some, for good. What is left: those of `keep` that there were.

    Raises OSError.
    """
    permitted = _permitted()
    kept = permitted.intersection(keep)
    if _CAP_SETPCAP in permitted:
        _set({_CAP_SETPCAP}, permitted)
        capability = 0
        while _libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
            if capability not in kept:
                _check(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0), "PR_CAPBSET_DROP")
            capability += 1
    ambient = _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _check(ambient, "PR_CAP_AMBIENT")
    _set(kept, kept)
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    return kept


def drop_as_far_as(trial: Callable[[], None], keep: Collection[int]) -> frozenset[int]:
    """Drop every capability but some, and CAP_BPF as well if `trial` works without it.

    Before Linux 5.19 the descriptor of a map is of no use without CAP_BPF where
    kernel.unprivileged_bpf_disabled is set: no version says it, so it is tried. `trial` raises
    PermissionError when it lacks rights; what else it raises, no right would mend.

    What is left, as `drop` tells it. Raises OSError.
    """
    permitted = _permitted()
    _set(permitted.intersection(keep), permitted)
    try:
        trial()
    except PermissionError:
        keep = {*keep, CAP_BPF}
    except OSError:
        pass
    return drop(keep)
