# SPDX-License-Identifier: Apache-2.0
"""Signals as they are generated and delivered, and the time in between."""

from __future__ import annotations

from pidinfod.kernel.layout import Enum
from pidinfod.kernel.names import signal_name
from pidinfod.kernel.records import ORIGIN
from pidinfod.metrics.schema import Counter, Histogram, group, named, number

# include/trace/events/signal.h: TRACE_SIGNAL_*, in this order
RESULT = Enum(
    "signal_result", "RESULT",
    ("delivered", "ignored", "already_pending", "overflow_fail", "lose_info"),
)  # fmt: skip
DISPOSITION = Enum("disposition", "DISPOSITION", ("default", "ignored", "handled"))
CLASS = Enum("signal_class", "CLASS", ("standard", "realtime"))
# unseen: delivered, but its generation was not seen, or forgotten. group_exit: the SIGKILL by
# which the kernel ends the other threads of a process. undelivered: generated, then taken by
# sigwait(2) or signalfd(2), or flushed.
UNMATCHED = Enum("unmatched", "UNMATCHED", ("unseen", "group_exit", "undelivered"))

# Powers of two from a microsecond to half a minute.
SLOTS = range(9, 35)

SIGNAL = number("signal", "u8", 64, signal_name)

GENERATED = Counter(
    "signals_generated",
    "Signals generated, by the kernel's own account of the result. Sender and target are groups; "
    "the sender of what no process sent is the kernel.",
    (SIGNAL, named(ORIGIN, "origin"), named(RESULT, "result"), group("sender"), group("target")),
    lambda groups: 16 * groups, ("signal_generate",), event="signal_generated",
)  # fmt: skip
DELIVERED = Counter(
    "signals_delivered",
    "Signals that a task took; one that kills is taken as SIGKILL. The target is a group.",
    (SIGNAL, named(DISPOSITION, "disposition"), group("target")),
    lambda groups: 8 * groups, ("signal_deliver",), event="signal_delivered",
)  # fmt: skip
DELIVERY = Histogram(
    "signal_delivery_seconds", "From generation to delivery.", (named(CLASS, "class", "kind"),),
    lambda _: 64, ("signal_generate", "signal_deliver"), slots=SLOTS,
)  # fmt: skip
DELIVERY_UNMATCHED = Counter(
    "signal_delivery_unmatched", "Generations without a delivery, or the other way round.",
    (named(CLASS, "class", "kind"), named(UNMATCHED, "reason")), lambda _: 16,
    ("signal_generate", "signal_deliver"),
    start=tuple((name, reason) for name in CLASS.names for reason in UNMATCHED.names),
)  # fmt: skip

ENUMS = (RESULT, DISPOSITION, CLASS, UNMATCHED)
FAMILIES = (GENERATED, DELIVERED, DELIVERY, DELIVERY_UNMATCHED)
