# SPDX-License-Identifier: Apache-2.0
"""The selftests on every kernel of the series: x86-64 in the lab, arm64 from an initramfs."""

import re
import shutil
import subprocess
from pathlib import Path

from deploy.lab.guest import OOPS
from deploy.lab.host import built
from tests.support import REPO
from tests.support.selftests import LACKS, OFF, PROGRAMS

HERE = REPO / "tests/kernels"
ARM64_SECONDS = 1800


def test_x86_64(series, kernel, verified):
    """The last test of this guest: nothing turns the ft_* calls on again."""
    printed = kernel.run_selftests(LACKS.get((series, "x86-64"), ()))
    printed[OFF] = kernel.run_selftest(kernel.kernel / "selftests" / OFF)
    verified.add(series, "x86-64", printed)


def make_initramfs(kernel: Path, folder: Path) -> Path:
    """The selftests, and an init that runs them: nothing else."""
    root = folder / "root"
    for name in ("dev", "mnt", "proc", "root", "selftests", "sys", "tmp", "var"):
        (root / name).mkdir(parents=True)
    command = ["aarch64-linux-gnu-gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static"]
    subprocess.run([*command, "-o", root / "init", HERE / "init.c"], check=True)
    for program in PROGRAMS | {OFF}:
        shutil.copy(kernel / "selftests" / program, root / "selftests")
    subprocess.run(["mknod", root / "dev/console", "c", "5", "1"], check=True)
    subprocess.run(["mknod", "-m", "666", root / "dev/null", "c", "1", "3"], check=True)
    script = f"cd {root} && find . | cpio --quiet -o -H newc -R 0:0 | gzip > ../initramfs"
    subprocess.run(["sh", "-c", script], check=True)
    return folder / "initramfs"


def test_arm64(series, verified, tmp_path):
    kernel = built("kernel/build", "--series", series, "--arm64")
    command = [
        "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "2G",
        "-accel", "tcg,thread=multi", "-display", "none", "-no-reboot", "-nodefaults",
        "-serial", "stdio", "-kernel", kernel / "Image",
        "-initrd", make_initramfs(kernel, tmp_path),
        "-append", "console=ttyAMA0 panic=-1 oops=panic quiet loglevel=5 "
        "sysctl.kernel.pid_max=32768",
    ]  # fmt: skip
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ARM64_SECONDS, check=True
    )
    console = done.stdout.decode(errors="replace").replace("\r\n", "\n")
    assert not OOPS.search(console), console
    assert "\n== end\n" in console, console[-4000:]
    printed = {}
    for name, text, status in re.findall(
        r"^== start (\w+)\n(.*?)^== status (\d+)$", console, re.MULTILINE | re.DOTALL
    ):
        assert status == "0", f"{name}:\n{text}"
        (whole,) = (program for program in PROGRAMS | {OFF} if program.endswith(f"/{name}"))
        printed[whole] = text
    verified.add(series, "arm64", printed)
