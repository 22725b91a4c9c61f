# SPDX-License-Identifier: Apache-2.0
"""The README's table of all metrics, made of their descriptions.

`python3 -m pidinfod.metrics.reference` writes it into README.md of the current folder.
"""

from __future__ import annotations

from collections import Counter as Totals
from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import Metric

from pidinfod.kernel.handoff import Loaded, Probe
from pidinfod.kernel.libbpf import MapHandle, RunStats
from pidinfod.kernel.records import USE_FIELDS
from pidinfod.metrics.exposition import families
from pidinfod.metrics.families import FAMILIES
from pidinfod.metrics.per_pid import Process
from pidinfod.metrics.per_pid import Shown as PidsShown
from pidinfod.metrics.processes import Figures, ProcessCounts
from pidinfod.metrics.schema import SUM_SLOT, Counter, Histogram, Series
from pidinfod.metrics.snapshot import Snapshot

BEGIN, END = "<!-- metrics -->", "<!-- /metrics -->"
_SUFFIXES = {"counter": "_total", "info": "_info"}


def _series(family: Counter) -> Series:
    labels = ("",) * len(family.labels)
    return (*labels, SUM_SLOT) if isinstance(family, Histogram) else labels


def every_family() -> Iterable[Metric]:
    """All that can be told, with one sample at least of each, for its labels."""
    pair = Totals({("", ""): 1})
    snapshot = Snapshot(
        counts={family.name: {_series(family): 0} for family in FAMILIES},
        seen={"": 0},
        dropped={("", ""): 0},
        degraded={"": 0},
        entries={"": 0},
        run_stats={"": RunStats(1, 1, 1)},
        processes=ProcessCounts({"": Figures(oldest_start_ns=1, queued=(1, 1))}, pair, pair),
        used={"": (1,) * len(USE_FIELDS)},
        per_pid=PidsShown([(Process(0, 0, "", 0, 0, 0, 0), "")]),
        shown=frozenset({""}),
        deaths=(0, 0),
        misses={"": 0},
        sweep_errors={"": 0},
        failures={"": 0},
        seconds={"": 0},
    )
    loaded = Loaded(
        {"": MapHandle("", -1, 0, 0, 0, False)}, (Probe("", attached=False, reason="", feeds=""),)
    )
    return families(snapshot, loaded, ("",), True, {"": 0}, "", True)


def table() -> str:
    """In Markdown: name, labels and help of each metric."""
    lines = ["| metric | labels | meaning |", "|---|---|---|"]
    for family in every_family():
        labels = ", ".join(name for name in family.samples[0].labels if name != "le")
        name = family.name + _SUFFIXES.get(family.type, "")
        text = family.documentation.replace("|", "\\|")
        lines.append(f"| `{name}` | {labels} | {text} |")
    return "".join(f"{line}\n" for line in lines)


def rewritten(text: str) -> str:
    """A text with the table between its two marks. Raises ValueError when it has not both."""
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n")
    if not begin or not end:
        raise ValueError(f"expected the lines {BEGIN} and {END}")
    return f"{before}{begin}{table()}{end}{after}"


if __name__ == "__main__":
    readme = Path("README.md")
    readme.write_text(rewritten(readme.read_text()))
