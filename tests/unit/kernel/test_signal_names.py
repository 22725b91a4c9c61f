# SPDX-License-Identifier: Apache-2.0
"""Signals as people write them; the shell is the witness."""

import subprocess

import pytest

from pidinfod.kernel.layout import text_of
from pidinfod.kernel.names import parse_signal, signal_name


def shell(text):
    """What bash's kill -l makes of a name or number."""
    return subprocess.check_output(["bash", "-c", 'kill -l "$1"', "bash", text], text=True).strip()


@pytest.mark.parametrize("prefix", ["", "SIG", "sig", "Sig"])
@pytest.mark.parametrize("number", [*range(1, 32), *range(34, 65)])
def test_each_name_of_the_shell(number, prefix):
    name = shell(str(number))
    assert parse_signal(prefix + name) == number
    assert parse_signal(prefix + name.lower()) == number


@pytest.mark.parametrize("number", range(1, 65))
def test_each_number_and_each_of_our_own_names(number):
    assert parse_signal(str(number)) == number
    assert parse_signal(signal_name(number)) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9), ("09", 9), ("KILL", 9), ("SIGKILL", 9), ("kill", 9), ("IOT", 6), ("SIGIOT", 6),
        ("POLL", 29), ("SIGPOLL", 29), ("CLD", 17), ("35", 35), ("RTMIN", 34), ("RTMIN+0", 34),
        ("RTMIN+1", 35), ("SIGRTMIN+1", 35), ("rtmin+30", 64), ("RTMAX", 64), ("SIGRTMAX", 64),
        ("RTMAX-0", 64), ("RTMAX-29", 35), ("RTMAX-30", 34), ("32", 32), ("33", 33),
    ],
)  # fmt: skip
def test_ways_of_writing(text, number):
    assert parse_signal(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "0", "00", "65", "99", "100", "-9", "+9", "9.0", "0x9", "1e1", "٩", "SIG", "SIG9",
        "SIGSIGKILL", "NOSUCH", "KILL ", "KILL\n", "9\n", "RTMIN-1", "RTMIN+31", "RTMAX+1",
        "RTMAX-31", "RTMIN+", "RTMIN+1.5", "RTMIN+-1", "SIG32", "SIG_IGN", "\u017figkill",
        "\x1b[31m", "\udcff",
    ],
)  # fmt: skip
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError, match="expected a signal, as a number from 1 to 64 or as a"):
        parse_signal(text)


def test_names_that_no_library_has():
    assert [signal_name(number) for number in (32, 33, 34, 64)] == [
        "32", "33", "SIGRTMIN", "SIGRTMIN+30",
    ]  # fmt: skip


def test_names_of_processes():
    assert text_of(b"sleep\0\0\0rest") == "sleep"
    assert text_of("同步任务".encode() + b"\0") == "同步任务"
    odd = [bytes([byte]) + b"x" for byte in range(0x80, 0x100)]
    told = {text_of(raw) for raw in odd}
    assert len(told) == len(odd)
    assert all(name.encode() for name in told)
