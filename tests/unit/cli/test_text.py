# SPDX-License-Identifier: Apache-2.0
"""Text that any process may choose, made harmless."""

import io
import os
import subprocess
import sys

import pytest

from pidinfod.cli import text
from pidinfod.cli.text import printable


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("sleep", "sleep"),
        ("", ""),
        ("two words", "two words"),
        ("同步任务 é ñ", "同步任务 é ñ"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nuid   0", "a\\x0auid   0"),
        ("\t\r\0\x7f", "\\x09\\x0d\\x00\\x7f"),
        ("\x9b31m\x85", "\\u009b31m\\u0085"),
        ("caf\udce9\udc80\udcff", "caf\\xe9\\x80\\xff"),
        ("\ud800\udfff", "\\ud800\\udfff"),
        ("\u202egnp.exe\u2066\u200b\ufeff", "\\u202egnp.exe\\u2066\\u200b\\ufeff"),
        ("\u2028\u2029\u00a0\u00ad\u3000", "\\u2028\\u2029\\u00a0\\u00ad\\u3000"),
        ("\U000e0041\U000f0000", "\\U000e0041\\U000f0000"),
        ("\\x1b", "\\\\x1b"),
        ("dev-a\\x2db.device", "dev-a\\\\x2db.device"),
    ],
)
def test_escapes(raw, shown):
    assert printable(raw) == shown


def test_of_all_characters_none_is_raw_and_each_has_a_form_of_its_own():
    # The planes in between have characters of the same kinds.
    codes = (*range(0x12000), *range(0xE0000, 0xE0200), sys.maxunicode)
    shown = [printable(chr(code)) for code in codes]
    assert all(form.isprintable() for form in shown)
    assert len(set(shown)) == len(shown)
    # No form begins another one, so whole texts have forms of their own, too.
    escapes = {form for form in shown if form.startswith("\\") and not form.startswith("\\U00")}
    escapes.add(printable("\U000e0041"))
    assert not any(form[:end] in escapes for form in escapes for end in range(1, len(form)))


@pytest.mark.parametrize(
    "raw", [b"a\n\x1b[2J", b"nu\xff\xfe", "\u202eé同".encode(), b"\\x41\\", b"'$x`"]
)
def test_bash_reads_it_back(raw):
    shown = printable(raw.decode(errors="surrogateescape")).replace("'", "\\'")
    command = f"LC_ALL=C.UTF-8; printf %s $'{shown}'"
    assert subprocess.check_output(["bash", "-c", command]) == raw


def test_messages():
    err = io.StringIO()
    text.complain(err, "a\x1b\nf:2: b\udcff")
    assert err.getvalue() == "a\\x1b\\x0af:2: b\\xff\n"
    err = io.StringIO()
    # What is printable was escaped where it was quoted.
    text.complain_of_each(err, ValueError("f:1: '\\x1b'\nf:2: b\udcff\x1b"), "pidinfod: ")
    assert err.getvalue() == "pidinfod: f:1: '\\x1b'\npidinfod: f:2: b\\xff\\x1b\n"


def test_tables():
    assert text.fields([("a", "x\ny"), ("long", 7)]) == "a     x\\x0ay\nlong  7\n"
    assert text.fields([]) == ""
    assert text.columns([("A", "BB", "C"), ("a\n", "b", "")]) == ["A      BB  C", "a\\x0a  b"]


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (0, "0.000000 s"),
        (1_000, "0.000001 s"),
        (119_999_000_000, "119.999000 s"),
        (120_000_000_000, "120.000 s (0d 00:02:00)"),
        (93_784_500_000_000, "93784.500 s (1d 02:03:04)"),
    ],
)
def test_durations(ns, shown):
    assert text.duration(ns) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1024 (1.0 KiB)"),
        (9129984, "9129984 (8.7 MiB)"),
        (3 << 30, "3221225472 (3.0 GiB)"),
    ],
)
def test_sizes(count, shown):
    assert text.size(count) == shown


@pytest.mark.parametrize(
    "encoding", ["ascii:strict", "iso-8859-1:strict", "utf-8:strict", "cp1252"]
)
def test_output_takes_any_text(encoding):
    script = (
        "import sys; from pidinfod.cli import text; text.prepare_output()\n"
        "for out in sys.stdout, sys.stderr: out.write('é同\\udcff\\U000e0041\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"\n" in done.stdout
    assert done.stdout == done.stderr
