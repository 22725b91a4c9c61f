# SPDX-License-Identifier: Apache-2.0
"""The configuration file: YAML with a strict schema.

Every fault is told in one line with file, line and what was expected, and all of them at
once; a file with a fault starts nothing.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from pidinfod import DEFAULT_CONFIG
from pidinfod.groups.names import COMM_PREFIX
from pidinfod.groups.rules import CONDITIONS, PATTERNS, Group, compile_pattern
from pidinfod.kernel.records import FIXED_GROUP
from pidinfod.service import nodes

FILE_MAX = 1 << 20  # bytes
COMM_MAX = 15  # a process's name in bytes; the kernel cuts longer ones
GROUP_NAME_MAX = 63  # bytes
SOCKET_PATH_MAX = 107  # bytes: sun_path of unix(7) without its end
USER_MAX = 4_294_967_294
NAMES_MAX = 4096  # that are declared by comm, in all groups: they have a map of their own
MAP_SIZE_MAX = 1 << 20
PER_PID_MAX = 1024  # processes with series of their own
RING_MIN, RING_MAX = 4096, 1 << 28  # bytes


@dataclass(frozen=True)
class Config:
    """What the daemon is told; the defaults are those of an empty file."""

    listen: tuple[str, int] = ("127.0.0.1", 10548)
    procfs: Path = Path("/proc")
    max_groups: int = 1024
    shown_groups: int = 80  # that have series of their own beside the declared ones
    group_ttl: int = 300  # seconds without a process, after which a group's series go
    deaths: int = 4096  # remembered at most
    deaths_over_http: bool = False  # told over TCP, too, where nobody knows who asks
    socket: Path = Path("/run/pidinfod/pidinfod.sock")
    share_seconds: float = 1.0  # that an answer to a scrape serves for all who ask
    kill_failures: bool = True  # also attempts with signal 0
    groups: tuple[Group, ...] = ()
    map_sizes: Mapping[str, int] = field(default_factory=dict)  # "events" in bytes
    per_pid: Mapping[str, int] = field(default_factory=dict)  # members of Wanted


class ConfigError(ValueError):
    """One or more faults, one line each."""


_LISTEN = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]{1,253})):(?P<port>[0-9]{1,5})"
)


def parse_listen(text: str) -> tuple[str, int]:
    """HOST:PORT, [IPV6]:PORT; port 0 is one that is free. Raises ValueError."""
    found = _LISTEN.fullmatch(text)
    if not found or int(found["port"]) > 65535:
        raise ValueError(f"expected HOST:PORT, got {nodes.quoted(text)}")
    host = found["ipv6"] or found["host"]
    try:
        if found["ipv6"]:
            socket.inet_pton(socket.AF_INET6, host)
        elif re.fullmatch("[0-9.]+", host):
            socket.inet_pton(socket.AF_INET, host)
    except OSError:
        raise ValueError(f"expected an address, got {nodes.quoted(host)}") from None
    return host, int(found["port"])


def _path(node: yaml.Node) -> Path:
    text = nodes.printable(node)
    if not text.startswith("/"):
        raise ValueError(f"expected a path from / on, got {nodes.quoted(text)}")
    return Path(text)


def _procfs(node: yaml.Node) -> Path:
    path = _path(node)
    expected = f"expected a folder like /proc, got {nodes.quoted(str(path))}"
    try:
        names = os.listdir(path)
    except OSError as error:
        raise ValueError(f"{expected}: {error.strerror}") from None
    if "self" not in names and not any(name.isdecimal() for name in names):
        raise ValueError(f"{expected} without processes")
    return path


def _group_name(node: yaml.Node) -> str:
    name = nodes.printable(node)
    if name in FIXED_GROUP.names or name.startswith(COMM_PREFIX):
        raise ValueError(f"the name {name!r} is taken, expected another")
    return name


def _user(node: yaml.Node) -> str:
    number = nodes.scalar(node, "int")
    text = nodes.printable(node) if number is None else number
    is_name = number is None and not text.isdecimal()
    return text if is_name else str(nodes.decimal(text, 0, USER_MAX))


def _pattern(node: yaml.Node) -> str:
    text = nodes.string(node)
    compile_pattern(text)
    return text


def _ring(node: yaml.Node) -> int:
    size: int = nodes.number(RING_MIN, RING_MAX)(node)
    if size & size - 1:
        raise ValueError(f"expected a power of two from {RING_MIN} to {RING_MAX}")
    return size


_CONDITIONS: dict[str, nodes.Reader] = {
    "comm": nodes.sequence("comm", nodes.at_most(COMM_MAX, nodes.printable), "names", least=1),
    **{
        name: nodes.sequence(name, _pattern, "regular expressions", least=1) for name in PATTERNS
    },
    "user": nodes.sequence("user", _user, "names", least=1),
}
_GROUP = nodes.mapping(
    "group",
    {"name": nodes.at_most(GROUP_NAME_MAX, _group_name), **_CONDITIONS, "children": nodes.truth,
     "per_pid": nodes.truth},
)  # fmt: skip


def _group(node: yaml.Node) -> Group:
    values = _GROUP(node)
    if "name" not in values:
        raise ValueError("'name' is missing")
    if not values.keys() & _CONDITIONS:
        expected = ", ".join(CONDITIONS)
        raise ValueError(f"a condition is missing; expected one of: {expected}")
    return Group(**values)


def _groups(node: yaml.Node) -> tuple[Group, ...]:
    groups: tuple[Group, ...] = nodes.sequence("group", _group, "groups")(node)
    names: set[str] = set()
    comms: set[str] = set()
    faults: list[nodes.Fault] = []
    for item, group in zip(node.value, groups, strict=True):
        if group.name in names:
            text = f"group: the name {group.name!r} is taken, expected another"
            faults.append((nodes.line(item), text))
        names.add(group.name)
        # With more conditions than the name, several groups may share one.
        for comm in dict.fromkeys(group.comm if group.is_by_comm else ()):
            if comm in comms:
                text = f"group {group.name!r}: {comm!r} is in another group already"
                faults.append((nodes.line(item), text))
            comms.add(comm)
            if len(comms) == NAMES_MAX + 1:
                text = f"group {group.name!r}: expected at most {NAMES_MAX} names by comm in all"
                faults.append((nodes.line(item), text))
    if faults:
        raise nodes.Faults(faults)
    return groups


def _map_sizes(node: yaml.Node) -> dict[str, int]:
    # Imported for who sets a size: the maps' descriptions take more than all else here.
    from pidinfod.metrics.program import MAP_NAMES

    sizes = dict.fromkeys(sorted(MAP_NAMES), nodes.number(1, MAP_SIZE_MAX))
    found: dict[str, int] = nodes.mapping("map_sizes", sizes | {"events": _ring})(node)
    return found


_PER_PID = nodes.mapping(
    "per_pid",
    {
        "most": nodes.number(1, PER_PID_MAX),
        **dict.fromkeys(("cpu", "memory", "descriptors", "signals"), nodes.number(0, PER_PID_MAX)),
    },
)


def _seconds(node: yaml.Node) -> float:
    return float(nodes.number(0, 60)(node))


_KEYS: dict[str, nodes.Reader] = {
    "listen": lambda node: parse_listen(nodes.string(node)),
    "procfs": _procfs,
    "max_groups": nodes.number(16, 4096),
    "shown_groups": nodes.number(0, 4096),
    "group_ttl": nodes.number(0, 604_800),
    "deaths": nodes.number(16, 65536),
    "deaths_over_http": nodes.truth,
    "socket": nodes.at_most(SOCKET_PATH_MAX, _path),
    "kill_failures": nodes.truth,
    "groups": _groups,
    "map_sizes": _map_sizes,
    "share_seconds": _seconds,
    "per_pid": _PER_PID,
}


def _configuration(node: yaml.Node) -> Config:
    config = Config(**nodes.mapping("configuration", _KEYS)(node))
    # Two ids are taken: that of the kernel's threads and that of all others.
    least = len(config.groups) + 2
    if least > config.max_groups:
        given = {key.value: value for key, value in node.value}
        where = given.get("max_groups", given["groups"])
        text = f"max_groups: expected at least {least}, for the groups declared and two more"
        raise nodes.Faults([(nodes.line(where), text)])
    return config


def parse(text: str, file: str) -> Config:
    """The configuration in a text. Raises ConfigError."""
    try:
        root = nodes.compose(text)
        found = nodes.each([(root, "configuration", _configuration)], []) if root else [Config()]
    except nodes.Faults as error:
        lines = (f"{nodes.shown(file)}:{line}: {fault}" for line, fault in error.faults)
        raise ConfigError("\n".join(lines)) from None
    config: Config = found[0]
    return config


def load(given: Path | None) -> Config:
    """The configuration of the file that was given, of the usual one if there is none, or the
    defaults. Raises ConfigError."""
    if given is None and not os.path.lexists(DEFAULT_CONFIG):
        return Config()
    return read(given or Path(DEFAULT_CONFIG))


def read(path: Path) -> Config:
    """The configuration in a file. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            raw = file.read(FILE_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{nodes.shown(str(path))}: {error.strerror}") from None
    if len(raw) > FILE_MAX:
        raise ConfigError(f"{nodes.shown(str(path))}: expected at most {FILE_MAX} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{nodes.shown(str(path))}:{line}: expected UTF-8") from None
    return parse(text, str(path))
