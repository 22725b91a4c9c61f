# SPDX-License-Identifier: Apache-2.0
"""Families from plain values."""

from pidinfod.metrics.show import by_name, counter, gauge


def samples(family):
    return [(sample.name, sample.labels, sample.value) for sample in family.samples]


def test_counter_and_gauge():
    values = {("a", "b"): 7, ("a", "c"): 11}
    for make, name in ((counter, "pidinfod_x_total"), (gauge, "pidinfod_x")):
        assert samples(make("x", "Help.", ("one", "two"), values)) == [
            (name, {"one": "a", "two": "b"}, 7), (name, {"one": "a", "two": "c"}, 11),
        ]  # fmt: skip
        assert samples(make("x", "Help.", ("one",), {})) == []
    assert samples(gauge("x", "Help.", ("one",), by_name({"a": 13}))) == [
        ("pidinfod_x", {"one": "a"}, 13)
    ]
