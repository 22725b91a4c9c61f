# SPDX-License-Identifier: Apache-2.0
"""kernel/tools/pidinfo on the patched kernel, beside ps and /proc; its page and what it says of
itself agree."""

import ctypes
import errno
import json
import os
import re
import subprocess
from collections import Counter

import pytest

from tests.support import REPO
from tests.support.lab import LAB

TOOLS = REPO / "kernel/tools"
HEADER = (REPO / "kernel/tree/include/uapi/linux/pid_info.h").read_text()
# What is of the call, and the two halves of each limit.
NO_ROWS = {
    "wanted", "filled", "denied", "supported", "buffer", "match_inode", "match_start_ns",
    "buffer_size", "buffer_needed", "string_max", "cursor", "size", "reserved", "soft", "hard",
}  # fmt: skip
# As ps names them, and as the rows are named.
NAMES = {
    "pid": "pid", "ppid": "ppid", "pgid": "pgid", "sid": "sid", "nlwp": "num_threads",
    "ruid": "uid", "euid": "euid", "suid": "suid", "fuid": "fsuid",
    "rgid": "gid", "egid": "egid", "sgid": "sgid", "fgid": "fsgid",
    "state": "state", "comm": "name",
}  # fmt: skip


@pytest.fixture(scope="module")
def tool():
    subprocess.run(["make", "-s", "-C", TOOLS], check=True)
    return TOOLS / "pidinfo"


@pytest.fixture(scope="module")
def guest(lab, tool):
    lab.copy_in(tool, "/usr/local/bin/pidinfo")
    return lab


