# SPDX-License-Identifier: Apache-2.0
"""Runs in the guest: get_pid_info(2) of every process against /proc, field by field.

Each process is read from /proc, by the call, and from /proc again. A field agrees when it
equals one of the two, or, if it only grows, lies between them. Prints the processes by state
and what did not agree. /proc is parsed here anew, not by the package.
"""

import collections
import json
import os
import sys

from pidinfod.kernel import pid_info

TICK = 10_000_000  # ns
GROWING = {
    "utime_ns", "stime_ns", "min_flt", "maj_flt", "rss", "vsize", "rchar", "wchar", "read_bytes",
    "write_bytes", "cutime_ns", "cstime_ns", "cmin_flt", "cmaj_flt", "syscr", "syscw",
}  # fmt: skip


def status_file(path):
    with open(path, errors="replace") as file:
        return {line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in file}


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


def namespace(path):
    text = link(path)
    return text and int(text.partition("[")[2].rstrip("]"))


def from_proc(pid):
    base = f"/proc/{pid}"
    with open(f"{base}/stat", errors="replace") as file:
        text = file.read()
    s = [None, None, *text[text.rindex(")") + 2 :].split()]
    comm = text[text.index("(") + 1 : text.rindex(")")]
    st, io = status_file(f"{base}/status"), status_file(f"{base}/io")
    children = []
    for task in os.listdir(f"{base}/task"):
        with open(f"{base}/task/{task}/children") as file:
            children += map(int, file.read().split())
    with open(f"{base}/cgroup") as file:
        group = next(line[3:].rstrip("\n") for line in file if line.startswith("0::"))
    with open(f"{base}/syscall") as file:
        call = file.read().split()
    sp = int(call[-2], 16) if len(call) > 2 else None
    uid, gid = st["Uid"].split(), st["Gid"].split()
    zombie = s[2] == "Z"
    return {
        "pid": pid, "tgid": int(st["Tgid"]), "ppid": int(s[3]), "pgid": int(s[4]),
        "sid": int(s[5]), "state": s[2], "comm": comm,
        "num_threads": int(s[19]), "uid": int(uid[0]), "euid": int(uid[1]), "gid": int(gid[0]),
        "egid": int(gid[1]), "start_ns": int(s[21]), "utime_ns": int(s[13]),
        "stime_ns": int(s[14]), "policy": int(s[40]), "nice": int(s[18]), "priority": int(s[17]),
        "rt_priority": int(s[39]), "min_flt": int(s[9]),
        "maj_flt": int(s[11]), "rss": int(s[23]) * 4096 if "VmSize" in st else None,
        "vsize": int(s[22]) if "VmSize" in st else None,
        "rchar": int(io["rchar"]), "wchar": int(io["wchar"]),
        "read_bytes": int(io["read_bytes"]), "write_bytes": int(io["write_bytes"]),
        "sig_pending": int(st["SigPnd"], 16), "sig_shared_pending": int(st["ShdPnd"], 16),
        "sig_blocked": int(st["SigBlk"], 16), "sig_ignored": int(st["SigIgn"], 16),
        "sig_caught": int(st["SigCgt"], 16), "sigq_len": int(st["SigQ"].split("/")[0]),
        "sigq_limit": int(st["SigQ"].split("/")[1]),
        # /proc shows / for a dead task's cgroup that is gone; it is not there to be found.
        "cgroup_id": None if "(deleted)" in group else os.stat("/sys/fs/cgroup" + group).st_ino,
        "stack": int(s[27]) or None, "sp": sp or None, "children": sorted(children),
        "root": link(f"{base}/root"), "cwd": link(f"{base}/cwd"), "exe": link(f"{base}/exe"),
        "suid": int(uid[2]), "fsuid": int(uid[3]), "sgid": int(gid[2]), "fsgid": int(gid[3]),
        "groups": tuple(map(int, st["Groups"].split())), "exit_signal": int(s[37]),
        "nspids": tuple(map(int, st["NSpid"].split())), "name": comm,
        "cap_permitted": int(st["CapPrm"], 16), "cap_effective": int(st["CapEff"], 16),
        "cap_bounding": int(st["CapBnd"], 16), "no_new_privs": int(st["NoNewPrivs"]),
        "seccomp_mode": int(st["Seccomp"]), "seccomp_filters": int(st["Seccomp_filters"]),
        "cutime_ns": int(s[15]), "cstime_ns": int(s[16]), "cmin_flt": int(s[10]),
        "cmaj_flt": int(s[12]), "syscr": int(io["syscr"]), "syscw": int(io["syscw"]),
        "tracer_pid": int(st["TracerPid"]), "tty": int(s[6]), "tpgid": int(s[7]),
        "ns_net": namespace(f"{base}/ns/net"), "ns_mnt": namespace(f"{base}/ns/mnt"),
        "ns_pid_for_children": namespace(f"{base}/ns/pid_for_children"),
        "exit_code": int(s[51]) if zombie else None,
    }  # fmt: skip


def from_call(pid):
    record = vars(pid_info.read(pid)).copy()
    record["children"] = sorted(record["children"])
    for name in ("start_ns", "utime_ns", "stime_ns", "cutime_ns", "cstime_ns"):
        record[name] //= TICK
    return record


def differences(pid):
    before, answer, after = from_proc(pid), from_call(pid), from_proc(pid)
    found = []
    for name, first in before.items():
        value, last = answer[name], after[name]
        if name == "cgroup_id" and None in (first, last):
            continue
        if value in (first, last):
            continue
        # /proc adds to a kernel thread's name what its work is and what was cut off.
        if name == "comm" and before["ppid"] in (0, 2) and first.startswith(value):
            continue
        grows = name in GROWING and None not in (first, last, value)
        if grows and min(first, last) <= value <= max(first, last):
            continue
        found.append(f"{pid} {before['state']} {name}: /proc {first!r}, {last!r}, call {value!r}")
    return before["state"], found


def main():
    states, faults = collections.Counter(), []
    kernel_threads = 0
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        if pid == os.getpid():
            continue
        try:
            # A process that went to sleep in between is asked again.
            for _ in range(3):
                state, found = differences(pid)
                if not found:
                    break
        except (FileNotFoundError, ProcessLookupError):
            continue
        states[state] += 1
        kernel_threads += os.path.exists(f"/proc/{pid}/exe") and link(f"/proc/{pid}/exe") is None
        faults += found
    print(json.dumps({"states": states, "kernel_threads": kernel_threads, "faults": faults}))


sys.exit(main())
