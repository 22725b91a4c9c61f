# SPDX-License-Identifier: Apache-2.0
"""A recorded /proc: of each process what a sweep reads."""

from pathlib import Path

from pidinfod.groups.rules import Group

PF_KTHREAD = 0x00200000
STATUS = (
    "Name:\tx\nUid:\t11\t13\t17\t19\nSigQ:\t3/7919\nSigPnd:\t0000000000000000\n"
    "ShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\n"
)

# That the configuration declares.
GROUPS = (Group("web", comm=("nginx",)), Group("backup", exe=("^/usr/bin/rsync$",)))


def add(
    proc: Path,
    pid: int,
    comm: str,
    exe: str = "/usr/bin/true",
    flags: int = 0,
    state: str = "S",
    ppid: int = 1,
    faults: int = 0,
) -> None:
    """A process, or another record of it."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    fields = [state, ppid, 0, 0, 0, 0, flags, faults, *[0] * 9, 1, *[0] * 30]
    (folder / "stat").write_text(f"{pid} ({comm}) {' '.join(map(str, fields))}\n")
    (folder / "status").write_text(STATUS)
    (folder / "exe").unlink(missing_ok=True)
    (folder / "exe").symlink_to(exe)


def remove(proc: Path, pid: int) -> None:
    for file in (proc / str(pid)).iterdir():
        file.unlink()
    (proc / str(pid)).rmdir()


def a_host(folder: Path) -> Path:
    """Nine processes: two of the kernel, a dead child, and names that are ours."""
    folder.mkdir()
    add(folder, 2, "kthreadd", flags=PF_KTHREAD, ppid=0)
    add(folder, 23, "kworker/0:1", flags=PF_KTHREAD, ppid=2, state="I")
    add(folder, 1, "init", ppid=0)
    add(folder, 5, "nginx")
    add(folder, 7, "rsync", "/usr/bin/rsync", state="R")
    add(folder, 11, "bash")
    add(folder, 13, "bash", ppid=11, state="Z")
    add(folder, 17, "web")
    add(folder, 19, "kernel")
    return folder
