# SPDX-License-Identifier: Apache-2.0
"""One description of both sides of the kernel's border, and the C compiler's view of it."""

import re
import struct
import subprocess

import pytest

from pidinfod.kernel import records
from pidinfod.kernel.layout import Enum, Member, Struct, text_of, widest_first
from pidinfod.kernel.records import comm_key
from pidinfod.metrics import families, program
from pidinfod.metrics.families import DETAILS, DROPS, FAMILIES
from pidinfod.metrics.schema import EVENTS

COLOUR = Enum("colour", "COLOUR", ("red", "dark_green"))
INNER = Struct("inner", Member("word", "u64"), Member("flag", "u8"))
# A hole before a member, a structure inside, bytes, and a hole at the end.
OUTER = Struct(
    "outer", Member("small", "u8"), Member("name", "u8", 5), Member("inner", INNER),
    Member("short", "u16"), Member("number", "s32"), Member("last", "u16"),
)  # fmt: skip


def test_an_enumeration():
    assert COLOUR.c_text() == (
        "enum colour {\n\tCOLOUR_RED,\n\tCOLOUR_DARK_GREEN,\n\tCOLOUR_COUNT,\n};\n"
    )
    assert [COLOUR[number] for number in (-1, 0, 1, 2, 255)] == [
        "-1", "red", "dark_green", "2", "255",
    ]  # fmt: skip
    assert COLOUR.number("dark_green") == 1
    with pytest.raises(ValueError, match="tuple"):
        COLOUR.number("blue")


def test_padding_is_spelled_out():
    assert INNER.c_text() == "struct inner {\n\tu64 word;\n\tu8 flag;\n\tu8 pad2[7];\n};\n"
    assert OUTER.c_text() == (
        "struct outer {\n\tu8 small;\n\tchar name[5];\n\tu8 pad2[2];\n\tstruct inner inner;\n"
        "\tu16 short;\n\tu8 pad4[2];\n\ts32 number;\n\tu16 last;\n\tu8 pad6[6];\n};\n"
    )
    assert (INNER.size, OUTER.size, OUTER.alignment) == (16, 40, 8)


def test_what_is_packed_is_unpacked():
    inner = INNER.pack(word=2**64 - 59, flag=251)
    values = {"small": 7, "name": b"abc", "inner": inner, "short": 65521, "number": -11,
              "last": 13}  # fmt: skip
    raw = OUTER.pack(**values)
    assert len(raw) == OUTER.size
    assert OUTER.unpack(raw)._asdict() == values | {"name": b"abc\0\0"}
    assert INNER.unpack(OUTER.unpack(raw).inner) == (2**64 - 59, 251)


@pytest.mark.parametrize("one", [INNER, OUTER, *records.STRUCTS], ids=lambda one: one.name)
def test_packing_is_writing_each_member_to_its_place(one):
    """Beside a slow reference, for members given in any order, and each left out once."""
    value_of = {member.name: 101 + place for place, member in enumerate(one.members)}
    value_of |= {
        member.name: (b"\1\2\3" * member.bytes)[: member.bytes]
        for member in one.members if member.code.endswith("s")
    }  # fmt: skip
    for left_out in (None, *value_of):
        given = {name: value_of[name] for name in sorted(value_of) if name != left_out}
        expected, offset = bytearray(one.size), 0
        for member in one.members:
            offset += -offset % member.alignment
            if member.name in given:
                struct.pack_into(f"={member.code}", expected, offset, given[member.name])
            offset += member.bytes
        assert one.pack(**given) == expected


def test_what_is_not_given_is_zero():
    assert OUTER.pack() == bytes(40)
    assert OUTER.unpack(bytes(40)) == (0, bytes(5), bytes(16), 0, 0, 0)


def test_padding_is_zero_and_not_read():
    ones = OUTER.unpack(b"\xff" * 40)
    assert OUTER.pack(**ones._asdict()) != b"\xff" * 40
    assert OUTER.unpack(OUTER.pack(**ones._asdict())) == ones


ROW = Struct(
    "row", Member("first", "u8"), Member("numbers", "u32", count=3),
    Member("shorts", "u16", count=1), Member("last", "u8"),
)  # fmt: skip


def test_scalars_in_a_row():
    assert ROW.c_text() == (
        "struct row {\n\tu8 first;\n\tu8 pad1[3];\n\tu32 numbers[3];\n\tu16 shorts[1];\n"
        "\tu8 last;\n\tu8 pad4[1];\n};\n"
    )
    assert (ROW.size, ROW.alignment) == (20, 4)
    numbers = struct.pack("=3I", 7, 2**32 - 1, 11)
    raw = ROW.pack(first=3, numbers=numbers, last=5)
    assert raw == b"\3\0\0\0" + numbers + b"\0\0\5\0"
    assert ROW.unpack(raw) == (3, numbers, bytes(2), 5)
    assert ROW.only("numbers", "last").unpack(raw) == (numbers, 5)
    assert ROW.only("shorts").unpack(raw) == (bytes(2),)
    assert [member.bytes for member in ROW.members] == [1, 12, 2, 1]


