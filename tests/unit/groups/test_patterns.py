# SPDX-License-Identifier: Apache-2.0
"""Patterns on texts that somebody chose: what they find, and what they cost."""

import os
import subprocess
import sys
import threading
import time

import pytest

from pidinfod.groups import rules as module
from pidinfod.groups.rules import Facts, Group, Rules, compile_pattern
from tests.support import REPO

# Pattern, and a text that makes a search backtrack for longer than anybody lives.
EVIL = {
    "cubic": ("python.*manage.py.*runserver", "pythonmanage.py" * 4369),
    "nested": ("^(a+)+$", "a" * 4001 + "b" * 61535),
    "alternatives": ("^(a|aa)+$", "a" * 4001 + "b" * 61535),
    "letters": ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 65536),
    "not Latin": ("^(\\w+)+$", "\u00e9" * 4001 + " " * 61535),
    "not UTF-8": ("^(\udce9+)+$", "\udce9" * 4001 + "x" * 61535),
}


def longest_pause(stop):
    """How long another thread stood still, in seconds."""
    longest, last = 0.0, time.monotonic()
    while not stop.is_set():
        time.sleep(0.0005)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    return longest


@pytest.mark.parametrize("name", EVIL)
def test_an_evil_command_line_costs_one_miss(name):
    pattern, text = EVIL[name]
    misses = []
    groups = [Group("evil", cmdline=(pattern,)), Group("good", comm=("sh",))]
    rules = Rules(groups, lambda: misses.append(1))
    stop, pauses = threading.Event(), []
    ticker = threading.Thread(target=lambda: pauses.append(longest_pause(stop)))
    ticker.start()
    began = time.process_time()
    place = rules.place(Facts("sh", cmdline=text))
    took = time.process_time() - began
    stop.set()
    ticker.join()
    assert place == 1  # the rest of the rules holds
    assert misses == [1]
    # 50 ms and what a busy machine adds; without a limit, minutes.
    assert took < 5
    assert pauses[0] < 10


def test_many_evil_command_lines_get_a_share_of_the_time():
    pattern, text = EVIL["nested"]
    misses = []
    rules = Rules([Group("evil", cmdline=(pattern,))], lambda: misses.append(1))
    began = time.process_time()
    for _ in range(101):
        assert rules.place(Facts("x", cmdline=text)) is None
    assert time.process_time() - began < 3  # 5 s if each had 50 ms
    assert len(misses) == 101
    # What is not evil is found meanwhile.
    assert rules.place(Facts("x", cmdline="a" * 17)) == 0


def test_the_limit_grows_again(monkeypatch):
    now, limits = [1000.0], []

    class Slow:
        def search(self, *_args, timeout, **_rest):
            limits.append(timeout)
            raise TimeoutError

    monkeypatch.setattr(module, "compile_pattern", lambda _: Slow())
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    rules = Rules([Group("g", exe=("x",))])
    for later in (0, 0.001, 0.1, 0.5, 1, 7):
        now[0] += later
        rules.place(Facts("x", exe="x"))
    assert limits == pytest.approx([0.05, 0.001, 0.005, 0.025, 0.05, 0.05])


def test_a_text_ends_where_procps_cuts_it():
    rules = Rules([Group("g", cmdline=("end",))])
    assert rules.place(Facts("x", cmdline="x" * 4093 + "end")) == 0
    assert rules.place(Facts("x", cmdline="x" * 4094 + "end")) is None


@pytest.mark.parametrize(
    ("pattern", "raw"),
    [
        ("^/opt/caf.$", b"/opt/caf\xe9"),
        ("^/opt/café$", "/opt/café".encode()),
        ("^/opt/..$", b"/opt/\xff\xfe"),
        (r"^/a\tb$", b"/a\tb"),
        (r"^/a\nb$", b"/a\nb"),
        ("^/[^a-z]$", b"/\x1b"),
    ],
)
@pytest.mark.parametrize("condition", ["exe", "cmdline", "cgroup"])
def test_every_byte_can_be_matched(condition, pattern, raw):
    rules = Rules([Group("g", **{condition: (pattern,)})])
    assert rules.place(Facts("x", **{condition: os.fsdecode(raw)})) == 0


@pytest.mark.parametrize("pattern", ["(", "*", "[a", r"\x", "a{9999999999999999999}", "(" * 997])
def test_no_regular_expression(pattern):
    with pytest.raises(ValueError, match="is no regular expression: "):
        compile_pattern(pattern)


def test_what_is_chosen_by_others_is_escaped_in_a_fault():
    with pytest.raises(ValueError, match="is no regular expression") as raised:
        compile_pattern("\\\x1b[(")
    assert str(raised.value).isprintable()


def test_the_module_is_imported_for_a_pattern_alone():
    program = (
        "import sys; from pidinfod.groups.rules import Facts, Group, Rules;"
        "Rules([Group('a', comm=('x',), user=('root',))]).place(Facts('x', uid=0));"
        "assert 'regex' not in sys.modules; Rules([Group('a', unit=('x',))]);"
        "assert 'regex' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPO)


def test_without_the_module_a_pattern_is_a_fault(monkeypatch):
    monkeypatch.setitem(sys.modules, "regex", None)
    with pytest.raises(ValueError, match="the Python module regex"):
        compile_pattern("x")
