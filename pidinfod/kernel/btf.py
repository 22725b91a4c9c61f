# SPDX-License-Identifier: Apache-2.0
"""Offsets of structure members, from the type information of the running kernel."""

from __future__ import annotations

import ctypes
import os

from pidinfod.kernel.libbpf import library

# include/uapi/linux/btf.h
_KIND_PTR, _KIND_STRUCT, _KIND_UNION, _KIND_TYPEDEF = 2, 4, 5, 8
_MODIFIERS = (8, 9, 10, 11, 18)  # typedef, volatile, const, restrict, type tag
_MEMBER_BYTES = 12


class _Type(ctypes.Structure):
    _fields_ = (
        ("name_off", ctypes.c_uint32),
        ("info", ctypes.c_uint32),
        ("size_or_type", ctypes.c_uint32),
    )


class _Member(ctypes.Structure):
    _fields_ = (
        ("name_off", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("offset", ctypes.c_uint32),
    )


class _Parameter(ctypes.Structure):
    _fields_ = (("name_off", ctypes.c_uint32), ("type", ctypes.c_uint32))


class KernelTypes:
    """The BTF of the running kernel; a context manager that frees it.

    Raises OSError when the kernel has none (CONFIG_DEBUG_INFO_BTF off).
    """

    def __init__(self) -> None:
        self._btf = library().btf__load_vmlinux_btf()
        if not self._btf:
            error = ctypes.get_errno()
            raise OSError(error, f"the kernel's BTF: {os.strerror(error)}")

    def __enter__(self) -> KernelTypes:
        return self

    def __exit__(self, *_: object) -> None:
        library().btf__free(self._btf)

    def size(self, struct: str) -> int:
        """Bytes of a structure. Raises LookupError when there is no such structure."""
        type_id = library().btf__find_by_name_kind(self._btf, struct.encode(), _KIND_STRUCT)
        if type_id <= 0:
            raise LookupError(f"the kernel has no struct {struct}")
        return int(_Type.from_address(library().btf__type_by_id(self._btf, type_id)).size_or_type)

    def offset(self, struct: str, member: str, *inner: str) -> int:
        """Bytes from the start of a structure to its member, also one in an anonymous part.
        `inner` is the structure that the member is, and a member of it, and so on.

        Raises LookupError when there is no such structure or member.
        """
        type_id = library().btf__find_by_name_kind(self._btf, struct.encode(), _KIND_STRUCT)
        bits = self._find(type_id, member) if type_id > 0 else None
        if bits is None:
            raise LookupError(f"the kernel's struct {struct} has no {member}")
        return bits // 8 + (self.offset(*inner) if inner else 0)

    def has_helper(self, name: str) -> bool:
        """Whether programs have bpf_NAME(): BPF_CALL_x of include/linux/filter.h makes a type."""
        wanted = f"btf_bpf_{name}".encode()
        return bool(library().btf__find_by_name_kind(self._btf, wanted, _KIND_TYPEDEF) > 0)

    def tracepoint_arguments(self, name: str) -> tuple[bool, ...]:
        """Of each argument of a tracepoint, whether it is a pointer.

        Raises LookupError when the kernel has no such tracepoint.
        """
        lib = library()
        type_id = lib.btf__find_by_name_kind(
            self._btf, f"btf_trace_{name}".encode(), _KIND_TYPEDEF
        )
        if type_id <= 0:
            raise LookupError(f"the kernel has no tracepoint {name}")
        # typedef void (*btf_trace_NAME)(void *, …): to a pointer, to the prototype.
        address = lib.btf__type_by_id(self._btf, type_id)
        for _ in range(2):
            address = lib.btf__type_by_id(self._btf, _Type.from_address(address).size_or_type)
        count = _Type.from_address(address).info & 0xFFFF
        pointers = []
        for index in range(1, count):
            argument = _Parameter.from_address(
                address + ctypes.sizeof(_Type) + index * ctypes.sizeof(_Parameter)
            )
            target = _Type.from_address(lib.btf__type_by_id(self._btf, argument.type))
            pointers.append(target.info >> 24 & 0x1F == _KIND_PTR)
        return tuple(pointers)

    def _find(self, type_id: int, member: str) -> int | None:
        address = library().btf__type_by_id(self._btf, type_id)
        kind_of = _Type.from_address(address)
        kind = kind_of.info >> 24 & 0x1F
        if kind in _MODIFIERS:
            return self._find(kind_of.size_or_type, member)
        if kind not in (_KIND_STRUCT, _KIND_UNION):
            return None
        has_bitfields = kind_of.info >> 31
        for index in range(kind_of.info & 0xFFFF):
            entry = _Member.from_address(
                address + ctypes.sizeof(_Type) + index * _MEMBER_BYTES
            )
            start = entry.offset & 0xFFFFFF if has_bitfields else entry.offset
            name = library().btf__name_by_offset(self._btf, entry.name_off)
            if name == member.encode():
                return int(start)
            if not name:
                inner = self._find(entry.type, member)
                if inner is not None:
                    return int(start) + inner
        return None
