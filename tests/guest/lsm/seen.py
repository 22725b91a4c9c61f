#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What user 1000 sees of two processes of its own, one that sleeps and a zombie, both as
look.c prints it, under what the security modules are told here."""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).parent
USER = 1000
# The headers that the probes of pidinfod compile against: the kernel's own are not there.
HEADERS = "/usr/share/pidinfod/bpf"


def refuse(what):
    """Until this program ends: bcc keeps what it has attached."""
    os.environ["BCC_KERNEL_SOURCE"] = HEADERS
    from bcc import BPF

    flags = [f"-I{HEADERS}/include", f"-DREFUSE_{what.upper()}"]
    BPF(text=(HERE / "refuse.bpf.c").read_text(), cflags=flags)


def start(argv, user, context):
    """A program as a user, in a context of SELinux or with a profile of AppArmor, as that is
    written to /proc/self/attr/exec."""

    def prepare():
        if context:
            Path("/proc/self/attr/exec").write_text(context)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)

    return subprocess.Popen(
        argv, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        preexec_fn=prepare,
    )  # fmt: skip


def wait_until_asleep(pid):
    while "\nState:\tS" not in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refuse", metavar="WHAT", help="by BPF, as refuse.bpf.c names it")
    parser.add_argument("--looker", metavar="CONTEXT")
    parser.add_argument("--target", metavar="CONTEXT")
    parser.add_argument("--user", type=int, default=USER, help="the looker's")
    parser.add_argument("--sandbox", metavar="NAME", help="that the looker goes into")
    parser.add_argument("--child", action="store_true", help="look at a child of its own instead")
    args = parser.parse_args()

    if args.refuse:
        refuse(args.refuse)

    def look(who):
        sandbox = [args.sandbox] if args.sandbox else []
        looker = start([HERE / "look", *sandbox, str(who)], args.user, args.looker)
        output, _ = looker.communicate()
        assert looker.returncode == 0, looker.returncode
        return json.loads(output)

    if args.child:
        print(json.dumps({"sleeper": look("child")}))
        return
    target = start([HERE / "target"], USER, args.target)
    try:
        zombie = int(target.stdout.readline())
        wait_until_asleep(target.pid)
        print(json.dumps({"sleeper": look(target.pid), "zombie": look(zombie)}))
    finally:
        target.kill()
        target.wait()


if __name__ == "__main__":
    main()
