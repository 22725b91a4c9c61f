# SPDX-License-Identifier: Apache-2.0
"""Names of signals, errors and processes, as programs and people write them."""

from __future__ import annotations

import errno
import functools
import re
import signal

# glibc keeps the first two real-time signals, 32 and 33, for itself.
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


# The first name of a number is the one above; the others (IOT, CLD, POLL) are aliases.
_BY_NAME = {
    name.removeprefix("SIG"): int(number) for name, number in signal.Signals.__members__.items()
}
_REAL_TIME = re.compile(r"RT(?:MIN\+|MAX-)([0-9]{1,2})")


def parse_signal(text: str) -> int:
    """The number of a signal that a person names: 9, KILL, sigkill, IOT, 35, RTMIN+1, RTMAX-29.

    Raises ValueError that says what was expected, and the text as it is.
    """
    name = text.upper().removeprefix("SIG") if text.isascii() else ""
    if re.fullmatch(r"[0-9]{1,2}", text):
        number = int(text)
    elif found := _REAL_TIME.fullmatch(name):
        offset = int(found[1])
        number = SIGRTMIN + offset if name.startswith("RTMIN") else SIGRTMAX - offset
        number = number if SIGRTMIN <= number <= SIGRTMAX else 0
    else:
        number = _BY_NAME.get(name, 0)
    if not 1 <= number <= SIGRTMAX:
        raise ValueError(
            f"expected a signal, as a number from 1 to {SIGRTMAX} or as a name like KILL, SIGTERM "
            f"or RTMIN+1, got '{text}'"
        )
    return number


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
