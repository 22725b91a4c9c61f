# SPDX-License-Identifier: Apache-2.0
"""What this kernel allows: each probe, attached or why not, and the metrics that it feeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from pidinfod.kernel import handoff
from pidinfod.kernel.handoff import Probe
from pidinfod.service import daemon
from pidinfod.service.config import Config

EXIT_OK, EXIT_FAILED = 0, 1
COLUMNS = ("PROBE", "STATE", "METRICS")


def table(probes: Sequence[Probe]) -> list[str]:
    """One line per probe under a header; the reason of a missing one stands on a line below."""
    rows = [
        (probe.name, "attached" if probe.attached else "MISSING", ",".join(probe.metrics))
        for probe in probes
    ]
    widths = [max(len(row[i]) for row in (COLUMNS, *rows)) for i in range(2)]

    def line(row: tuple[str, str, str]) -> str:
        return f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}".rstrip()

    lines = [line(COLUMNS)]
    for probe, row in zip(probes, rows, strict=True):
        lines.append(line(row))
        if not probe.attached:
            lines.append(f"    {probe.reason}")
    return lines


def main(config: Config, out: TextIO, err: TextIO) -> int:
    """Attach the probes, print the table and let go of them; EXIT_FAILED if none attaches."""
    try:
        loaded = handoff.load(daemon.settings(config), daemon.LOAD_SECONDS)
    except handoff.LoadError as error:
        print(f"pidinfod: no probe can be loaded: {error}", file=err)
        print(f"pidinfod: missing: {', '.join(daemon.MISSING)}", file=err)
        return EXIT_FAILED
    attached = sum(probe.attached for probe in loaded.probes)
    print("\n".join(table(loaded.probes)), file=out)
    print(f"{attached} of {len(loaded.probes)} probes attached", file=out)
    return EXIT_OK if attached else EXIT_FAILED
