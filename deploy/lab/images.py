# SPDX-License-Identifier: Apache-2.0
"""The guests' disks: a minimal Debian with the project's package, cached by content."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .host import CACHE, REPO, LabError, as_root, built, content_key, run, say

# What the guest needs besides a minimal Debian and what the project's package depends on.
PACKAGES = (
    "systemd", "systemd-sysv", "udev", "dbus", "openssh-server", "iproute2", "procps", "kmod",
    "strace", "psmisc", "make", "stress-ng",
)  # fmt: skip
SIZE = "4G"
# An image is for one version of the project: it goes when it was not used for so long.
KEEP_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Debian:
    """What a disk has: Debian of a suite, and, if named, the kernel of this or another suite."""

    suite: str
    kernel: str = ""
    include: tuple[str, ...] = ()  # further packages

    def __str__(self) -> str:
        return "-".join(filter(None, (self.suite, self.kernel)))

    def packages(self) -> list[str]:
        packages = [*PACKAGES, *self.include]
        if not self.kernel:
            return packages
        foreign = f"/{self.kernel}-security" if self.kernel != self.suite else ""
        return [*packages, "initramfs-tools", f"linux-image-amd64{foreign}"]

    def sources(self) -> list[str]:
        suites = {suite: None for suite in (self.suite, self.kernel) if suite}
        archive, security = mirrors()
        updates = [f"deb {security} {suite}-security main" for suite in suites]
        return [f"deb {archive} {self.suite} main", *updates]


@dataclass(frozen=True)
class Extras:
    """What a guest has beyond what all of them have."""

    packages: tuple[str, ...] = ()
    folder: Path | None = None  # laid over the root
    all_ft: bool = False  # every dynamically linked program goes through kernel/preload's library

    @contextlib.contextmanager
    def files(self) -> Iterator[Path]:
        """A folder of the files, as they lie from the root."""
        with tempfile.TemporaryDirectory() as name:
            if self.folder:
                shutil.copytree(self.folder, name, symlinks=True, dirs_exist_ok=True)
            if self.all_ft:
                preload = REPO / "kernel/preload"
                run(["make", "-s", "-C", preload, "install-for-all", f"DESTDIR={name}"])
            yield Path(name)


def mirrors() -> tuple[str, str]:
    """Where this machine has Debian's packages from, and their security updates."""
    target = "$(RELEASE) $(REPO_URI)"
    command = ["apt-get", "indextargets", "--format", target, "Created-By: Packages"]
    found = dict(line.split() for line in run(command).stdout.splitlines())
    try:
        return found["bookworm"].rstrip("/"), found["bookworm-security"].rstrip("/")
    except KeyError as error:
        raise LabError(f"apt has no source for {error}: is this Debian 12?") from None


# Runs on the host with the guest's root as $1, before a kernel is installed there, whose package
# makes an initrd: with no more than it takes to get to the disk.
PREPARE = r"""
set -e
root=$1
mkdir -p $root/etc/initramfs-tools/conf.d $root/usr/share/initramfs-tools/modules.d
echo MODULES=list > $root/etc/initramfs-tools/conf.d/lab
printf '%s\n' virtio_pci virtio_blk ext4 > $root/usr/share/initramfs-tools/modules.d/lab
"""

# Runs likewise before the disk is made, with the folder for the kernel as $2, the package as $3 and
# a folder to be laid over the root as $4.
CUSTOMIZE = r"""
set -e
root=$1
cp "$3" $root/tmp/pidinfod.deb
chroot $root dpkg --install /tmp/pidinfod.deb
rm $root/tmp/pidinfod.deb
echo lab > $root/etc/hostname
printf '127.0.0.1 localhost lab\n::1 localhost\n' > $root/etc/hosts
printf '/dev/vda / ext4 defaults 0 1\n' > $root/etc/fstab
printf 'LABEL=lab\n' > $root/etc/environment
echo nameserver 10.0.2.3 > $root/etc/resolv.conf
mkdir -p $root/root/.ssh $root/etc/systemd/network
cp "$LAB_KEY.pub" $root/root/.ssh/authorized_keys
chmod 700 $root/root/.ssh; chmod 600 $root/root/.ssh/authorized_keys
chown -R 0:0 $root/root/.ssh
cat > $root/etc/systemd/network/lab.network <<END
[Match]
Name=e*
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
LinkLocalAddressing=no
IPv6AcceptRA=no
END
chroot $root systemctl -q enable systemd-networkd ssh
chroot $root systemctl -q mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer \
    e2scrub_reap.service dpkg-db-backup.timer getty@tty1.service serial-getty@ttyS0.service \
    systemd-networkd-wait-online
# The host reaches /metrics through a forwarded port, not through loopback.
sed -i 's/^#* *listen:.*/listen: 0.0.0.0:10548/' $root/etc/pidinfod/config.yml
grep -q '^listen: 0.0.0.0:10548' $root/etc/pidinfod/config.yml
for kernel in $root/boot/vmlinuz-*; do
    [ -e "$kernel" ] || continue
    cp "$kernel" "$2/bzImage"
    cp $root/boot/initrd.img-* "$2/initrd"
done
cp -dR "$4/." $root/
"""


