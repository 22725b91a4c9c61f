# SPDX-License-Identifier: Apache-2.0
"""The table of --check, what it remarks, and the kernel's memory that it tells."""

import contextlib
import dataclasses
import io
import os
import pwd
import re
import types

import pytest

from pidinfod.cli import check, status
from pidinfod.groups.rules import Group
from pidinfod.kernel import handoff, hooks, libbpf, pid_info
from pidinfod.kernel.handoff import Loaded, LoadError, Probe
from pidinfod.metrics.families import FAMILIES
from pidinfod.service.config import Config


def test_table():
    probes = [
        Probe("raw_tracepoint:sched_process_free", True, "", "sched_process_free"),
        Probe("raw_tracepoint:cgroup_mkdir", True, "", "cgroup_mkdir"),
        Probe("kprobe:__x64_sys_kill", False, "no such symbol\x1b[2J\n", "kill_calls"),
        Probe("iterator:task", True, "", "sweep"),
    ]
    assert check.table(probes) == [
        "PROBE                              STATE     METRICS",
        "raw_tracepoint:sched_process_free  attached  reap_delay_seconds",
        "raw_tracepoint:cgroup_mkdir        attached  deaths",
        "kprobe:__x64_sys_kill              MISSING   kill_failures_total,liveness_probes_total",
        "    no such symbol\\x1b[2J\\x0a",
        "iterator:task                      attached  group_*,zombies",
    ]


def test_no_probes():
    assert check.table([]) == ["PROBE  STATE  METRICS"]


@pytest.mark.parametrize(
    "feeds", [*hooks.RAW_TRACEPOINTS, "ft_calls", "kill_calls", hooks.SWEEP.feeds]
)
def test_each_probe_feeds_something(feeds):
    assert check.fed_by(feeds)


def test_all_is_fed_by_probes_that_there_are():
    probes = {*hooks.RAW_TRACEPOINTS, "ft_calls", "kill_calls"}
    assert set(check.DEATHS) <= probes
    for family in FAMILIES:
        assert family.probes
        assert set(family.probes) <= probes, family.name


KPROBE = Probe("kprobe:__x64_sys_kill", True, "", "kill_calls")


@pytest.mark.parametrize(
    ("remarks", "has_ft_calls", "told"),
    [
        ((), True, []),
        ((), False, ["get_pid_info, ft_fork, ft_kill and ft_wait"]),
        (("no kprobes\x1b[2J",), True, ["no kprobes\\x1b[2J"]),
        (("no kprobes",), False, ["no kprobes", "get_pid_info"]),
    ],
)
def test_remarks(remarks, has_ft_calls, told):
    lines = check.remarks(Loaded({}, (), remarks=remarks), has_ft_calls)
    assert len(lines) == len(told)
    assert all(text in line for text, line in zip(told, lines, strict=True))


def swept_by(probes=(), has_pid_info=False, absent=()):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pid_info, "is_supported", lambda: has_pid_info)
        return check.sweep(Config(), Loaded({}, tuple(probes), absent=frozenset(absent)))


ITERATOR = Probe("iterator:task", True, "", "sweep", 211, 223)


def test_how_processes_are_swept():
    assert swept_by([KPROBE, ITERATOR]) == ["Processes are swept by bpf_iter"]
    # The call does not know what has ended.
    assert swept_by([ITERATOR], has_pid_info=True) == ["Processes are swept by bpf_iter"]
    missing = dataclasses.replace(ITERATOR, attached=False, reason="no BTF\x1b", link_fd=None)
    assert swept_by([KPROBE, missing]) == ["Processes are swept by procfs, as: no BTF\\x1b"]
    assert swept_by([missing], has_pid_info=True) == [
        "Processes are swept by get_pid_info, as: no BTF\\x1b"
    ]
    assert swept_by() == ["Processes are swept by procfs, as: without probes"]


def test_what_the_kernel_does_not_keep():
    assert swept_by([ITERATOR], absent=("wchar", "rchar", "queued")) == [
        "Processes are swept by bpf_iter", "The kernel does not keep: queued, rchar, wchar",
    ]  # fmt: skip


@pytest.fixture
def package_user(monkeypatch):
    """The user of the package's service has group 997 of his own, and is in 1009 too."""
    monkeypatch.setattr(pwd, "getpwnam", {"pidinfod": types.SimpleNamespace(pw_gid=997)}.get)
    monkeypatch.setattr(os, "getgrouplist", lambda user, gid: [gid, 1009])


def settings(proc, hidepid, gid):
    """A /proc of a kernel with the call."""
    (proc / "sys/kernel").mkdir(parents=True)
    (proc / "sys/kernel/pid_info_hidepid").write_text(f"{hidepid}\n")
    (proc / "sys/kernel/pid_info_gid").write_text(f"{gid}\n")
    return Config(procfs=proc)


