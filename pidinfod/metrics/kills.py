# SPDX-License-Identifier: Apache-2.0
"""The kernel's own calls that send signals: attempts that failed, and those with signal 0."""

from __future__ import annotations

from pidinfod.kernel.layout import Enum
from pidinfod.kernel.names import error_name
from pidinfod.metrics.ft_calls import RESULT
from pidinfod.metrics.schema import Counter, group, named, number

CALL = Enum(
    "kill_call", "CALL",
    ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
     "ft_kill"),
)  # fmt: skip

KILL_FAILURES = Counter(
    "kill_failures", "Calls that could not send a signal. The sender is a group.",
    (named(CALL, "call"), number("errno", "u16", 64, error_name), group("sender")),
    lambda groups: 4 * groups, ("kill_calls", "ft_calls"),
)  # fmt: skip
LIVENESS_PROBES = Counter(
    "liveness_probes",
    "Calls with signal 0, which asks whether somebody is there. The sender is a group.",
    (named(CALL, "call"), RESULT, group("sender")), lambda groups: 4 * groups,
    ("kill_calls", "ft_calls"),
)  # fmt: skip

ENUMS = (CALL,)
FAMILIES = (KILL_FAILURES, LIVENESS_PROBES)