def ssh_key() -> Path:
    """The key that the guest lets in; one for all labs of this cache."""
    key = CACHE / "image" / "ssh_key"
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pidinfod lab", "-f", key])
    return key


@contextlib.contextmanager
def workshop(product: Path) -> Iterator[Path]:
    """A folder to make something in; afterwards its `new` is the product."""
    say(f"building {product.name}")
    started = time.monotonic()
    work = product.with_name(f"{product.name}.{os.getpid()}")
    work.mkdir(parents=True)
    try:
        yield work
        run([*as_root(), "chown", "-R", f"{os.getuid()}:{os.getgid()}", work / "new"])
        if not product.exists():  # another lab may have been as quick
            (work / "new").rename(product)
    finally:
        subprocess.run([*as_root(), "rm", "-rf", work], check=False)
    say(f"built in {time.monotonic() - started:.0f} s")


def dependencies(deb: Path) -> list[str]:
    """The names of the packages that a package depends on."""
    depends = run(["dpkg-deb", "--field", deb, "Depends"]).stdout
    return [re.split(r"[ (|]", name.strip())[0] for name in depends.split(",")]


def build_base(debian: Debian, deb: Path) -> Path:
    """An archive of the root with all that comes from Debian."""
    packages = ",".join([*debian.packages(), *dependencies(deb)])
    key = content_key(debian.suite, packages, *debian.sources(), PREPARE)
    base = CACHE / "image" / f"{debian}-{key}.tar"
    if not base.exists():
        with workshop(base) as work:
            (work / "prepare").write_text(PREPARE)
            run(
                [*as_root(), "mmdebstrap", "--mode=root", "--variant=minbase", "--quiet",
                 "--format=tar", f"--include={packages}",
                 *([f"--essential-hook=bash {work}/prepare \"$1\""] if debian.kernel else []),
                 debian.suite, work / "new", *debian.sources()],
            )  # fmt: skip
    return base


def build_image(debian: Debian, files: Path) -> Path:
    """A folder with the disk, and with bzImage and initrd of the disk's kernel, if it has one.

    `files` are laid over the disk's root.
    """
    deb = built("deploy/debian/build")
    key, base = ssh_key(), build_base(debian, deb)
    made = str(base.stat().st_mtime_ns)  # it may be made anew, of what the mirror has then
    name = content_key(base.name, made, SIZE, CUSTOMIZE, deb, key.with_suffix(".pub"), *tree(files))
    image = CACHE / "image" / f"{debian}-{name}"
    if not image.exists():
        remove_unused(debian)
        with workshop(image) as work:
            root, new = work / "root", work / "new"
            root.mkdir()
            new.mkdir()
            (work / "customize").write_text(CUSTOMIZE)
            run([*as_root(), "tar", "-C", root, "--xattrs", "--xattrs-include=*",
                 "--numeric-owner", "-xpf", base])  # fmt: skip
            run([*as_root(), "bash", work / "customize", root, new, deb, files],
                env=dict(os.environ, LAB_KEY=str(key)))  # fmt: skip
            run([*as_root(), "mke2fs", "-q", "-t", "ext4", "-d", root, new / "disk", SIZE])
    os.utime(image)
    return image


def tree(folder: Path) -> list[str | Path]:
    """The names of a folder's files, each with its mode and followed by what is in it."""
    parts: list[str | Path] = []
    for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        parts += [f"{path.relative_to(folder)} {path.lstat().st_mode}"]
        parts += [str(path.readlink()) if path.is_symlink() else path]
    return parts


def remove_unused(debian: Debian) -> None:
    """Old images of the same Debian; a guest that runs on one goes on."""
    for image in (CACHE / "image").glob(f"{debian}-{'?' * 16}"):
        if time.time() - image.stat().st_mtime > KEEP_SECONDS:
            shutil.rmtree(image)
