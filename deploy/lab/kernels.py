# SPDX-License-Identifier: Apache-2.0
"""The kernels that guests boot: patched ones, built here, and those of Debian's packages."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from .host import EXIT_USAGE, LabError, built
from .images import Debian, Extras, build_image

# The userland of the patched kernels.
USERLAND = Debian("bookworm")
# Unmodified. Debian 11's Python is too old for the daemon: its kernel boots with Debian 12.
STOCK = {
    "debian-11": Debian("bookworm", kernel="bullseye"),
    "debian-12": Debian("bookworm", kernel="bookworm"),
    "debian-13": Debian("trixie", kernel="trixie"),
}
DEFAULT = "6.12"
# The security modules that the patched kernels have, none of them on by itself, and what else the
# kernel's command line says to have one on.
MODULES = {
    "landlock": "", "yama": "", "apparmor": "apparmor=1", "selinux": "selinux=1 enforcing=0",
    "bpf": "",
}  # fmt: skip
NAMES = (
    "6.12, 6.1 or 7.2, patched, each with -off (without the calls), -debug (with the kernel's "
    "checkers) or -padded (with a struct pid_info that has grown); "
    f"{', '.join(STOCK)}: Debian's stock kernel; or a directory with a bzImage"
)


def kernel_and_disk(name: str, extras: Extras) -> tuple[Path, Path]:
    """The folder with the bzImage of the kernel that --kernel names, and the disk it boots.

    What is not cached is built. An initrd in the folder is for that bzImage.
    """
    kernel = None if name in STOCK else patched_or_own(name)
    debian = replace(STOCK.get(name, USERLAND), include=extras.packages)
    with extras.files() as files:
        image = build_image(debian, files)
    return kernel or image, image / "disk"


def patched_or_own(name: str) -> Path:
    found = re.fullmatch(r"(\d+\.\d+)(?:-(off|debug|padded))?", name)
    if found:
        series, variant = found.groups()
        return built("kernel/build", "--series", series, *([f"--{variant}"] if variant else []))
    if not (Path(name) / "bzImage").is_file():
        raise LabError(f"--kernel: expected {NAMES}; got {name!r}", EXIT_USAGE)
    return Path(name)


def security_arguments(modules: tuple[str, ...]) -> str:
    """What the kernel's command line says to have these security modules on, in this order."""
    for name in modules:
        if name not in MODULES:
            known = ", ".join(MODULES)
            raise LabError(f"--lsm: expected some of {known}; got {name!r}", EXIT_USAGE)
    if {"apparmor", "selinux"} <= set(modules):
        raise LabError("--lsm: a kernel has either apparmor or selinux", EXIT_USAGE)
    if not modules:
        return ""
    return " ".join(
        [f"lsm={','.join(modules)}", "audit=1", *filter(None, map(MODULES.get, modules))]
    )


def has_checkers(kernel: Path) -> bool:
    """Whether the kernel is one with KASAN: it is several times as slow, and takes more memory."""
    config = kernel / "config"
    return config.is_file() and "\nCONFIG_KASAN=y\n" in config.read_text()
