# SPDX-License-Identifier: Apache-2.0
"""The dashboard "pidinfod: one group", as code. Prints its JSON.

The variable is the group. The hosts are chosen as in the host overview, as groups of one name are
on many: what they have is added up.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import VariableRefresh, VariableSort
from panels import (
    EXITS,
    GROUP_BOARD,
    HOST,
    HOST_BOARD,
    SENT,
    SOURCE,
    bars,
    board,
    graph,
    happened,
    link,
    quantiles,
    rate,
    show,
)


def of_group(label: str = "group") -> str:
    # In single quotes: those are what Grafana escapes in a value.
    return f"{label}='$group'"


GROUP = of_group()


def gauge(metric: str, aggregation: str) -> str:
    return f"{aggregation} (pidinfod_{metric}{{{HOST}, {GROUP}}})"


def build() -> dashboard.Dashboard:
    """The dashboard; every query returns data of a declared group that does something."""
    panels = [
        graph(
            "Processes by state", "As in /proc/PID/stat: R running, S sleeping, D waiting for "
            "I/O, T stopped, Z zombie.", "short",
            (gauge("group_processes", "sum by (state)"), "{{state}}"),
        ),
        graph(
            "Threads by state", "A process whose main thread sleeps may be busy with others.",
            "short", (gauge("group_threads", "sum by (state)"), "{{state}}"),
        ),
        graph(
            "CPU", "Processors that the group keeps busy; threads that are ready to run and wait "
            "for one, on average.", "short",
            (rate("group_cpu_seconds_total", "mode", GROUP), "{{mode}}"),
            (rate("group_run_queue_seconds_total", "group", GROUP), "waiting"),
        ),
        graph(
            "Age", "Of the oldest process: it falls when that ends.", "s",
            (f"time() - {gauge('group_oldest_start_time_seconds', 'min')}", "oldest process"),
        ),
        graph(
            "Memory", "Pages that processes share count for each of them.", "bytes",
            (gauge("group_resident_bytes", "sum"), "resident"),
            (gauge("group_swap_bytes", "sum"), "swapped out"),
        ),
        graph(
            "Address space", "What the processes have mapped, whether they use it or not.",
            "bytes", (gauge("group_virtual_bytes", "sum"), "virtual"),
        ),
        graph(
            "Read and written by calls", "What calls such as read(2) and write(2) passed: files, "
            "sockets, pipes, terminals.", "Bps",
            (rate("group_io_bytes_total", "direction", GROUP), "{{direction}}"),
        ),
        graph(
            "Storage", "Bytes fetched from storage, and caused to be sent to it.", "Bps",
            (rate("group_storage_bytes_total", "direction", GROUP), "{{direction}}"),
        ),
        graph(
            "Descriptors", "Open in all processes.", "short",
            (gauge("group_descriptors", "sum"), "open"),
        ),
        graph(
            "Nearest to the limit of descriptors", "The process that is: at 100 % it can open "
            "nothing more.", "percentunit",
            (gauge("group_descriptors_limit_ratio", "max"), "open / limit"),
        ),
        graph(
            "Page faults", "Major ones wait for storage.", "ops",
            (rate("group_page_faults_total", "kind", GROUP), "{{kind}}"),
        ),
        graph(
            "Context switches", "Voluntary ones wait for something; the others are threads that "
            "had to make room.", "ops",
            (rate("group_context_switches_total", "kind", GROUP), "{{kind}}"),
        ),
        graph(
            "Forks and execs", "New tasks of the group's processes; programs that were started "
            "and are in the group.", "ops",
            (rate("forks_total", "kind, via", GROUP), "{{kind}} {{via}}"),
            (rate("execs_total", "group", GROUP), "exec"),
        ),
        bars(
            "Deaths", "Processes that ended, by how; each is counted once, the first of its kind "
            "too. `pidinfod deaths` on the host tells who did it.",
            (happened(EXITS, "reason, status", GROUP), "{{reason}} {{status}}"),
        ),
        graph(
            "Lifetimes and shutdowns", "From the fork to the exit, and from SIGTERM to the exit, "
            "of a declared group.", "s",
            *quantiles("process_lifetime_seconds", "group", GROUP, "lifetime"),
            *quantiles("shutdown_seconds", "group", GROUP, "shutdown"),
        ),
        graph(
            "Escalations", "Processes that SIGTERM did not end and SIGKILL did.", "ops",
            (rate("shutdown_escalations_total", "group", GROUP), "SIGKILL after SIGTERM"),
        ),
        graph(
            "Signals to the group", "By signal and result; a signal that was already pending or "
            "ignored was not delivered.", "ops",
            (rate("signals_generated_total", "signal, result", of_group("target")),
             "{{signal}} {{result}}"),
        ),
        graph(
            "Signals that it took", "By what they did; one that kills is taken as SIGKILL.", "ops",
            (rate("signals_delivered_total", "signal, disposition", of_group("target")),
             "{{signal}} {{disposition}}"),
        ),
        bars(
            "Who signals it", "Signals that processes sent, by the sender's group; each is "
            "counted once, the first of its kind too.",
            (happened(SENT, "sender, signal", of_group("target")), "{{signal}} by {{sender}}"),
        ),
        bars(
            "Whom it signals", "By the target's group.",
            (happened(SENT, "target, signal", of_group("sender")), "{{signal}} to {{target}}"),
        ),
        graph(
            "Signals pending and blocked", "Processes that have the signal pending, and whose "
            "main thread blocks it.", "short",
            (gauge("group_signals_pending", "sum by (signal)"), "{{signal}} pending"),
            (gauge("group_signals_blocked", "sum by (signal)"), "{{signal}} blocked"),
        ),
        graph(
            "Zombies", "The dead that the group's processes have not reaped.", "short",
            (f"sum(pidinfod_zombies{{{HOST}, {of_group('parent')}}})", "not reaped"),
        ),
    ]  # fmt: skip
    group = (
        dashboard.QueryVariable("group")
        .label("Group")
        .datasource(SOURCE)
        .query(f"label_values(pidinfod_group_processes{{{HOST}}}, group)")
        .sort(VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
        # Groups come and go: those of the time that is looked at.
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    return board(
        "pidinfod: one group", GROUP_BOARD,
        "What the processes of a group are, use, do and die of.", panels, group,
    ).link(link("The host", HOST_BOARD))  # fmt: skip


if __name__ == "__main__":
    show(build())
