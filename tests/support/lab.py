# SPDX-License-Identifier: Apache-2.0
"""A guest in QEMU, by the lab's own command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import REPO
from tests.support.scrape import Scrape, scrape
from tests.support.selftests import OFF, passed

LAB = REPO / "deploy/lab/lab"


class Lab:
    """A running guest."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.metrics_url = ""
        self.kernel = Path()  # with the selftests built for it

    def run(
        self, *args: str, check: bool = True, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        command = [LAB, "--name", self.name, *args]
        result = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        if check and result.returncode:
            output = result.stdout + result.stderr
            pytest.fail(f"lab {' '.join(args)}: {result.returncode}\n{output}")
        return result

    def up(self, *args: str) -> None:
        """Boot, with the progress on the test run's own stderr."""
        command = [str(LAB), "--name", self.name, "up", *args]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.__stderr__, text=True)
        assert result.returncode == 0, f"{command} failed"
        state = dict(line.split("=", 1) for line in result.stdout.splitlines())
        self.metrics_url, self.kernel = state["METRICS_URL"], Path(state["KERNEL"])

    def exec(
        self, *argv: str, check: bool = True, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        return self.run("exec", "--", *argv, check=check, timeout=timeout)

    def copy_in(self, source: Path, target: str) -> None:
        self.run("copy", str(source), f"lab:{target}")

    def configure(self, *texts: str) -> None:
        """Have the service run as it is installed, and with these: later keys take the place of
        earlier ones."""
        keys: dict[str, object] = {}
        for text in texts:
            keys |= yaml.safe_load(text)
        write = (
            "cd /etc/pidinfod; [ -e installed ] || cp config.yml installed; "
            '{ cat installed; printf %s "$1"; } > config.yml; systemctl restart pidinfod'
        )
        self.exec("sh", "-c", write, "sh", yaml.safe_dump(keys))

    def scrape(self) -> Scrape:
        return scrape(self.metrics_url)

    def run_selftests(self, lacks: tuple[str, ...] = ()) -> dict[str, str]:
        """Run every program; what each printed. Fails with that, also when one skips for another
        reason than what this kernel lacks."""
        return {
            f"{program.parent.name}/{program.name}": self.run_selftest(program, lacks)
            for program in sorted((self.kernel / "selftests").glob("*/*_test"))
            if not OFF.endswith(program.name)
        }

    def run_selftest(self, program: Path, lacks: tuple[str, ...] = ()) -> str:
        """Run one of the kernel's; what it printed. Fails with that."""
        name = f"{program.parent.name}/{program.name}"
        self.copy_in(program.resolve(), f"/root/{program.name}")
        # As a unit of its own: some start more tasks than a session may have. A unit ignores
        # SIGPIPE unless told otherwise.
        unit = ("systemd-run", "--quiet", "--wait", "--pipe", "-p", "TasksMax=infinity",
                "-p", "LimitNPROC=infinity", "-p", "IgnoreSIGPIPE=no",
                "--working-directory=/root")  # fmt: skip
        result = self.exec(*unit, "sh", "-c", f"./{program.name} 2>&1", check=False)
        assert result.returncode == 0, f"{name}:\n{result.stdout}"
        passed(name, result.stdout, lacks)
        return result.stdout
