# SPDX-License-Identifier: Apache-2.0
"""Names of signals and errors, as programs and people write them."""

from __future__ import annotations

import errno
import functools
import signal

# glibc keeps the first two real-time signals for itself.
SIGRTMIN, SIGRTMAX = 34, 64


@functools.cache
def signal_name(number: int) -> str:
    """SIGTERM, SIGRTMIN+3; the number where it has no name."""
    if SIGRTMIN <= number <= SIGRTMAX:
        return "SIGRTMIN" if number == SIGRTMIN else f"SIGRTMIN+{number - SIGRTMIN}"
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


@functools.lru_cache(maxsize=1024)
def signal_set(bits: int) -> tuple[str, ...]:
    """The names in a bit set, bit n-1 for signal n."""
    return tuple(signal_name(n) for n in range(1, 65) if bits >> (n - 1) & 1)


# Results that never leave the kernel as an errno, but are a call's result on the way.
_RESTART = {512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND"}


@functools.cache
def error_name(number: int) -> str:
    """ESRCH; the number where it has no name."""
    return errno.errorcode.get(number) or _RESTART.get(number) or str(number)
