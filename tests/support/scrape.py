# SPDX-License-Identifier: Apache-2.0
"""An answer of /metrics, read with Prometheus's own parser."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

COUNTED = ("_total", "_count", "_sum", "_bucket")  # as the names of what only grows end


class Scrape(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """Samples of one scrape, by name and labels."""

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 when there is none."""
        wanted = set(labels.items())
        return sum(v for (n, found), v in self.items() if n == name and wanted <= found)

    def total(self, family: str) -> float:
        """Of a counter by groups: what is shown, and what is not."""
        shown = self.value(f"pidinfod_{family}_total")
        return shown + self.value("pidinfod_hidden", family=f"pidinfod_{family}_total")

    def since(self, before: Scrape) -> Scrape:
        """What went up or down; samples that did not change are left out. A gauge that is gone
        is 0.

        Fails where a group got series that it did not have: its old counts would pass for new.
        """
        for (name, labels), value in self.items():
            if name == "pidinfod_hidden" and dict(labels)["family"].endswith(COUNTED):
                assert value >= before.get((name, labels), 0.0), f"came back: {dict(labels)}"
        gone = {key for key in before.keys() - self.keys() if not key[0].endswith(COUNTED)}
        keys = [*self, *gone]
        changes = {key: self.get(key, 0.0) - before.get(key, 0.0) for key in keys}
        return Scrape({key: change for key, change in changes.items() if change})

    def table(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The samples of one name, by the values of its labels."""
        return {
            tuple(dict(found)[label] for label in labels): value
            for (n, found), value in self.items()
            if n == name
        }


def parse(text: str) -> Scrape:
    """An exposition. Raises ValueError where it is none, or tells a series twice."""
    found = Scrape()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            if key in found:
                raise ValueError(f"told twice: {key}")
            found[key] = sample.value
    return found


def scrape(url: str) -> Scrape:
    """Fetch and parse /metrics."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return parse(answer.read().decode())
