# SPDX-License-Identifier: Apache-2.0
"""The daemon: load, give up rights, listen, serve until told to stop."""

from __future__ import annotations

import ctypes
import gc
import logging
import signal
import threading

from prometheus_client import CollectorRegistry

from pidinfod.deaths.ledger import Ledger
from pidinfod.groups import cgroups
from pidinfod.groups.placement import Placer
from pidinfod.groups.rules import Rules
from pidinfod.kernel import events, handoff, pid_info
from pidinfod.kernel.handoff import Loaded, Probe
from pidinfod.metrics.collectors import Collector
from pidinfod.metrics.snapshot import Sources, group_names
from pidinfod.service.capabilities import CAP_SYS_PTRACE, keep_only
from pidinfod.service.config import Config
from pidinfod.service.http import Server, UnixServer
from pidinfod.service.notify import notify

log = logging.getLogger("pidinfod")

EXIT_OK, EXIT_FAILED = 0, 1
# An emulated host compiles the probes in some ten seconds.
LOAD_SECONDS = 90.0

MISSING = (
    "ft_calls_total", "signals_generated_total", "signals_delivered_total", "forks_total",
    "execs_total", "exits_total",
)  # fmt: skip


def settings(config: Config) -> dict[str, object]:
    """What the loader needs to know of the configuration."""
    return {
        "max_groups": config.max_groups,
        # The kernel goes by names alone; more than that is for the placer.
        "groups": [
            {"comm": group.comm if group.is_by_comm else (), "children": group.children}
            for group in config.groups
        ],
        "refined_from": Rules(config.groups).refined_from,
        "map_sizes": dict(config.map_sizes),
        "kill_failures": config.kill_failures,
    }


def load(config: Config) -> Loaded:
    """The probes, or none and why, said loudly."""
    try:
        loaded = handoff.load(settings(config), LOAD_SECONDS)
    except handoff.LoadError as error:
        return without_probes(str(error))
    for probe in loaded.probes:
        if not probe.attached:
            log.warning("%s not attached: %s", probe.name, probe.reason)
    return loaded


def without_probes(reason: str) -> Loaded:
    """The /proc-only mode."""
    log.warning("NO PROBES: %s", reason)
    log.warning("only process counts are served; missing: %s", ", ".join(MISSING))
    return Loaded({}, (Probe("all", False, reason, MISSING),))


def run(config: Config, procfs_only: bool) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    notify("STATUS=loading the probes")
    loaded = without_probes("--procfs-only was given") if procfs_only else load(config)
    try:
        keep_only(CAP_SYS_PTRACE)
    except OSError as error:
        log.warning("could not give up capabilities: %s", error)

    ledger, placer, reader = None, None, None
    if loaded.ring_fd is not None:
        paths = cgroups.Paths(cgroups.mount_point())
        paths.walk()
        placer = Placer(Rules(config.groups), loaded, config.procfs)
        placer.place_running()
        ledger = Ledger(config.deaths, lambda: group_names(config, loaded), paths.get)
        takers = {
            events.DEATH: ledger.add, events.PLACEMENT: placer.add, events.CGROUP: paths.add,
        }  # fmt: skip
        reader = events.Reader(loaded.ring_fd, takers)
        ledger.catch_up = reader.drain
        reader.start()
    registry = CollectorRegistry()
    sources = Sources(config, loaded, pid_info.is_supported(), ledger, placer)
    registry.register(Collector(sources))
    host, port = config.listen
    try:
        servers: list[Server | UnixServer] = [Server((host, port), registry, ledger)]
        port = servers[0].server_port
    except OSError as error:
        log.error("cannot listen on %s:%d: %s", host, port, error.strerror)
        return EXIT_FAILED
    try:
        servers.append(UnixServer(config.socket, registry, ledger))
    except OSError as error:
        log.warning("no socket for the command, %s: %s", config.socket, error.strerror)

    # What is there now stays; the rest of start-up goes back to the kernel.
    gc.collect()
    gc.freeze()
    ctypes.CDLL(None).malloc_trim(0)

    attached = sum(probe.attached for probe in loaded.probes)
    status = f"serving http://{host}:{port}/metrics, {attached} probes attached"
    log.info("%s", status)
    notify("READY=1", f"STATUS={status}")
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    stop.wait()
    notify("STOPPING=1")
    for server in servers:
        server.shutdown()
        server.server_close()
    if reader:
        reader.stop()
    return EXIT_OK
