# SPDX-License-Identifier: Apache-2.0
"""The dashboard "pidinfod: host overview", as code. Prints its JSON."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, table
from panels import (
    EXITS,
    GROUP_BOARD,
    HALF,
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
    query,
    rate,
    show,
)


def not_shown(event: str, family: str) -> tuple[str, str]:
    """What groups without series of their own count of an event."""
    seen = rate("events_seen_total", "job", f'event="{event}"')
    return f"clamp_min({seen} - {rate(family, 'job')}, 0)", "groups not shown"


def build() -> dashboard.Dashboard:
    """The dashboard; every query returns data on a patched host that does something."""
    attached = (
        table.Panel()
        .title("Probes")
        .description("1: attached. 0: not; pidinfod_probe_missing_info says why.")
        .datasource(SOURCE)
        .height(8)
        .span(HALF)
        .with_target(
            query(f"pidinfod_probe_attached{{{HOST}}}", "{{probe}}")
            .instant()
            .format("table")
            .ref_id("A")
        )
    )
    panels = [
        graph(
            "Processes by state", "As in /proc/PID/stat: R running, S sleeping, D waiting for "
            "I/O, Z zombie.", "short",
            (f"sum by (state) (pidinfod_group_processes{{{HOST}}})", "{{state}}"),
            (f'sum(pidinfod_hidden{{{HOST}, family="pidinfod_group_processes"}})',
             "groups not shown"),
        ),
        graph(
            "Largest groups", "Processes of the ten largest groups.", "short",
            (f"topk(10, sum by (group) (pidinfod_group_processes{{{HOST}}}))", "{{group}}"),
        ),
        graph(
            "CPU", "Processors that groups keep busy, while their processes were in them.", "short",
            (f"topk(10, {rate('group_cpu_seconds_total', 'group')})", "{{group}}"),
        ),
        graph(
            "Waiting for a CPU", "Threads that are ready to run and wait, on average.", "short",
            (f"topk(10, {rate('group_run_queue_seconds_total', 'group')})", "{{group}}"),
        ),
        graph(
            "Memory", "Resident; pages that processes share count for each of them.", "bytes",
            (f"topk(10, sum by (group) (pidinfod_group_resident_bytes{{{HOST}}}))", "{{group}}"),
        ),
        graph(
            "Descriptors", "Of the process that is nearest to its limit, by group: at 100 % it "
            "can open nothing more.", "percentunit",
            (f"topk(10, max by (group) (pidinfod_group_descriptors_limit_ratio{{{HOST}}}))",
             "{{group}}"),
        ),
        graph(
            "Storage", "Bytes from and to storage.", "Bps",
            (f"topk(10, {rate('group_storage_bytes_total', 'group, direction')})",
             "{{group}} {{direction}}"),
        ),
        graph(
            "Page faults and switches", "Major faults wait for storage; involuntary switches are "
            "threads that had to make room.", "ops",
            (rate("group_page_faults_total", "kind"), "fault: {{kind}}"),
            (rate("group_context_switches_total", "kind"), "switch: {{kind}}"),
        ),
        graph(
            "Forks", "New tasks by kind, and whether by fork or ft_fork.", "ops",
            (rate("forks_total", "kind, via"), "{{kind}} {{via}}"),
            not_shown("fork", "forks_total"),
        ),
        graph(
            "Execs and exits", "Programs started; processes ended, by how.", "ops",
            (rate("events_seen_total", "job", 'event="exec"'), "exec"),
            (rate("exits_total", "reason, status"), "exit: {{reason}} {{status}}"),
            not_shown("exit", "exits_total"),
        ),
        graph(
            "Signals generated", "By signal and result; a signal that was already pending or "
            "ignored was not delivered.", "ops",
            (rate("signals_generated_total", "signal, result"), "{{signal}} {{result}}"),
            not_shown("signal_generated", "signals_generated_total"),
        ),
        bars(
            "Signals sent by processes", "Who signals whom: sender and target group.",
            (happened(SENT, "sender, target"), "{{sender}} to {{target}}"),
        ),
        graph(
            "Signals waiting for delivery", "From generation to delivery; long ones were blocked "
            "or their target did not run.", "s", *quantiles("signal_delivery_seconds", "class"),
        ),
        graph(
            "Attempts that failed", "kill(2) and its kin that got an error, by error and sender; "
            "signal 0, which only asks, is not among them.", "ops",
            (rate("kill_failures_total", "errno, sender"), "{{sender}} {{errno}}"),
        ),
        bars(
            "Killed", "Processes ended by a signal or the OOM killer, by group. `pidinfod deaths` "
            "on the host tells who did it.",
            (happened(EXITS, "group, status", 'reason!="exited"'), "{{group}} {{status}}"),
        ),
        graph(
            "Shutdowns", "From SIGTERM to the exit, by declared group.", "s",
            *quantiles("shutdown_seconds", "group"),
        ),
        graph(
            "Escalations", "Processes that SIGTERM did not end and SIGKILL did, by group.", "ops",
            (rate("shutdown_escalations_total", "group"), "{{group}}"),
        ),
        graph(
            "Zombies", "The dead that their parent has not reaped, by its group.", "short",
            (f"sum by (parent) (pidinfod_zombies{{{HOST}}})", "{{parent}}"),
        ),
        graph(
            "Time to be reaped",
            "From the exit until the kernel forgets it, by the declared group of the parent.",
            "s", *quantiles("reap_delay_seconds", "parent"),
        ),
        graph(
            "Calls of the patched kernel", "get_pid_info and the ft_* calls, by result.", "ops",
            (rate("ft_calls_total", "syscall, result"), "{{syscall}} {{result}}"),
        ),
        graph(
            "Latency of the patched kernel's calls", "Median and 99th percentile.", "s",
            *quantiles("ft_call_duration_seconds", "syscall"),
        ),
        attached,
        graph(
            "Lost", "Events that were not counted, and details of those that were, such as their "
            "groups. What is above 0 for long wants a larger map.",
            "ops", (rate("dropped_total", "event"), "{{event}}"),
            (rate("degraded_total", "what"), "{{what}}"),
        ),
    ]  # fmt: skip
    return board(
        "pidinfod: host overview", HOST_BOARD, "Processes, signals, forks and exits of a host.",
        panels,
    ).link(link("One group", GROUP_BOARD))  # fmt: skip


if __name__ == "__main__":
    show(build())