@pytest.fixture
def states(guest):
    """211 processes: 13 stopped, 7 traced, 11 zombies of status 7, and others."""
    command = [str(LAB), "--name", guest.name, "exec", "--", "/root/src/states", "211"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as running:
        assert running.stdout.readline() == "ready\n"
        yield
        running.stdin.close()
        assert running.wait(60) == 0


def python(guest, program, *argv):
    """What a program that runs in the guest prints, as JSON."""
    return json.loads(guest.exec("python3", "-c", program, *argv).stdout)


def of_ps(guest, *columns):
    """A line of ps for each process; what names itself anew at any moment is cut to what stays."""
    shown = guest.exec("ps", "-ww", "-eo", ",".join(f"{column}=" for column in columns)).stdout
    found = {}
    for line in shown.splitlines():
        values = line.split(None, len(columns) - 1)
        values[-1] = still(values[-1].removesuffix(" <defunct>"))
        found[int(values[0])] = dict(zip(columns, values, strict=True))
    return found


def still(name):
    """What a worker of the kernel does now is a part of its name."""
    return re.sub(r"^(\[?kworker/[^-+\]]*)[^\]]*", r"\1", name.rstrip())


def processes(shown):
    """The rows of each process."""
    return [
        {line[:22].rstrip(): line[23:] for line in block.splitlines()}
        for block in shown.split("\n\n")
    ]


def lines(shown):
    """Those of --all and --threads, by id."""
    heading, *rest = shown.splitlines()
    assert heading.split()[1:] == ["PPID", "EUID", "S", "NLWP", "RSS", "TIME", "COMMAND"]
    names = ("id", "ppid", "euid", "state", "nlwp", "rss", "time", "args")
    found = [dict(zip(names, line.split(None, 7), strict=True)) for line in rest]
    ids = [int(line["id"]) for line in found]
    assert ids == sorted(set(ids))
    return dict(zip(ids, found, strict=True))


def groups(mark=""):
    """Those of the header whose comment begins with the mark."""
    pattern = rf"^#define PID_INFO_(\w+)\s+\(1ULL << \d+\)\s/\* {mark}"
    return re.findall(pattern, HEADER, re.MULTILINE)


def test_names_every_group(tool):
    """In the order of their bits; but for what only who has a pidfd is told."""
    array = re.search(r"groups\[\] = \{(.*?)\};", (TOOLS / "pidinfo.c").read_text(), re.DOTALL)[1]
    assert re.findall(r'"(\w+)"', array) == groups()[:-1]
    assert groups()[-1] == "REAPED"


def test_agrees_with_ps(guest, states):
    before = of_ps(guest, *NAMES)
    # Those that have ended by now are not shown.
    shown = processes(guest.exec("pidinfo", *map(str, before), check=False).stdout)
    after = of_ps(guest, *NAMES)

    compared = Counter()
    for rows in shown:
        pid = int(rows["pid"])
        first, last = before[pid], after.get(pid)
        if not last or any(first[name] != last[name] for name in NAMES if name != "state"):
            continue
        for name, row in NAMES.items():
            if name == "comm":
                assert still(rows[row]) == first[name]
            elif name != "state":
                assert rows[row] == first[name], (name, rows)
        # Others may have been running, or not, in between.
        if first["state"] in "TtZ":
            assert rows["state"][0] == first["state"] == last["state"]
            compared[first["state"]] += 1
        compared[""] += 1
    assert compared.pop("") > 211
    assert compared == {"T": 13, "t": 7, "Z": 11}
    ends = [rows["exit_code"] for rows in shown if "exit_code" in rows and rows["name"] == "states"]
    assert ends == ["7"] * 11


def test_has_a_row_for_every_field(guest, states):
    """Over all processes, as none has all of them: root is told everything that there is."""
    pids = guest.exec("ps", "-eo", "pid=").stdout.split()
    shown = processes(guest.exec("pidinfo", *pids, check=False).stdout)
    struct = re.search(r"^struct pid_info \{.*?^\};", HEADER, re.MULTILINE | re.DOTALL)[0]
    fields = set(re.findall(r"(\w+)(?:\[\w+\])?;", struct)) - NO_ROWS
    assert len(fields) > 90
    named = {re.sub(r"\[\w+\]$", "", name) for rows in shown for name in rows}
    assert named == fields | {"absent"}
    limits = guest.exec("sh", "-c", "ulimit -n 731; pidinfo $$; cat /proc/$$/limits").stdout
    assert "\nlimits[nofile]         731 731\n" in limits
    assert re.search(r"^Max open files +731 +731 ", limits, re.MULTILINE)


def test_all_are_those_of_proc(guest, states):
    program = """
import json, os, subprocess
def listed():
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}
for _ in range(9):
    before = listed()
    with subprocess.Popen(["pidinfo", "--all"], stdout=subprocess.PIPE, text=True) as running:
        shown = running.stdout.read()
    after = listed()
    found = {int(line.split()[0]) for line in shown.splitlines()[1:]}
    # Else there was one that came and went.
    if found - before - after == {running.pid}:
        break
print(json.dumps([sorted(before & after), sorted(before | after | {running.pid}), shown]))
"""
    least, most, shown = python(guest, program)
    assert len(least) > 211
    assert set(least) <= set(lines(shown)) <= set(most)


def test_lines_agree_with_ps(guest, states):
    columns = ("pid", "ppid", "euid", "nlwp", "rss", "args")
    before = of_ps(guest, *columns)
    shown = lines(guest.exec("pidinfo", "--all").stdout)
    after = of_ps(guest, *columns)
    compared = Counter()
    for pid, line in shown.items():
        # What changes in size, or has a name that ps writes in its own way, is passed over.
        if before.get(pid) != after.get(pid) or pid not in before or "\\" in line["args"]:
            continue
        told = dict(before[pid])
        rss = told.pop("rss")
        if line["rss"] == "-":
            assert rss == "0"
        else:
            # ps adds up what each CPU counts by itself, up to 32 pages of each of three kinds.
            assert abs(int(line["rss"]) - int(rss)) <= 3 * 2 * 32 * 4
        line["args"] = still(line["args"])
        assert {name: line[name] for name in told if name != "pid"} == {
            name: value for name, value in told.items() if name != "pid"
        }
        compared[line["state"]] += 1
    assert compared["T"] == 13
    assert compared["Z"] == 11
    assert compared.total() > 211


def test_threads_are_those_of_proc(guest):
    program = """
import json, os, subprocess, threading
stop = threading.Event()
for _ in range(11):
    threading.Thread(target=stop.wait, daemon=True).start()
tasks = sorted(map(int, os.listdir("/proc/self/task")))
lines = subprocess.check_output(["pidinfo", "--threads", str(os.getpid())], text=True)
rows = subprocess.check_output(["pidinfo", str(tasks[-1])], text=True)
print(json.dumps([tasks, os.getpid(), os.getppid(), lines, rows]))
"""
    tasks, pid, ppid, shown, rows = python(guest, program)
    found = lines(shown)
    assert len(tasks) == 12
    assert list(found) == tasks
    told = {(line["ppid"], line["euid"], line["nlwp"], line["args"]) for line in found.values()}
    assert told == {(str(ppid), "0", "12", "[python3]")}

    thread = processes(rows)[0]
    assert (thread["pid"], thread["tgid"]) == (str(tasks[-1]), str(pid))
    assert thread["exit_signal"] == "-1"


def test_names_what_is_denied(guest):
    shown = guest.exec("runuser", "-u", "nobody", "--", "pidinfo", "1").stdout
    rows = processes(shown)[0]
    assert rows["comm"] == "systemd"
    protected = [name for name in groups() if name in {*groups("R "), *groups("A ")}]
    assert len(protected) > 9
    assert rows["denied"].split() == protected
    assert "denied" not in processes(guest.exec("pidinfo", "1").stdout)[0]


def test_hidden_ones(guest):
    """Their exit statuses; and a sweep passes them over."""
    nobody = ("runuser", "-u", "nobody", "--", "pidinfo")
    try:
        for hidepid, status, message in (
            (1, 4, "pidinfo: 1: Operation not permitted\n"),
            (2, 1, "pidinfo: 1: No such process\n"),
        ):
            guest.exec("sysctl", "-q", f"kernel.pid_info_hidepid={hidepid}")
            refused = guest.exec(*nobody, "1", check=False)
            assert (refused.returncode, refused.stdout, refused.stderr) == (status, "", message)
            seen = lines(guest.exec(*nobody, "--all").stdout)
            assert {line["euid"] for line in seen.values()} == {"65534"}
    finally:
        guest.exec("sysctl", "-q", "kernel.pid_info_hidepid=0")


def test_writes_nothing_that_a_terminal_obeys(guest):
    program = """
import json, os, subprocess
with open("/proc/self/comm", "wb") as file:
    file.write(b"c\\x1b[31m\\\\\\xff")
own = subprocess.check_output(["pidinfo", str(os.getpid())])
argv = [b"bash", b"-c", b"read", b"x\\x1b]0;t\\x07\\n\\xc3\\xa4\\\\"]
with subprocess.Popen(argv, stdin=subprocess.PIPE) as running:
    rows = subprocess.check_output(["pidinfo", str(running.pid)])
    line = subprocess.check_output(["pidinfo", "--all"])
print(json.dumps([text.decode("latin-1") for text in (own, rows, line)]))
"""
    own, rows, line = python(guest, program)
    for text in (own, rows, line):
        assert re.fullmatch(r"[ -~\n]*", text)
    assert processes(own)[0]["comm"] == r"c\x1b[31m\\\xff"
    assert processes(own)[0]["name"] == r"c\x1b[31m\\\xff"
    command = r"bash -c read x\x1b]0;t\x07\x0a\xc3\xa4" + "\\\\"
    assert processes(rows)[0]["cmdline"] == command
    assert command in [entry["args"] for entry in lines(line).values()]


def test_exit_statuses(guest):
    for argv, status in (
        (("3999999",), 1), (("--threads", "3999999"), 1),
        ((), 2), (("abc",), 2), (("0",), 2), (("-1",), 2), (("1x",), 2), (("4294967297",), 2),
        (("1", "abc"), 2), (("--what",), 2), (("--all", "1"), 2), (("--threads",), 2),
        (("--all", "--threads", "1"), 2),
    ):  # fmt: skip
        failed = guest.exec("pidinfo", *argv, check=False)
        assert (failed.returncode, failed.stdout) == (status, ""), argv
        assert failed.stderr
    some = guest.exec("pidinfo", "1", "3999999", "2", check=False)
    assert (some.returncode, some.stderr) == (1, "pidinfo: 3999999: No such process\n")
    assert [rows["pid"] for rows in processes(some.stdout)] == ["1", "2"]
    full = guest.exec("sh", "-c", "pidinfo 1 >/dev/full", check=False)
    assert (full.returncode, full.stderr) == (4, "pidinfo: stdout: No space left on device\n")


@pytest.mark.parametrize("argv", [("1",), ("1", "2"), ("--all",), ("--threads", "1")])
def test_without_the_call(tool, argv):
    """On a kernel without it, such as this machine's."""
    answer = ctypes.CDLL(None, use_errno=True).syscall(548, os.getpid(), 0, 0, 0)
    assert (answer, ctypes.get_errno()) == (-1, errno.ENOSYS), "this kernel has the call"
    done = subprocess.run([tool, *argv], capture_output=True, text=True)
    message = "pidinfo: this kernel has no get_pid_info(2)\n"
    assert (done.returncode, done.stdout, done.stderr) == (3, "", message)


def test_page_and_help_agree(tool):
    page = (REPO / "kernel/man/pidinfo.1").read_text().replace(r"\-", "-")
    shown = subprocess.check_output([tool, "--help"], text=True)
    assert re.findall(r"^\.TP\n\.BI? (--\w+)", page, re.MULTILINE) == re.findall(r"--\w+", shown)
    statuses = re.search(r"^\.SH EXIT STATUS\n(.*?)^\.SH", page, re.MULTILINE | re.DOTALL)[1]
    told = shown.partition("exit status: ")[2]
    assert re.findall(r"^\.TP\n\.B (\d)$", statuses, re.MULTILINE) == re.findall(
        r"(?<!\()\d", told
    )
