# SPDX-License-Identifier: Apache-2.0
"""What this kernel allows: each probe, attached or why not, the metrics that it feeds, and the
kernel's memory for the maps."""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from typing import TextIO

from pidinfod.cli import status, text
from pidinfod.groups.rules import Rules
from pidinfod.kernel import handoff, libbpf, pid_info
from pidinfod.kernel.handoff import Loaded, Probe
from pidinfod.metrics import program
from pidinfod.metrics.exposition import declared_series
from pidinfod.metrics.families import FAMILIES
from pidinfod.metrics.snapshot import Source
from pidinfod.service import daemon
from pidinfod.service.config import Config

USER = "pidinfod"  # whom the package's service runs as
# What else the probes feed.
DEATHS = ("sched_process_exit", "signal_generate", "mark_victim", "cgroup_mkdir")


def fed_by(feeds: str) -> list[str]:
    """The metrics that a probe feeds."""
    names = [family.metric for family in FAMILIES if feeds in family.probes]
    names += ["group_*", "zombies"] if feeds == handoff.SWEEP else []
    return [*names, *(("deaths",) if feeds in DEATHS else ())]


def table(probes: Sequence[Probe]) -> list[str]:
    """One line per probe under a header; the reason of a missing one stands on a line below."""
    rows = [
        (
            probe.name,
            "attached" if probe.attached else "MISSING",
            ",".join(name.removeprefix("pidinfod_") for name in fed_by(probe.feeds)),
        )
        for probe in probes
    ]
    header, *told = text.columns([("PROBE", "STATE", "METRICS"), *rows])
    lines = [header]
    for probe, line in zip(probes, told, strict=True):
        lines.append(line)
        if not probe.attached:
            lines.append(f"    {text.printable(probe.reason)}")
    return lines


def remarks(loaded: Loaded, has_ft_calls: bool) -> list[str]:
    """What the table does not say."""
    lines = [text.printable(remark) for remark in loaded.remarks]
    if not has_ft_calls:
        lines.append("the kernel has not the calls get_pid_info, ft_fork, ft_kill and ft_wait")
    return lines


def sweep(config: Config, loaded: Loaded) -> list[str]:
    """How the processes are read of which metrics tell, and what cannot be told of them here."""
    source = Source(
        loaded, Rules(config.groups), config.procfs, config.group_ttl, config.max_groups,
        config.shown_groups,
    )  # fmt: skip
    by, why = source.sweeper.way
    lines = [
        f"Processes are swept by {by}" + (f", as: {text.printable(why)}" if why else ""),
        *hidden(config, by),
    ]
    if loaded.absent:
        lines.append(f"The kernel does not keep: {', '.join(sorted(loaded.absent))}")
    return lines


def hidden(config: Config, by: str) -> list[str]:
    """What get_pid_info keeps from the daemon by the setting of this PID namespace, and how to
    exempt it. `by` is what processes are swept by."""
    sysctl = config.procfs / "sys/kernel"
    try:
        hidepid = int((sysctl / "pid_info_hidepid").read_text())
        exempt = int((sysctl / "pid_info_gid").read_text())
    except OSError:
        return []  # a kernel without the call
    user, gid, groups = daemon_groups()
    # Whoever has a rule on exe keeps CAP_SYS_PTRACE, from which nothing is hidden.
    if not hidepid or exempt in groups or "exe" in Rules(config.groups).needs:
        return []
    if by == "get_pid_info":
        missing = "group_* and zombies lack them"
    else:
        missing = f"{by} tells of them; without it group_* and zombies would lack them"
    if exempt:
        mend = f"add the user {user} to the group {exempt}, which kernel.pid_info_gid exempts"
    else:
        mend = f"sysctl kernel.pid_info_gid={gid} exempts the group of the user {user}"
    return [
        f"kernel.pid_info_hidepid is {hidepid}: get_pid_info tells the daemon nothing of processes "
        f"of other users; {missing}",
        f"    {mend}",
    ]


def daemon_groups() -> tuple[str, int, set[int]]:
    """Whom the daemon runs as, his own group and all of his groups: the package's user, or who
    asks where there is none."""
    try:
        gid = pwd.getpwnam(USER).pw_gid
    except KeyError:
        gid = os.getegid()
        return str(os.geteuid()), gid, {gid, *os.getgroups()}
    return USER, gid, set(os.getgrouplist(USER, gid))


def memory(config: Config, used: int) -> str:
    """The kernel's memory for the maps, here and by the number of possible CPUs."""
    cpus = libbpf.possible_cpus()

    def megabytes(size: int) -> str:
        return f"{size / (1 << 20):.0f} MiB"

    estimates = ", ".join(
        f"{megabytes(program.memory_bytes(config.max_groups, count, config.map_sizes))} on {count}"
        for count in (2, 256)
    )
    return (
        f"Maps: {megabytes(used)} of the kernel's memory on {cpus} possible CPUs; "
        f"by their sizes {estimates}."
    )


def declared(config: Config, loaded: Loaded) -> list[str]:
    """What the declared groups cost, if there are any."""
    names = [group.name for group in config.groups]
    series = declared_series(loaded, names)
    return [f"{len(names)} declared groups: {series} series from the start"] if names else []


def main(config: Config, out: TextIO, err: TextIO) -> int:
    """Attach the probes, print the table and let go of them; status.FAILED if none attaches."""
    try:
        loaded = handoff.load(daemon.request(config), daemon.LOAD_SECONDS)
    except handoff.LoadError as error:
        text.complain(err, f"pidinfod: no probe can be loaded: {error}")
        missing = ", ".join(family.metric for family in FAMILIES)
        text.complain(err, f"pidinfod: missing: {missing}")
        return status.FAILED
    attached = sum(probe.attached for probe in loaded.probes)
    used = sum(libbpf.memory_bytes(handle) for handle in loaded.maps.values())
    lines = [
        *table(loaded.probes),
        f"{attached} of {len(loaded.probes)} probes attached",
        *remarks(loaded, pid_info.is_supported()),
        *sweep(config, loaded),
        memory(config, used),
        *declared(config, loaded),
    ]
    print("\n".join(lines), file=out)
    loaded.close()
    return status.OK if attached else status.FAILED
