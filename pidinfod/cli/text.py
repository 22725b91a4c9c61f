# SPDX-License-Identifier: Apache-2.0
"""Text for a terminal: escaping, tables, durations, sizes. None of it has colours.

Whatever came from a process, a cgroup, a file or another program goes through printable() before
it is written. JSON does not: json.dumps() escapes by itself, and its text can be read back.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO


def printable(text: str) -> str:
    """The text in one line, with all that a terminal might obey or hide as an escape.

    ASCII control characters are \\x1b, bytes that are no UTF-8 (os.fsdecode() makes surrogates of
    them) \\xff, all other characters that are not printable, such as line separators and those
    that turn the direction of writing, \\u202e or \\U000e0001. A backslash is doubled, so each
    text has an escaped form of its own, which bash reads back in $'…'.
    """
    return text if text.isprintable() and "\\" not in text else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def complain(err: TextIO, message: str) -> None:
    """Write a message in one line, escaped."""
    print(printable(message), file=err)


def complain_of_each(err: TextIO, faults: ValueError, start: str = "") -> None:
    """Write what the configuration's reader says: a fault a line, each after `start`.

    What it quotes is escaped already, and is not escaped twice.
    """
    for fault in str(faults).split("\n"):
        line = start + fault
        print(line if line.isprintable() else printable(line), file=err)


def prepare_output() -> None:
    """Make stdout and stderr take any text: what cannot be encoded in the locale is written as an
    escape, and what is written to one that was closed goes nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  as long as we live
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def drop_output() -> None:
    """Nobody reads stdout any more: what is left in its buffer goes nowhere, without complaint."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)


def fields(rows: Iterable[tuple[str, object]]) -> str:
    """One line a row, name and escaped value; the values start in one column."""
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    return "".join(f"{name:<{width}}  {printable(str(value))}\n" for name, value in rows)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line a row, its escaped cells in columns two spaces apart."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(*shown, strict=True)]
    return [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]


def duration(ns: int) -> str:
    """0.250000 s; from two minutes on with days, hours, minutes and seconds beside."""
    seconds = ns / 1e9
    if seconds < 120:
        return f"{seconds:.6f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{seconds:.3f} s ({days}d {hours:02}:{minutes:02}:{rest:02})"


def size(count: int) -> str:
    """Bytes, from a KiB on with the unit that suits beside."""
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= scale:
            return f"{count} ({count / scale:.1f} {unit})"
    return str(count)
