# SPDX-License-Identifier: Apache-2.0
"""Readers of YAML's nodes, each with what it takes and what it refuses."""

import pytest

from pidinfod.service import nodes


def read(reader, text):
    return reader(nodes.compose(text))


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (nodes.number(0, 7), "7", 7),
        (nodes.number(0, 7), "0", 0),
        (nodes.truth, "yes", True),
        (nodes.truth, "False", False),
        (nodes.string, "a: b".replace(":", ""), "a b"),
        (nodes.string, '"\\x1b"', "\x1b"),
        (nodes.printable, "'7'", "7"),
        (nodes.at_most(3, nodes.string), "éa", "éa"),
        (nodes.sequence("n", nodes.number(0, 7), "numbers"), "[3, 5]", (3, 5)),
        (nodes.sequence("n", nodes.number(0, 7), "numbers"), "[]", ()),
        (nodes.mapping("m", {"a": nodes.truth, "b": nodes.string}), "b: x\na: on", {
            "b": "x", "a": True,
        }),
    ],
)  # fmt: skip
def test_what_is_taken(reader, text, value):
    assert read(reader, text) == value


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        (nodes.number(0, 7), "8", "from 0 to 7"),
        (nodes.number(0, 7), "-1", "from 0 to 7"),
        (nodes.number(0, 99), "0x11", "from 0 to 99"),
        (nodes.number(0, 99), "011", "from 0 to 99"),
        (nodes.number(0, 99), "1_1", "from 0 to 99"),
        (nodes.number(0, 99), "'11'", "from 0 to 99"),
        (nodes.truth, "1", "true or false"),
        (nodes.truth, "'yes'", "true or false"),
        (nodes.string, "7", "a string"),
        (nodes.string, "''", "a string"),
        (nodes.string, "[a]", "a string"),
        (nodes.printable, "' a'", "without blanks around it"),
        (nodes.printable, '"a\\x1b"', "printable text"),
        (nodes.at_most(3, nodes.string), "éaa", "at most 3 bytes"),
        (nodes.sequence("n", nodes.truth, "truths"), "true", "a list of truths"),
        (nodes.sequence("n", nodes.truth, "truths", least=1), "[]", "a list of truths"),
        (nodes.mapping("m", {}), "[]", "a mapping"),
    ],
)
def test_what_is_refused(reader, text, message):
    with pytest.raises(ValueError, match=message):
        read(reader, text)


def test_all_faults_at_once_with_their_lines():
    reader = nodes.mapping("m", {"a": nodes.truth, "b": nodes.number(0, 7)})
    with pytest.raises(nodes.Faults) as caught:
        read(reader, "a: 1\nb: 9\nc: 3\na: true\n")
    assert sorted(line for line, _ in caught.value.faults) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "line"), [("a: [1", 1), ("a: 1\nb: ]", 2), ("a: \x07", 1), ("x: 1\ny: *z", 2)]
)
def test_no_yaml(text, line):
    with pytest.raises(nodes.Faults) as caught:
        nodes.compose(text)
    ((found, message),) = caught.value.faults
    assert (found, message[:8]) == (line, "not YAML")


def test_an_empty_text():
    assert nodes.compose("") is None
    assert nodes.compose("# nothing\n") is None
