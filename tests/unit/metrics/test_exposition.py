# SPDX-License-Identifier: Apache-2.0
"""The text that Prometheus reads, to the letter; and parts of it, by name."""

import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from prometheus_client import CollectorRegistry, generate_latest, make_wsgi_app

from pidinfod.groups.rules import Group, Rules
from pidinfod.kernel.handoff import Loaded, Probe
from pidinfod.kernel.libbpf import MapHandle, RunStats
from pidinfod.kernel.records import USE_FIELDS
from pidinfod.metrics import own, reference
from pidinfod.metrics.exposition import Collector, declared_series, families
from pidinfod.metrics.families import FAMILIES
from pidinfod.metrics.lives import EXECS, FORKS, SHUTDOWN
from pidinfod.metrics.per_pid import Process, Shown, Wanted
from pidinfod.metrics.processes import Figures, ProcessCounts
from pidinfod.metrics.schema import SUM_SLOT
from pidinfod.metrics.snapshot import Snapshot, Source
from pidinfod.metrics.use import NOTHING

LOADED = Loaded(
    {"forks": MapHandle("forks", -1, 8, 8, 4096, True)},
    (
        Probe("raw_tracepoint:task_newtask", True, "", "task_newtask"),
        Probe("kprobe:__x64_sys_kill", False, 'no "symbol"\n', "kill_calls"),
    ),
)
SNAPSHOT = Snapshot(
    counts={
        "forks": {
            ("process", "native", "web"): 211, ("thread", "native", 'a\\b"c\nd'): 3,
            ("process", "native", "cat"): 13,
        },
        "execs": {("web",): 0},
        # 5 in the first bucket, 2 in the third, 1 above all, 90061.5 seconds in all.
        "shutdown_seconds": {
            ("web", 0): 5, ("web", 2): 2, ("web", 14): 1, ("web", SUM_SLOT): 90_061_500_000_000,
        },
    },
    forgotten={"forks": 7},
    shown=frozenset({"kernel", "other", "web", "never", "bash", 'a\\b"c\nd'}),
    waiting=1,
    groups_recycled=2,
    seen={"fork": 216},
    dropped={("fork", "full"): 2, ("ft_call", "return_missed"): 0},
    degraded={"deaths": 13},
    entries={"forks": 17},
    run_stats={"raw_tracepoint:task_newtask": RunStats(run_ns=1_500_000, runs=1009, misses=1)},
    processes=ProcessCounts(
        {
            "web": Figures(
                processes=[0, 3, *[0] * 7], threads=[1, 5, *[0] * 7], resident_bytes=1 << 20,
                virtual_bytes=1 << 30, swap_bytes=4096, descriptors=211, descriptors_ratio=0.125,
                oldest_start_ns=61_500_000_000, queued=(3, 7919), unreaped=2,
            ),
            "bash": Figures(processes=[1, *[0] * 8], threads=[1, *[0] * 8], oldest_start_ns=10**9),
            "kernel": Figures(unreaped=1),
            "cat": Figures(
                processes=[0, 17, *[0] * 7], threads=[0, 19, *[0] * 7], resident_bytes=8192,
                descriptors=23, descriptors_ratio=0.25, oldest_start_ns=10**9,
            ),
        },
        pending=Counter({("bash", "SIGTERM"): 1}),
        blocked=Counter({("web", "SIGUSR1"): 2}),
    ),
    used={
        "web": (
            7_500_000_000, 5_000_000_000, 2_500_000_000, 1009, 3, 211, 13, 1 << 40, 4096, 65536,
            512, 250_000_000,
        ),
        "bash": NOTHING,
        "cat": tuple(1_000_000_000 * place for place in range(len(USE_FIELDS))),
    },
    boot_time=1_700_000_000.25,
    per_pid=Shown([(Process(1013, 7, "web", 2_500_000_000, 4096, 17, 19), "1700000001.50")], 3),
    deaths=(1013, 101),
    misses={"gone": 5},
    sweep_errors={"EACCES": 1},
    failures={"sweep": 0, "exits": 3},
    failed=frozenset({"exits"}),
    seconds={"sweep": 0.25},
)
MEMORY = {"forks": 65536}


class Given:
    """In the place of a registry."""

    def __init__(self, metrics):
        self.metrics = list(metrics)

    def collect(self):
        return self.metrics


def text_of(
    snapshot, loaded=LOADED, declared=("web", "never"), has_pid_info=False, by="bpf_iter",
    has_per_pid=True,
):  # fmt: skip
    metrics = families(snapshot, loaded, declared, has_pid_info, MEMORY, by, has_per_pid)
    return generate_latest(Given(metrics)).decode()


TEXT = (Path(__file__).parent / "exposition.txt").read_text()


def test_the_text():
    assert text_of(SNAPSHOT) == TEXT


