# SPDX-License-Identifier: Apache-2.0
"""The four system calls of the patched kernel."""

from __future__ import annotations

from pidinfod.kernel.layout import Enum
from pidinfod.kernel.names import error_name, signal_name
from pidinfod.metrics.schema import Counter, Histogram, named, number
from pidinfod.metrics.signals import SLOTS

CALL = Enum("ft_call", "FT", ("get_pid_info", "ft_fork", "ft_kill", "ft_wait"))
INVALID_SIGNAL = 255  # in the place of numbers that no signal has

RESULT = number("result", "u16", 64, lambda error: error_name(error) if error else "ok")


def _signal(number: int) -> str:
    return "invalid" if number == INVALID_SIGNAL else signal_name(number)


FT_CALLS = Counter(
    "ft_calls", "Calls of the patched kernel's system calls.", (named(CALL, "syscall"), RESULT),
    lambda _: 1024,
    ("ft_calls",), event="ft_call", start=tuple((name, "ok") for name in CALL.names),
)  # fmt: skip
FT_KILL_SIGNALS = Counter(
    "ft_kill_signals", "Calls of ft_kill, by the signal that was asked for.",
    (number("signal", "u8", 66, _signal), RESULT), lambda _: 1024, ("ft_calls",),
)  # fmt: skip
FT_CALL_DURATION = Histogram(
    "ft_call_duration_seconds", "Time in the call.", (named(CALL, "syscall"),), lambda _: 128,
    ("ft_calls",),
    slots=SLOTS,
)  # fmt: skip

CONSTANTS = {"INVALID_SIGNAL": INVALID_SIGNAL}
ENUMS = (CALL,)
FAMILIES = (FT_CALLS, FT_KILL_SIGNALS, FT_CALL_DURATION)
