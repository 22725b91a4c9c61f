# SPDX-License-Identifier: Apache-2.0
"""The example of CONTRIBUTING.md is real: it applies, loads and counts."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support import REPO

pytestmark = pytest.mark.usefixtures("root")

# Loads the probes of the current folder and prints how many core dumps were counted while seven
# processes dumped core, and three were killed without.
PROGRAM = """
import json, os, resource, signal, subprocess
from pidinfod.kernel import handoff, libbpf
from pidinfod.metrics import lives, program
from pidinfod.service import daemon
from pidinfod.service.config import Config

loaded = handoff.load(daemon.request(Config()), daemon.LOAD_SECONDS)
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
for number in [signal.SIGABRT] * 7 + [signal.SIGKILL] * 3:
    dumped = os.posix_spawn("/bin/sh", ["sh", "-c", f"kill -{number} $$"], os.environ)
    os.waitpid(dumped, 0)
counts = libbpf.read_counts(loaded.maps[lives.CORE_DUMPS.name])
print(json.dumps([lives.CORE_DUMPS.metric, sum(counts.values())]))
"""


def test_adding_a_counter(tmp_path):
    text = (REPO / "CONTRIBUTING.md").read_text()
    diff = text.partition("```diff\n")[2].partition("```")[0]
    for folder in ("pidinfod", "bpf"):
        shutil.copytree(REPO / folder, tmp_path / folder)
    apply = ["patch", "-p1", "--fuzz=0"]
    subprocess.run(apply, cwd=tmp_path, input=diff, text=True, check=True)
    files = [line[6:] for line in diff.splitlines() if line.startswith("+++ b/")]
    assert sorted(file.rpartition(".")[2] for file in files) == ["c", "py"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True,
        env=dict(os.environ, PYTHONPATH=str(tmp_path)), timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name, counted = json.loads(done.stdout)
    assert name == "pidinfod_core_dumps_total"
    assert counted == 7