def names_of(snapshot, **rest):
    return {line.split()[2] for line in text_of(snapshot, **rest).splitlines()
            if line.startswith("# TYPE")}  # fmt: skip


GROUPS_FAMILIES = {
    f"pidinfod_{name}" for name in ("group_processes", "group_threads", "zombies",
    "group_resident_bytes", "group_virtual_bytes", "group_swap_bytes", "group_descriptors",
    "group_descriptors_limit_ratio", "group_oldest_start_time_seconds", "group_signals_pending",
    "group_signals_blocked", "group_signals_queued", "group_signals_queued_limit",
    "group_cpu_seconds_total", "group_run_queue_seconds_total", "group_page_faults_total",
    "group_context_switches_total", "group_io_bytes_total", "group_storage_bytes_total")
}  # fmt: skip
# The most or the oldest of one group and of another do not add up.
NO_SUMS = {
    f"pidinfod_group_{name}" for name in ("descriptors_limit_ratio", "oldest_start_time_seconds",
    "signals_queued", "signals_queued_limit")
}  # fmt: skip
PER_PID_FAMILIES = {
    f"pidinfod_{name}" for name in ("process_cpu_seconds_total", "process_resident_bytes",
    "process_descriptors", "process_signals_total", "processes_left_out")
}  # fmt: skip


def test_a_part_that_failed_costs_its_families():
    whole = names_of(SNAPSHOT)
    failed = replace(SNAPSHOT, failed=frozenset({"sweep"}), processes=None)
    assert whole - names_of(failed) == GROUPS_FAMILIES | PER_PID_FAMILIES
    for family in (FORKS, EXECS, SHUTDOWN):
        rest = {name: counts for name, counts in SNAPSHOT.counts.items() if name != family.name}
        failed = replace(SNAPSHOT, counts=rest, failed=frozenset({family.name}))
        assert whole - names_of(failed) == {family.metric}
        # Part of a total is no total.
        assert family.counted not in text_of(failed)
    nothing = replace(SNAPSHOT, misses=None, deaths=None)
    assert whole - names_of(nothing) == {
        "pidinfod_group_misses_total", "pidinfod_deaths_recorded_total",
        "pidinfod_deaths_remembered",
    }  # fmt: skip


def test_processes_are_told_of_where_that_is_wanted():
    assert names_of(SNAPSHOT) - names_of(SNAPSHOT, has_per_pid=False) == PER_PID_FAMILIES


def test_what_cannot_be_told_here_is_no_0():
    absent = frozenset({"threads", "descriptors", "rchar", "wchar"})
    less = replace(SNAPSHOT, processes=replace(SNAPSHOT.processes, absent=absent))
    assert names_of(SNAPSHOT) - names_of(less) == {
        "pidinfod_group_threads", "pidinfod_group_descriptors",
        "pidinfod_group_descriptors_limit_ratio", "pidinfod_group_io_bytes_total",
        "pidinfod_process_descriptors", "pidinfod_process_signals_total",
    }  # fmt: skip


def test_without_probes():
    loaded = Loaded({}, (Probe("all", False, "no BTF", "all"),))
    shown = frozenset({"web", "never"})
    text = text_of(Snapshot(failures={"sweep": 0}, shown=shown), loaded)
    assert 'pidinfod_probe_attached{probe="all"} 0.0\n' in text
    assert 'pidinfod_probe_missing_info{probe="all",reason="no BTF"} 1.0\n' in text
    assert 'pidinfod_group_processes{group="web",state="R"} 0.0\n' in text
    assert 'pidinfod_group_cpu_seconds_total{group="web",mode="user"} 0.0\n' in text
    assert 'pidinfod_hidden{family="pidinfod_group_processes"} 0.0\n' in text
    assert not {family.metric for family in FAMILIES} & names_of(Snapshot(), loaded=loaded)
    assert "pidinfod_events_seen_total" not in text


def test_the_patched_kernel():
    counts = {"ft_calls": {("ft_fork", "ok"): 211}}
    snapshot = Snapshot(counts=counts)
    assert "ft_calls" not in text_of(snapshot)
    text = text_of(snapshot, has_pid_info=True, by="get_pid_info")
    assert 'pidinfod_ft_calls_total{result="ok",syscall="ft_fork"} 211.0\n' in text
    assert 'pidinfod_build_info{source="get_pid_info",version="' in text
    assert "pidinfod_ft_supported 1.0\n" in text


def hidden_of(snapshot, loaded=LOADED):
    told = families(snapshot, loaded, ("web",), False, MEMORY, "bpf_iter", has_per_pid=True)
    (found,) = [one for one in told if one.name == "pidinfod_hidden"]
    return {one.labels["family"]: one.value for one in found.samples}


