# SPDX-License-Identifier: Apache-2.0
"""The dashboard "pidinfod: host overview", as code. Prints its JSON."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard, prometheus, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
HOST = 'instance=~"$instance"'
FULL, HALF = 24, 12


def query(expression: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).datasource(SOURCE)


def graph(
    title: str, description: str, unit: str, *queries: tuple[str, str]
) -> timeseries.Panel:
    """A panel of lines; each query is an expression and its legend."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .min(0)
        .datasource(SOURCE)
        .height(8)
        .span(HALF)
    )
    for number, (expression, legend) in enumerate(queries):
        panel = panel.with_target(query(expression, legend).ref_id(chr(ord("A") + number)))
    return panel


def rate(metric: str, by: str, matchers: str = "") -> str:
    selector = f"{HOST}, {matchers}" if matchers else HOST
    return f"sum by ({by}) (rate(pidinfod_{metric}{{{selector}}}[$__rate_interval]))"


def not_shown(event: str, family: str) -> tuple[str, str]:
    """What groups without series of their own count of an event."""
    seen = rate("events_seen_total", "job", f'event="{event}"')
    return f"clamp_min({seen} - {rate(family, 'job')}, 0)", "groups not shown"


def quantiles(histogram: str, by: str) -> tuple[tuple[str, str], ...]:
    """Median and 99th percentile of a histogram, by a label."""
    buckets = rate(f"{histogram}_bucket", f"{by}, le")
    return (
        (f"histogram_quantile(0.5, {buckets})", f"{{{{{by}}}}} median"),
        (f"histogram_quantile(0.99, {buckets})", f"{{{{{by}}}}} 99 %"),
    )


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
        graph(
            "Signals sent by processes", "Who signals whom: sender and target group.", "ops",
            (rate("signals_generated_total", "sender, target", 'origin="user"'),
             "{{sender}} to {{target}}"),
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
        graph(
            "Killed", "Processes ended by a signal or the OOM killer, by group. `pidinfod deaths` "
            "on the host tells who did it.", "ops",
            (rate("exits_total", "group, status", 'reason!="exited"'), "{{group}} {{status}}"),
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
    board = (
        dashboard.Dashboard("pidinfod: host overview")
        .uid("pidinfod-host")
        .description("Processes, signals, forks and exits of a host.")
        .tags(["pidinfod"])
        .refresh("15s")
        .time("now-30m", "now")
        .with_variable(
            dashboard.DatasourceVariable("source").label("Data source").type("prometheus")
        )
        .with_variable(
            dashboard.QueryVariable("instance")
            .label("Host")
            .datasource(SOURCE)
            .query("label_values(pidinfod_build_info, instance)")
            .include_all(True)
            .all_value(".*")
            .multi(True)
        )
    )
    for panel in panels:
        board = board.with_panel(panel)
    return board


if __name__ == "__main__":
    print(JSONEncoder(sort_keys=True, indent=2).encode(build().build()))
