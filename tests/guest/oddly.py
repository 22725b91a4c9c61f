# SPDX-License-Identifier: Apache-2.0
"""Programs by names that somebody chose to confuse: each runs 7 times."""

import subprocess
import tempfile
from pathlib import Path

TIMES = 7
# Of ours, of a declared group, and with what ends a label or a line where it is written raw.
OURS = (b"kernel", b"other", b"declared", b"comm:kernel", b"comm:", b"comm:declared")
ODD = (
    b'quo"te', b"back\\slash", b"new\nline", b"\\n", b'x"} 1\n', b"\x1b[2Jescape", b"\x7f\x01",
    b"brace{a=\"b\"}", b" ", b"# HELP", b"\xe5\x90\x8c\xe6\xad\xa5",
)  # fmt: skip
# One text as characters, two as bytes.
NOT_UTF8 = (b"caf\xe9", b"caf\xe8", b"caf\xff\xfe")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for name in OURS + ODD + NOT_UTF8:
            path = folder.encode() + b"/" + name
            Path(path.decode(errors="surrogateescape")).symlink_to("/bin/true")
            for _ in range(TIMES):
                subprocess.run([path], check=True)
