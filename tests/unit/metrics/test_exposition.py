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
from pidinfod.metrics import own, reference
from pidinfod.metrics.exposition import Collector, declared_series, families
from pidinfod.metrics.families import FAMILIES
from pidinfod.metrics.lives import EXECS, FORKS, SHUTDOWN
from pidinfod.metrics.processes import ProcessCounts
from pidinfod.metrics.schema import SUM_SLOT
from pidinfod.metrics.snapshot import Snapshot, Source

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
        states=Counter({("web", "S"): 3, ("bash", "R"): 1, ("cat", "S"): 17}),
        zombies=Counter({"web": 2, "kernel": 1}),
        pending=Counter({("bash", "SIGTERM"): 1}),
        blocked=Counter({("web", "SIGUSR1"): 2}),
        queues={"web": (3, 7919)},
    ),
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


def text_of(snapshot, loaded=LOADED, declared=("web", "never"), has_pid_info=False):
    metrics = families(snapshot, loaded, declared, has_pid_info, MEMORY)
    return generate_latest(Given(metrics)).decode()


TEXT = (Path(__file__).parent / "exposition.txt").read_text()


def test_the_text():
    assert text_of(SNAPSHOT) == TEXT


def names_of(snapshot, **rest):
    return {line.split()[2] for line in text_of(snapshot, **rest).splitlines()
            if line.startswith("# TYPE")}  # fmt: skip


GROUPS_FAMILIES = {
    f"pidinfod_{name}" for name in ("group_processes", "zombies", "group_signals_pending",
    "group_signals_blocked", "group_signals_queued", "group_signals_queued_limit")
}  # fmt: skip


def test_a_part_that_failed_costs_its_families():
    whole = names_of(SNAPSHOT)
    failed = replace(SNAPSHOT, failed=frozenset({"sweep"}), processes=ProcessCounts())
    assert whole - names_of(failed) == GROUPS_FAMILIES
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


def test_without_probes():
    loaded = Loaded({}, (Probe("all", False, "no BTF", "all"),))
    shown = frozenset({"web", "never"})
    text = text_of(Snapshot(failures={"sweep": 0}, shown=shown), loaded)
    assert 'pidinfod_probe_attached{probe="all"} 0.0\n' in text
    assert 'pidinfod_probe_missing_info{probe="all",reason="no BTF"} 1.0\n' in text
    assert 'pidinfod_group_processes{group="web",state="R"} 0.0\n' in text
    assert 'pidinfod_hidden{family="pidinfod_group_processes"} 0.0\n' in text
    assert not {family.metric for family in FAMILIES} & names_of(Snapshot(), loaded=loaded)
    assert "pidinfod_events_seen_total" not in text


def test_the_patched_kernel():
    counts = {"ft_calls": {("ft_fork", "ok"): 211}}
    snapshot = Snapshot(counts=counts)
    assert "ft_calls" not in text_of(snapshot)
    text = text_of(snapshot, has_pid_info=True)
    assert 'pidinfod_ft_calls_total{result="ok",syscall="ft_fork"} 211.0\n' in text
    assert 'pidinfod_build_info{source="get_pid_info",version="' in text
    assert "pidinfod_ft_supported 1.0\n" in text


def hidden_of(snapshot, loaded=LOADED):
    told = families(snapshot, loaded, ("web",), False, MEMORY)
    (found,) = [one for one in told if one.name == "pidinfod_hidden"]
    return {one.labels["family"]: one.value for one in found.samples}


def test_what_is_hidden_is_told_of_what_is_shown():
    """With the family's own series it makes the total: without them it would look like one."""
    counts = {"forks": {("process", "native", "cat"): 5}, "ft_calls": {}}
    snapshot = Snapshot(counts=counts, forgotten={"forks": 7, "exits": 11})
    gauges = {"pidinfod_group_processes", "pidinfod_zombies", "pidinfod_group_signals_pending",
              "pidinfod_group_signals_blocked"}  # fmt: skip
    assert hidden_of(snapshot) == {"pidinfod_forks_total": 12} | dict.fromkeys(gauges, 0)
    failed = replace(snapshot, failed=frozenset({"sweep"}))
    assert hidden_of(failed) == {"pidinfod_forks_total": 12}


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
    return sum(
        any(label in sample.labels.values() for label in declared)
        for family in families(snapshot, LOADED, declared, True, MEMORY)
        for sample in family.samples
    )


@pytest.mark.parametrize("number", [0, 1, 40])
def test_what_declared_groups_cost(number):
    declared = [f"declared-{place}" for place in range(number)]
    assert declared_series(LOADED, declared) == series_of(declared) == number * 64


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
    source = Source(kernel.load(), Rules([Group("web", comm=("nginx",))]), Path("/proc"), 60, 64, 7)
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


@pytest.mark.parametrize(
    "names",
    [
        ["pidinfod_forks_total"], ["pidinfod_shutdown_seconds_bucket"], ["pidinfod_build_info"],
        ["pidinfod_zombies", "pidinfod_dropped_total"], ["pidinfod_shutdown_seconds_count",
        "pidinfod_shutdown_seconds_sum"],
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
    assert found == [line for line in TEXT.replace("procfs", "get_pid_info").splitlines()
                     if line.partition("{")[0] in names and "never" not in line]  # fmt: skip
    assert {line.partition("{")[0] for line in found} == set(names)
