# SPDX-License-Identifier: Apache-2.0
"""The daemon: listen, load, give up rights, serve until told to stop."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector

from pidinfod.deaths.ledger import Ledger
from pidinfod.groups import cgroups
from pidinfod.groups.placement import MISSES, Placer
from pidinfod.groups.rules import Rules
from pidinfod.groups.table import GroupTable
from pidinfod.kernel import handoff, libbpf
from pidinfod.kernel.events import Reader
from pidinfod.kernel.handoff import Loaded, Probe
from pidinfod.kernel.records import EVENT_CGROUP, EVENT_DEATH, EVENT_PLACEMENT
from pidinfod.metrics import program
from pidinfod.metrics.exposition import Collector
from pidinfod.metrics.families import FAMILIES
from pidinfod.metrics.per_pid import Wanted
from pidinfod.metrics.snapshot import Snapshot, Source
from pidinfod.proc.mounts import cgroup_mount
from pidinfod.proc.procfs import PF_KTHREAD, parse_stat
from pidinfod.service.capabilities import CAP_SYS_PTRACE, drop_as_far_as
from pidinfod.service.config import Config
from pidinfod.service.http import LANES, Application, Deaths, members
from pidinfod.service.notify import notify
from pidinfod.service.server import Server
from pidinfod.service.sockets import ListenError, UnixSocket, tcp

log = logging.getLogger("pidinfod")

EXIT_OK, EXIT_FAILED = 0, 1
# An emulated host compiles the probes in some ten seconds, one whose kernel checks itself in a
# minute or two.
LOAD_SECONDS = 180.0
# The inode of the first PID namespace: include/linux/proc_ns.h, PROC_PID_INIT_INO
FIRST_PID_NAMESPACE = 0xEFFFFFFC


def request(config: Config) -> dict[str, Any]:
    """What the loader is asked for."""
    return program.request(
        config.groups,
        config.max_groups,
        libbpf.possible_cpus(),
        config.map_sizes,
        config.kill_failures,
    )


def wanted_pids(config: Config) -> Wanted:
    """The processes that have series of their own."""
    groups = frozenset(group.name for group in config.groups if group.per_pid)
    return Wanted(groups, **config.per_pid)


def load(config: Config) -> Loaded:
    """The probes, or none and why, said loudly."""
    try:
        loaded = handoff.load(request(config), LOAD_SECONDS)
    except (handoff.LoadError, OSError) as error:
        return without_probes(str(error))
    for probe in loaded.probes:
        if not probe.attached:
            log.warning("%s not attached: %s", probe.name, probe.reason)
    for remark in loaded.remarks:
        log.info("%s", remark)
    return loaded


def without_probes(reason: str) -> Loaded:
    """The /proc-only mode."""
    log.warning("NO PROBES: %s", reason)
    missing = ", ".join(family.metric for family in FAMILIES)
    log.warning("only process counts are served; missing: %s", missing)
    return Loaded({}, (Probe("all", False, reason, "all"),))


def is_in_first_namespace() -> bool:
    """Whether this process is in the first PID namespace: there alone getpgid(2) and
    get_pid_info(2) know processes by the PIDs that the probes see."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == FIRST_PID_NAMESPACE
    except OSError:
        return False


def is_of_first_namespace(proc: Path) -> bool:
    """Whether the PIDs of a /proc are those that the probes see. Under hidepid that takes
    CAP_SYS_PTRACE, or it is told of our own namespace, if that /proc has us."""
    try:
        # kthreadd: the first namespace alone has kernel threads. /proc/1/ns takes rights.
        _, _, fields = parse_stat((proc / "2/stat").read_bytes())
        return bool(int(fields[6]) & PF_KTHREAD)
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.stat(proc / "self/ns/pid").st_ino == FIRST_PID_NAMESPACE
    except OSError:
        return True


def give_up_rights(rules: Rules, loaded: Loaded) -> None:
    """Keep no capability but what the rules need, and what reading a map turns out to need."""

    def read_a_map() -> None:
        if loaded.maps:
            libbpf.lookup(loaded.maps["settings"], bytes(4))

    # Where /proc/PID/exe points is told to who may trace the process.
    keep = {CAP_SYS_PTRACE} if "exe" in rules.needs else set()
    try:
        kept = drop_as_far_as(read_a_map, keep)
    except OSError as error:
        log.warning("could not give up capabilities: %s", error)
        return
    if kept - keep:
        log.info("this kernel lets maps be read with CAP_BPF alone: it is kept")


