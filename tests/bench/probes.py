# SPDX-License-Identifier: Apache-2.0
"""What the probes cost in the kernel, beside empty programs on the same hooks.

Method: one static C program, on one processor, times an ignored signal, a handled one and
fork + exec + exit + wait; it runs without probes, with empty programs on the same hooks and with
pidinfod's, in turn, five times, and the least of each counts. "Added" is over no probes; the
figures are of one run on the kernel of this machine.
"""

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

from pidinfod.kernel import handoff, loader
from pidinfod.service import config, daemon

REPO = Path(__file__).resolve().parents[2]
ROUNDS = 5


@contextlib.contextmanager
def no_probes():
    yield


@contextlib.contextmanager
def empty_probes():
    """Programs that return at once."""
    from bcc import BPF

    os.environ["BCC_KERNEL_SOURCE"] = str(loader.bpf_folder())
    hooks = [hook for hook in loader.hooks({}) if hook.kind not in ("kprobe", "kretprobe")]
    text = "\n".join(f"int {hook.function}(void *args) {{ return 0; }}" for hook in hooks)
    bpf = BPF(text=text, cflags=[f"-I{loader.bpf_folder()}/include"])
    for hook in hooks:
        loader.attach(bpf, hook)
    yield
    bpf.cleanup()


@contextlib.contextmanager
def our_probes():
    """As the daemon loads them."""
    loaded = handoff.load(daemon.settings(config.Config()), daemon.LOAD_SECONDS)
    yield
    loaded.close()


def main():
    print(__doc__)
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "probe_cost"
        source = REPO / "tests/bench/src/probe_cost.c"
        subprocess.run(["gcc", "-O2", "-static", "-o", program, source], check=True)
        for _ in range(ROUNDS):
            for probes in (no_probes, empty_probes, our_probes):
                with probes():
                    lines = subprocess.check_output([program], text=True).splitlines()
                for name, ns in map(str.split, lines):
                    key = name, probes.__name__
                    best[key] = min(best.get(key, 1 << 62), int(ns))
    for name in ("syscall", "ignored", "handled", "life"):
        none, empty, ours = (
            best[name, probes.__name__] for probes in (no_probes, empty_probes, our_probes)
        )
        print(
            f"{name:8} {none:9} ns, empty +{empty - none} ns, pidinfod +{ours - none} ns: "
            f"ratio {(ours - none) / max(empty - none, 1):.1f} (wanted: at most 4), "
            f"slower by {100 * (ours - none) / none:.1f} %"
        )
    print("(of fork + exec + exit + wait wanted: slower by at most 5 %)")


if __name__ == "__main__":
    main()
