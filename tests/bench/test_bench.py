# SPDX-License-Identifier: Apache-2.0
"""Each benchmark runs whole, in its quick form, and prints the rows of its table. Of times
nothing is asked: this machine is not quiet while tests run."""

import json
import os
import re
import subprocess
import sys

from tests.support import REPO


def rows(name, *args):
    """The lines that a benchmark prints after its method, by their first word."""
    command = [sys.executable, REPO / f"tests/bench/{name}.py", "--quick", *args]
    printed = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, timeout=900,
        env=dict(os.environ, PYTHONPATH=str(REPO)),
    ).stdout  # fmt: skip
    _, _, table = printed.rpartition("\n\n")
    return {line.split()[0]: line for line in table.splitlines()}


def test_calls(lab):
    found = rows("calls", "--lab", lab.name)
    for name in (
        "get_pid_info", "get_pid_info_wide", "sched_getattr", "procfs", "sweep_single",
        "sweep_many", "sweep_procfs",
    ):  # fmt: skip
        assert re.search(rf"^{name} .*\d", found[name])


def test_bystanders(lab):
    found = rows("bystanders", "--lab", lab.name)
    for name in ("threads", "children", "execs", "all"):
        assert re.search(r"get_pid_info \d\.\d+ \(\d\.\d+\.\.\d\.\d+\) of", found[name])


PROBES = ("ignored", "handled", "life")
ADDED = r"empty [+-]\d+ ns, pidinfod [+-]\d+ ns: ratio (-?\d+\.\d+|unknown [a-z ]+) \(wanted"


def test_probes(root):
    found = rows("probes")
    for name in PROBES:
        assert re.search(ADDED, found[name])
    assert re.search(r"ns, raw sys_exit [+-]\d+ ns", found["getppid"])


def test_probes_in_the_lab(lab):
    """There all ways of watching the calls that send signals are beside each other."""
    found = rows("probes", "--lab", lab.name)
    for name in PROBES:
        assert re.search(ADDED, found[name])
    way = r"[+-]\d+ ns"
    ways = rf"raw sys_exit {way}, tracepoints {way}, kprobes {way}"
    assert re.search(ways, found["getppid"])


def test_start(root):
    found = rows("start")
    for name in ("floor", "at", "among"):
        assert re.search(r"READY +\d+\.\d\d s  resident +\d+\.\d MB", found[name])


def test_server(root):
    found = rows("server")
    assert "answers 1 of 200" in found["quiet"]
    assert re.search(r"answers 1 of 200: ratio \d+\.\d\d \(wanted", found["silent"])
    told = re.search(r"answers (.*): ratio", found["at"])[1].split(", ")
    counts = {status: int(count) for count, _, status in (one.partition(" of ") for one in told)}
    assert counts.keys() <= {"200", "503"}
    assert sum(counts.values()) == 200


def test_ways(lab):
    found = rows("ways", "--lab", lab.name)
    for name in ("iterator", "get_pid_info", "single", "procfs"):
        assert re.search(r"\d+\.\d\d ms, +\d+\.\d times the iterator's", found[name])
    assert re.search(r" = \d+\.\d \(wanted: ", found["many"])


EXPORTERS = ("pidinfod", "pidinfod, all groups", "process-exporter")


def test_scale(root, tmp_path):
    """Its rows are those of the file beside the picture, which tells of all contestants."""
    found = rows("scale", "--output", str(tmp_path))
    told = json.loads((tmp_path / "scale.json").read_text())
    assert [row["who"] for row in told["rows"]] == [*EXPORTERS, "psutil"] * 4
    for row in told["rows"]:
        assert row["ms"] > 0, row
        assert row["cpu_ms"] > 0, row
        assert row["threads"] > row["processes"] > 10, row
        is_exporter = row["who"] in EXPORTERS
        for field in ("bytes", "series", "resident_mb"):
            assert bool(row[field]) == is_exporter, row
    assert told["exponents"].keys() == {*EXPORTERS, "psutil"}
    picture = (tmp_path / "scale.svg").read_text()
    for who, exponent in told["exponents"].items():
        assert f">{who}: n^{exponent:.2f}<" in picture
    assert "series" in found["processes"]
    assert re.search(r"\d+\.\d+% of a CPU", found["idle"])
    for wanted in ("process-exporter", "psutil", "memory", "pidinfod,"):
        assert re.search(r" = \d+\.\d+ \(wanted: ", found[wanted])