@pytest.mark.parametrize("size", [0, 39, 41])
def test_bytes_of_another_size(size):
    with pytest.raises(struct.error):
        OUTER.unpack(bytes(size))


def test_a_member_that_there_is_not():
    with pytest.raises(struct.error):
        OUTER.pack(colour=1)


@pytest.mark.parametrize("names", [("small",), ("last", "small"), ("inner", "number"), ("name",)])
def test_only_some_members(names):
    raw = OUTER.pack(small=7, name=b"abc", inner=INNER.pack(word=3), short=5, number=-11, last=13)
    whole = OUTER.unpack(raw)
    some = OUTER.only(*names)
    assert some.size == OUTER.size
    in_order = [name for name in whole._fields if name in names]
    assert some.unpack(raw) == tuple(getattr(whole, name) for name in in_order)
    assert list(some.iter_unpack(raw * 3)) == [some.unpack(raw)] * 3


def test_widest_first_leaves_holes_only_at_the_end():
    members = [Member("a", "u8"), Member("b", "u32"), Member("c", "u16"), Member("d", "u64")]
    text = Struct("key", *widest_first(members)).c_text()
    assert re.findall(r"\w+(?:\[\d+\])?(?=;)", text) == ["d", "b", "c", "a", "pad4[1]"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"", ""), (b"sh\0\0", "sh"), (b"a\0b", "a"), (b"\xff\xe9x", "\\xff\\xe9x"),
     ("é\0".encode(), "é")],
)  # fmt: skip
def test_text_of(raw, text):
    assert text_of(raw) == text


@pytest.mark.parametrize("comm", [b"", b"sh", b"fifteen-letters", b"more than fifteen letters"])
def test_comm_key(comm):
    key = comm_key(comm)
    assert len(key) == 16
    assert key.rstrip(b"\0") == comm[:15]


TYPES = """
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef int32_t s32;
typedef uint64_t u64;
"""
LOSSES = (
    Enum("drop_cause", "DROP", tuple(f"{event}_{cause}" for event, cause in DROPS)),
    Enum("detail", "DEGRADED", DETAILS),
)
STRUCTS = (*records.STRUCTS, *(family.key for family in FAMILIES))
ENUMS = (*records.ENUMS, EVENTS, *families.ENUMS, *LOSSES)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What the C compiler says of the text that the probes get: a number by expression."""
    asked = []
    for one in STRUCTS:
        asked.append(f"sizeof(struct {one.name})")
        asked += [f"offsetof(struct {one.name}, {member.name})" for member in one.members]
        asked += [f"sizeof(((struct {one.name} *)0)->{member.name})" for member in one.members]
    for one in ENUMS:
        asked += [f"{one.prefix}_{name.upper()}" for name in (*one.names, "count")]
    keys = "".join(family.key.c_text() for family in FAMILIES)
    # The includes are for kernel headers; the compiler's own types do here.
    text = re.sub(r"^#include .*\n", "", program.records_text(), flags=re.MULTILINE)
    body = "".join(f'\tprintf("%lld\\n", (long long)({what}));\n' for what in asked)
    folder = tmp_path_factory.mktemp("compiled")
    source = folder / "layout.c"
    source.write_text(f"{TYPES}{text}{keys}int main(void)\n{{\n{body}}}\n")
    flags = ["-Wall", "-Wextra", "-Wpadded", "-Werror"]
    subprocess.run(["gcc", *flags, "-o", folder / "layout", source], check=True)
    told = subprocess.run([folder / "layout"], check=True, capture_output=True, text=True).stdout
    return dict(zip(asked, map(int, told.split()), strict=True))


@pytest.mark.parametrize("one", STRUCTS, ids=lambda one: one.name)
def test_structures_are_as_the_compiler_has_them(compiled, one):
    assert compiled[f"sizeof(struct {one.name})"] == one.size
    for member in one.members:
        # Found without the offsets of the description: where its bytes are in what is packed.
        value = b"\xff" * member.bytes if member.code.endswith("s") else None
        if value is None:
            value = -1 if member.code == "i" else 2 ** (8 * member.bytes) - 1
        raw = one.pack(**{member.name: value})
        assert raw.index(b"\xff") == compiled[f"offsetof(struct {one.name}, {member.name})"]
        assert raw.count(b"\xff") == compiled[f"sizeof(((struct {one.name} *)0)->{member.name})"]


@pytest.mark.parametrize("one", ENUMS, ids=lambda one: one.name)
def test_enumerations_are_as_the_compiler_has_them(compiled, one):
    for number, name in enumerate(one.names):
        assert compiled[f"{one.prefix}_{name.upper()}"] == number == one.number(name)
        assert one[number] == name
    assert compiled[f"{one.prefix}_COUNT"] == len(one.names)


def test_no_name_stands_for_two_things():
    constants = [f"{one.prefix}_{name}" for one in ENUMS for name in (*one.names, "count")]
    assert len(set(constants)) == len(constants)
    names = [one.name for one in (*STRUCTS, *ENUMS)]
    assert len(set(names)) == len(names)
