# SPDX-License-Identifier: Apache-2.0
"""Records as the ring has them."""

from pidinfod.kernel.records import BLAME, DEATH, EVENT_DEATH, ORIGIN

SECOND = 1_000_000_000


def death(
    pid=4211, comm=b"victim", start_ns=100 * SECOND, end_ns=171 * SECOND, cgroup_id=0, ppid=4201,
    parent_comm=b"parent", uid=1009, group=7, status=0, is_oom=0, signal=0, origin="user",
    sender=0, sender_comm=b"", sender_uid=0, before_ns=0, term_before_ns=None,
):  # fmt: skip
    """A death. `origin` is a name or a number; times before the death are in nanoseconds."""
    blame = BLAME.pack(
        time_ns=end_ns - before_ns if signal else 0,
        signal=signal,
        origin=ORIGIN.number(origin) if isinstance(origin, str) else origin,
        sender=sender,
        sender_uid=sender_uid,
        sender_comm=sender_comm,
    )
    return DEATH.pack(
        type=EVENT_DEATH, pid=pid, comm=comm, start_ns=start_ns, end_ns=end_ns,
        cgroup_id=cgroup_id, ppid=ppid, parent_comm=parent_comm, uid=uid, group=group,
        status=status, is_oom_victim=is_oom, blame=blame,
        term_ns=0 if term_before_ns is None else end_ns - term_before_ns,
    )  # fmt: skip
