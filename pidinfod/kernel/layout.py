# SPDX-License-Identifier: Apache-2.0
"""What stands on both sides of the kernel's border: enumerations and structures.

They are described here in Python. The C text that the probes are compiled with and the
decoding of their bytes both come from the one description, so the two cannot disagree.
"""

from __future__ import annotations

import struct
from collections import namedtuple
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# struct's letter and the bytes of each scalar of the probes.
_SCALARS = {"u8": "B", "u16": "H", "u32": "I", "s32": "i", "u64": "Q"}


@dataclass(frozen=True)
class Enum:
    """`enum NAME { PREFIX_A, PREFIX_B, … }`, numbered from 0; the names are lower case here."""

    name: str
    prefix: str
    names: tuple[str, ...]

    def __getitem__(self, number: int) -> str:
        """The name of a number; the number as text where it has none."""
        return self.names[number] if 0 <= number < len(self.names) else str(number)

    def number(self, name: str) -> int:
        """Raises ValueError for a name that is not one of them."""
        return self.names.index(name)

    def c_text(self) -> str:
        """The definition in C; the last constant, PREFIX_COUNT, is how many there are."""
        constants = (*self.names, "count")
        lines = (f"\t{self.prefix}_{name.upper()},\n" for name in constants)
        return f"enum {self.name} {{\n{''.join(lines)}}};\n"


@dataclass(frozen=True)
class Member:
    """A member of a structure: a scalar, bytes (`size` of them, a `char` array in C), or `count`
    scalars in a row, which are given and taken as their bytes."""

    name: str
    type: str | Struct
    size: int = 0
    count: int = 0

    @property
    def bytes(self) -> int:
        if isinstance(self.type, Struct):
            return self.type.size
        return self.size or struct.calcsize("=" + _SCALARS[self.type]) * (self.count or 1)

    @property
    def alignment(self) -> int:
        if isinstance(self.type, Struct):
            return self.type.alignment
        return 1 if self.size else struct.calcsize("=" + _SCALARS[self.type])

    @property
    def code(self) -> str:
        """In the notation of the module struct; a structure inside is its bytes."""
        if isinstance(self.type, Struct) or self.size or self.count:
            return f"{self.bytes}s"
        return _SCALARS[self.type]

    def c_text(self) -> str:
        if isinstance(self.type, Struct):
            return f"struct {self.type.name} {self.name}"
        if self.count:
            return f"{self.type} {self.name}[{self.count}]"
        return f"char {self.name}[{self.size}]" if self.size else f"{self.type} {self.name}"


class Struct:
    """`struct NAME`, with all padding spelled out, so that a zeroed one has no other bytes."""

    def __init__(self, name: str, *members: Member) -> None:
        self.name = name
        self.members = members
        self.alignment = max(member.alignment for member in members)
        layout = list(self._padded())
        self._c_members = [text for text, _ in layout]
        self._struct = struct.Struct("=" + "".join(code for _, code in layout))
        # By name, in the order of the members.
        self._zeros: dict[str, Any] = {
            member.name: b"" if member.code.endswith("s") else 0 for member in members
        }
        self._record: Any = namedtuple(name, [member.name for member in members])  # type: ignore[misc]

    def _padded(self) -> Iterator[tuple[str, str]]:
        """C text and code of each member, and of the padding before it and at the end."""
        offset = 0
        for index, member in enumerate((*self.members, None)):
            alignment = member.alignment if member else self.alignment
            if gap := -offset % alignment:
                yield f"u8 pad{index}[{gap}]", f"{gap}x"
            if member:
                yield member.c_text(), member.code
                offset += gap + member.bytes

    @property
    def size(self) -> int:
        """Bytes of one."""
        return self._struct.size

    def c_text(self) -> str:
        """The definition in C."""
        lines = (f"\t{text};\n" for text in self._c_members)
        return f"struct {self.name} {{\n{''.join(lines)}}};\n"

    def unpack(self, raw: bytes) -> Any:
        """A named tuple of the members. Raises struct.error for bytes of another size."""
        return self._record._make(self._struct.unpack(raw))

    def pack(self, **values: Any) -> bytes:
        """The bytes of one; members that are not given are zero. Raises struct.error for a member
        that there is not, or a value that is none of its type."""
        return self._struct.pack(*(self._zeros | values).values())

    def only(self, *names: str) -> struct.Struct:
        """Unpacks nothing but these members, in the order of the structure."""
        codes = []
        wanted = iter(self.members)
        for text, code in self._padded():
            if code.endswith("x") and text.startswith("u8 pad"):
                codes.append(code)
                continue
            member = next(wanted)
            codes.append(code if member.name in names else f"{member.bytes}x")
        return struct.Struct("=" + "".join(codes))


def widest_first(members: Sequence[Member]) -> list[Member]:
    """An order without padding between them."""
    return sorted(members, key=lambda member: -member.alignment)


def text_of(raw: bytes) -> str:
    """A name that ends at its first zero byte. Bytes that are not UTF-8 are shown as \\xNN."""
    return raw.partition(b"\0")[0].decode(errors="backslashreplace")