class Health:
    """What is wrong with the daemon, if anything is."""

    def __init__(self) -> None:
        self._failed: frozenset[str] = frozenset()
        self.reader: Reader | None = None

    def note(self, snapshot: Snapshot) -> None:
        """The last snapshot."""
        self._failed = snapshot.failed

    def ailments(self) -> list[str]:
        """One line each."""
        lines = [f"could not be read: {part}" for part in sorted(self._failed)]
        if self.reader and not self.reader.is_alive():
            lines.append("the reader of the ring has ended")
        return lines


def follow(config: Config, loaded: Loaded, rules: Rules, source: Source, misses: Counter[str],
           knows_pids: bool) -> tuple[Ledger, Reader]:  # fmt: skip
    """Have the records of the ring taken, and the processes placed that there are, if /proc
    knows them by the PIDs that the probes see."""
    paths = cgroups.Paths(cgroup_mount(config.procfs / "self/mountinfo"))
    paths.walk()
    table = GroupTable(loaded)
    proc = config.procfs if knows_pids else None
    placer = Placer(rules, loaded, proc, misses, source.sweeper.note_use)
    if knows_pids:
        try:
            placer.place_running()
        except OSError as error:
            log.error("processes that run already are placed by their names alone: %s", error)
    else:
        log.warning(
            "%s is of a PID namespace of its own, and the probes count the PIDs of the first one: "
            "processes are placed by their names alone, and their numbers are other ones; "
            "mount the host's /proc and name it in the configuration (procfs)", config.procfs,
        )  # fmt: skip
    assert loaded.ring_fd is not None

    def drain() -> None:
        reader.drain()

    ledger = Ledger(config.deaths, table.name_of, paths.get, drain)
    handlers: dict[int, Callable[[bytes], object]] = {
        EVENT_DEATH: ledger.add,
        EVENT_PLACEMENT: placer.on_event,
        EVENT_CGROUP: paths.add,
    }
    reader = Reader(loaded.ring_fd, handlers)
    source.follow(table, ledger, placer, reader, knows_pids, is_in_first_namespace())
    return ledger, reader


def listen(config: Config) -> list[socket.socket]:
    """The sockets, before seconds are spent on the probes. Raises ListenError.

    Who connects meanwhile waits in the backlog.
    """
    sockets: list[socket.socket] = [tcp(*config.listen)]
    try:
        sockets.append(UnixSocket(config.socket))
    except OSError as error:
        log.warning("no socket for the command, %s: %s", config.socket, error.strerror)
    except ListenError:
        sockets[0].close()
        raise
    return sockets


def run(config: Config, procfs_only: bool) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(
        signal.SIGHUP, lambda *_: log.warning("SIGHUP: the configuration is read at the start only")
    )
    try:
        sockets = listen(config)
    except ListenError as error:
        log.error("%s", error)
        return EXIT_FAILED

    notify("STATUS=loading the probes")
    loaded = without_probes("--procfs-only was given") if procfs_only else load(config)
    misses = Counter(dict.fromkeys(MISSES, 0))
    rules = Rules(config.groups, lambda: misses.update(["slow"]))
    knows_pids = is_of_first_namespace(config.procfs)
    give_up_rights(rules, loaded)

    source = Source(
        loaded, rules, config.procfs, config.group_ttl, config.max_groups, config.shown_groups,
        wanted_pids(config),
    )  # fmt: skip
    if not source.has_pid_info and loaded.maps:
        log.info("the kernel has not the calls get_pid_info, ft_fork, ft_kill and ft_wait")
    health = Health()
    ledger, reader = None, None
    if loaded.maps:
        ledger, reader = follow(config, loaded, rules, source, misses, knows_pids)
        reader.start()
        health.reader = reader
    registry = CollectorRegistry()
    registry.register(Collector(source, health.note))
    ProcessCollector(registry=registry)
    deaths = Deaths(ledger, config.deaths_over_http, members())
    app = Application(registry, deaths, health.ailments, keep_seconds=config.share_seconds)
    server = Server(sockets, app, LANES, app.lane_of)
    server.start()

    # What is there now stays; the rest of start-up goes back to the kernel.
    gc.collect()
    gc.freeze()
    ctypes.CDLL(None).malloc_trim(0)

    host = f"[{config.listen[0]}]" if ":" in config.listen[0] else config.listen[0]
    port = sockets[0].getsockname()[1]
    attached = sum(probe.attached for probe in loaded.probes)
    status = f"serving http://{host}:{port}/metrics, {attached} probes attached"
    log.info("%s", status)
    notify("READY=1", f"STATUS={status}")
    # A group's id is given back up to an eighth of its time too late.
    while not stop.wait(max(0.25, min(config.group_ttl / 8, 30))):
        source.tidy()
    notify("STOPPING=1")
    server.stop()
    if reader:
        reader.stop()
    return EXIT_OK
