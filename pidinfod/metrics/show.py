# SPDX-License-Identifier: Apache-2.0
"""Families of metrics from plain values: those that no map of the kernel's is behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

Values = Mapping[Any, float]  # by tuples of the labels' values


def counter(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    """`pidinfod_NAME_total`."""
    family = CounterMetricFamily(f"pidinfod_{name}", text, labels=labels)
    for series, value in values.items():
        family.add_metric(series, value)
    return family


def gauge(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    """`pidinfod_NAME`."""
    family = GaugeMetricFamily(f"pidinfod_{name}", text, labels=labels)
    for series, value in values.items():
        family.add_metric(series, value)
    return family


def by_name(values: Mapping[str, float]) -> Values:
    """Values of a family with one label."""
    return {(name,): value for name, value in values.items()}
