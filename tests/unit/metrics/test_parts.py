# SPDX-License-Identifier: Apache-2.0
"""Parts that fail alone."""

import pytest

from pidinfod.metrics.parts import Parts


def test_parts():
    parts = Parts()
    assert parts.read("one", lambda: 7, None) == 7
    assert parts.read("two", lambda: 1 // 0, "missing") == "missing"
    assert parts.read("three", lambda: {}["x"], None) is None
    assert parts.failed == {"two", "three"}
    assert parts.failures == {"one": 0, "two": 1, "three": 1}
    assert parts.seconds.keys() == {"one", "two", "three"}
    # A part has failed until it is read again: others, read at other times, say nothing of it.
    assert parts.read("two", lambda: 11, "missing") == 11
    assert parts.failed == {"three"}
    assert parts.failures["two"] == 1
    with pytest.raises(SystemExit):
        parts.read("four", lambda: exec("raise SystemExit"), None)