@pytest.mark.usefixtures("package_user")
@pytest.mark.parametrize("hidepid", [1, 2])
@pytest.mark.parametrize(
    ("gid", "mend"),
    [
        (0, "    sysctl kernel.pid_info_gid=997 exempts the group of the user pidinfod"),
        (43, "    add the user pidinfod to the group 43, which kernel.pid_info_gid exempts"),
    ],
)
def test_what_is_hidden_from_the_daemon(tmp_path, hidepid, gid, mend):
    config = settings(tmp_path, hidepid, gid)
    told = (
        f"kernel.pid_info_hidepid is {hidepid}: get_pid_info tells the daemon nothing of processes "
        "of other users; "
    )
    assert check.hidden(config, "get_pid_info") == [f"{told}group_* and zombies lack them", mend]
    assert check.hidden(config, "bpf_iter") == [
        f"{told}bpf_iter tells of them; without it group_* and zombies would lack them", mend,
    ]  # fmt: skip
    # It stands where --check says what processes are swept by.
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pid_info, "is_supported", lambda: True)
        _, *lines = check.sweep(config, Loaded({}, ()))
    assert lines == check.hidden(config, "get_pid_info")


@pytest.mark.usefixtures("package_user")
@pytest.mark.parametrize(("hidepid", "gid"), [(0, 0), (0, 43), (1, 997), (2, 997), (2, 1009)])
def test_nothing_is_hidden(tmp_path, hidepid, gid):
    """By the setting, or from a member of the exempt group."""
    assert check.hidden(settings(tmp_path, hidepid, gid), "get_pid_info") == []


@pytest.mark.usefixtures("package_user")
def test_nothing_is_hidden_from_who_may_trace(tmp_path):
    config = settings(tmp_path, 2, 0)
    web = Group("web", exe=("/usr/bin/web",))
    assert check.hidden(config, "get_pid_info") != []
    assert check.hidden(dataclasses.replace(config, groups=(web,)), "get_pid_info") == []


@pytest.mark.usefixtures("package_user")
def test_a_kernel_without_the_setting(tmp_path):
    assert check.hidden(Config(procfs=tmp_path), "procfs") == []


def test_without_the_packages_user_it_is_who_asks(tmp_path, monkeypatch):
    def nobody(name):
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", nobody)
    monkeypatch.setattr(os, "geteuid", lambda: 1013)
    monkeypatch.setattr(os, "getegid", lambda: 1019)
    monkeypatch.setattr(os, "getgroups", lambda: [1021])
    config = settings(tmp_path, 1, 0)
    assert check.hidden(config, "get_pid_info")[1] == (
        "    sysctl kernel.pid_info_gid=1019 exempts the group of the user 1013"
    )
    for own in (1019, 1021):
        (tmp_path / "sys/kernel/pid_info_gid").write_text(f"{own}\n")
        assert check.hidden(config, "get_pid_info") == []


def megabytes(config, used=0):
    """Those in use, and those that are reckoned for 2 and for 256 CPUs."""
    line = check.memory(config, used)
    found = re.fullmatch(
        r"Maps: (\d+) MiB of the kernel's memory on (\d+) possible CPUs; "
        r"by their sizes (\d+) MiB on 2, (\d+) MiB on 256\.", line
    )  # fmt: skip
    assert int(found[2]) == libbpf.possible_cpus() >= os.cpu_count()
    return int(found[1]), int(found[3]), int(found[4])


def test_memory():
    assert megabytes(Config(), 13 << 20)[0] == 13
    _, few, many = megabytes(Config())
    assert 1 <= few <= many < 256
    # As the bound on what all CPUs take holds for any number of groups.
    assert megabytes(Config(max_groups=4096))[2] < 256
    # A ring of 64 MiB takes 63 more than that of one.
    ring = megabytes(Config(map_sizes={"events": 64 << 20}))
    assert ring[1:] == (few + 63, many + 63)


@pytest.mark.parametrize("number", [1, 40])
def test_what_declared_groups_cost(number):
    maps = {"": libbpf.MapHandle("", -1, 0, 0, 0, False)}
    groups = tuple(Group(f"group-{i}", comm=(f"comm-{i}",)) for i in range(number))
    assert check.declared(Config(groups=groups), Loaded(maps, ())) == [
        f"{number} declared groups: {number * 93} series from the start"
    ]
    assert check.declared(Config(), Loaded(maps, ())) == []


@pytest.mark.parametrize("attached", [True, False])
def test_the_whole(monkeypatch, attached):
    let_go = []
    owned = contextlib.ExitStack()
    owned.callback(let_go.append, True)
    probe = dataclasses.replace(KPROBE, attached=attached, reason="" if attached else "x")
    monkeypatch.setattr(handoff, "load", lambda *_: Loaded({}, (probe,), owned=owned))
    monkeypatch.setattr(pid_info, "is_supported", lambda: True)
    out, err = io.StringIO(), io.StringIO()
    done = check.main(Config(), out, err)
    assert (done, err.getvalue()) == (status.OK if attached else status.FAILED, "")
    assert (
        f"{int(attached)} of 1 probes attached\n"
        "Processes are swept by get_pid_info, as: without probes\nMaps: 0 MiB"
    ) in out.getvalue()
    assert let_go


def test_nothing_can_be_loaded(monkeypatch):
    def load(request, seconds):
        raise LoadError("bcc is missing\x1b\n")

    monkeypatch.setattr(handoff, "load", load)
    out, err = io.StringIO(), io.StringIO()
    assert (check.main(Config(), out, err), out.getvalue()) == (status.FAILED, "")
    why, missing = err.getvalue().splitlines()
    assert why == "pidinfod: no probe can be loaded: bcc is missing\\x1b\\x0a"
    assert {family.metric for family in FAMILIES} == set(missing.split(": ")[2].split(", "))