def test_what_is_hidden_is_told_of_what_is_shown():
    """With the family's own series it makes the total: without them it would look like one."""
    counts = {"forks": {("process", "native", "cat"): 5}, "ft_calls": {}}
    snapshot = Snapshot(counts=counts, forgotten={"forks": 7, "exits": 11})
    assert hidden_of(snapshot) == {"pidinfod_forks_total": 12} | dict.fromkeys(
        GROUPS_FAMILIES - NO_SUMS, 0
    )
    failed = replace(snapshot, processes=None)
    assert hidden_of(failed) == {"pidinfod_forks_total": 12}
    absent = frozenset({"threads", "rchar", "wchar"})
    less = replace(snapshot, processes=ProcessCounts(absent=absent))
    assert hidden_of(snapshot).keys() - hidden_of(less).keys() == {
        "pidinfod_group_threads", "pidinfod_group_io_bytes_total",
    }  # fmt: skip


def test_programs_that_never_ran_with_statistics():
    """kernel.bpf_stats_enabled was never set; what the kernel left out it counts always."""
    stats = {"a": RunStats(0, 0, 0), "b": RunStats(5, 3, 0)}
    told = {one.name: [sample.labels["probe"] for sample in one.samples]
            for one in own.probes(LOADED, Snapshot(run_stats=stats))}  # fmt: skip
    assert told["pidinfod_probe_runs"] == told["pidinfod_probe_run_seconds"] == ["b"]
    assert told["pidinfod_probe_missed"] == ["a", "b"]


def series_of(declared):
    """That name a declared group."""
    counts = {family.name: family.first(declared) for family in FAMILIES}
    snapshot = Snapshot(counts=counts, shown=frozenset(declared))
    told = families(snapshot, LOADED, declared, True, MEMORY, "bpf_iter", has_per_pid=True)
    return sum(
        any(label in sample.labels.values() for label in declared)
        for family in told for sample in family.samples
    )  # fmt: skip


@pytest.mark.parametrize("number", [0, 1, 40])
def test_what_declared_groups_cost(number):
    declared = [f"declared-{place}" for place in range(number)]
    assert declared_series(LOADED, declared) == series_of(declared) == number * 93


def promtool(text):
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_promtool_finds_nothing():
    assert promtool(TEXT) == (0, "")
    assert promtool(generate_latest(Given(reference.every_family())).decode()) == (0, "")


@pytest.fixture
def collector(kernel):
    """Of a daemon with probes, whose snapshots are the one above."""
    rules = Rules([Group("web", comm=("nginx",))])
    probe = Probe("iterator:task", True, "", "sweep", kernel.fd(), kernel.fd())
    loaded = kernel.load(probes=[probe])
    source = Source(loaded, rules, Path("/proc"), 60, 64, 7, Wanted(cpu=1))
    source.has_pid_info = True
    source.taken = 0

    def take():
        source.taken += 1
        return SNAPSHOT

    source.take = take
    noted = []
    collector = Collector(source, noted.append)
    collector.source, collector.noted = source, noted
    return collector


def test_registering_reads_nothing_and_knows_all_names(collector, kernel):
    registry = CollectorRegistry()
    before = kernel.calls
    registry.register(collector)
    assert (kernel.calls, collector.source.taken) == (before, 0)
    described = {family.name for family in collector.describe()}
    assert described == {family.name for family in reference.every_family()}
    collected = list(registry.collect())
    assert collector.noted == [SNAPSHOT]
    assert {family.name for family in collected} <= described


def test_single_processes_are_known_where_they_are_wanted(collector):
    described = {family.name for family in collector.describe()}
    collector.source.sweeper.wanted = Wanted()
    gone = described - {family.name for family in collector.describe()}
    assert gone == {name.removesuffix("_total") for name in PER_PID_FAMILIES}


@pytest.mark.parametrize(
    "names",
    [
        ["pidinfod_forks_total"], ["pidinfod_shutdown_seconds_bucket"], ["pidinfod_build_info"],
        ["pidinfod_zombies", "pidinfod_dropped_total"], ["pidinfod_shutdown_seconds_count",
        "pidinfod_shutdown_seconds_sum"], ["pidinfod_group_cpu_seconds_total"],
    ],
)  # fmt: skip
def test_families_are_asked_for_by_name(collector, names):
    registry = CollectorRegistry()
    registry.register(collector)
    answer = {}
    environ = {
        "PATH_INFO": "/metrics", "REQUEST_METHOD": "GET",
        "QUERY_STRING": urlencode([("name[]", name) for name in names]),
    }  # fmt: skip
    body = make_wsgi_app(registry)(environ, lambda status, _: answer.update(status=status))
    assert answer["status"].startswith("200")
    lines = b"".join(body).decode().splitlines()
    found = [line for line in lines if not line.startswith("#")]
    assert found == [line for line in TEXT.splitlines()
                     if line.partition("{")[0] in names and "never" not in line]  # fmt: skip
    assert {line.partition("{")[0] for line in found} == set(names)
