# SPDX-License-Identifier: Apache-2.0
"""The configuration file: YAML with a strict schema.

Every fault is told in one line with file, line and what was expected, and all of them at
once; a file with a fault starts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from pidinfod import DEFAULT_CONFIG
from pidinfod.groups.rules import CONDITIONS, PATTERNS, Group
from pidinfod.kernel.loader import MAP_SIZES

COMM_MAX = 15  # a process's name in bytes; the kernel cuts longer ones
# The least and the most of each number.
NUMBERS = {"max_groups": (16, 4096), "deaths": (16, 1_000_000), "group_ttl": (0, 604_800)}
MAP_SIZE_MAX = 1 << 20


@dataclass(frozen=True)
class Config:
    """What the daemon is told; the defaults are those of an empty file."""

    listen: tuple[str, int] = ("127.0.0.1", 10548)
    procfs: Path = Path("/proc")
    max_groups: int = 256
    group_ttl: int = 300  # seconds without a process, after which gauges of a name go
    deaths: int = 4096  # remembered at most
    socket: Path = Path("/run/pidinfod/pidinfod.sock")
    kill_failures: bool = True  # also attempts with signal 0
    groups: tuple[Group, ...] = ()
    map_sizes: Mapping[str, int] = field(default_factory=dict)  # of MAP_SIZES


class ConfigError(ValueError):
    """One or more faults, one line each."""


def parse_listen(text: str) -> tuple[str, int]:
    """HOST:PORT, [IPV6]:PORT. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


class _Reader:
    """Walks the YAML nodes, which know their lines, and collects faults."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.faults: list[str] = []

    def fault(self, node: yaml.Node, text: str) -> None:
        self.faults.append(f"{self.file}:{node.start_mark.line + 1}: {text}")

    def mapping(
        self, node: yaml.Node, what: str, keys: dict[str, Callable[[yaml.Node, str], Any]]
    ) -> dict[str, Any]:
        """The values of a mapping by the reader of each key; unknown and double keys are faults."""
        values: dict[str, Any] = {}
        if not isinstance(node, yaml.MappingNode):
            self.fault(node, f"{what}: expected a mapping")
            return values
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key not in keys:
                expected = ", ".join(keys)
                self.fault(key_node, f"{what}: unknown key {key!r}; expected one of: {expected}")
            elif key in values:
                self.fault(key_node, f"{what}: {key!r} is given twice")
            else:
                values[key] = keys[key](value_node, key)
        return values

    def text(self, node: yaml.Node, what: str) -> str:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str" and node.value:
            return str(node.value)
        self.fault(node, f"{what}: expected a string")
        return ""

    def listen(self, node: yaml.Node, what: str) -> tuple[str, int] | None:
        try:
            return parse_listen(self.text(node, what))
        except ValueError as error:
            self.fault(node, f"{what}: {error}")
            return None

    def number(self, node: yaml.Node, what: str) -> int:
        least, most = NUMBERS[what]
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:int":
            value = int(yaml.safe_load(node.value))
            if least <= value <= most:
                return value
        self.fault(node, f"{what}: expected a whole number from {least} to {most}")
        return 0

    def map_size(self, node: yaml.Node, what: str) -> int:
        value = 0
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:int":
            value = int(yaml.safe_load(node.value))
        is_odd = what == "events" and value & value - 1  # the ring's pages
        if not 1 <= value <= MAP_SIZE_MAX or is_odd:
            kind = "power of two" if what == "events" else "whole number"
            self.fault(node, f"map_sizes: {what}: expected a {kind} from 1 to {MAP_SIZE_MAX}")
        return value

    def map_sizes(self, node: yaml.Node, what: str) -> dict[str, int]:
        return self.mapping(node, what, dict.fromkeys(MAP_SIZES, self.map_size))

    def truth(self, node: yaml.Node, what: str) -> bool:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:bool":
            return bool(yaml.safe_load(node.value))
        self.fault(node, f"{what}: expected true or false")
        return False

    def comm(self, node: yaml.Node, what: str) -> str:
        name = self.text(node, what)
        if len(name.encode()) > COMM_MAX:
            self.fault(node, f"{what}: {name!r} is longer than {COMM_MAX} bytes, where names end")
        return name

    def user(self, node: yaml.Node, what: str) -> str:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:int":
            return str(int(yaml.safe_load(node.value)))
        return self.text(node, what)

    def pattern(self, node: yaml.Node, what: str) -> str:
        text = self.text(node, what)
        try:
            re.compile(text)
        except re.error as error:
            self.fault(node, f"{what}: {text!r} is no regular expression: {error}")
        return text

    def condition(self, node: yaml.Node, what: str) -> tuple[str, ...]:
        read = self.pattern if what in PATTERNS else {"comm": self.comm, "user": self.user}[what]
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            kind = "regular expressions" if what in PATTERNS else "names"
            self.fault(node, f"{what}: expected a list of {kind}")
            return ()
        return tuple(read(item, what) for item in node.value)

    def groups(self, node: yaml.Node, what: str) -> tuple[Group, ...]:
        if not isinstance(node, yaml.SequenceNode):
            self.fault(node, f"{what}: expected a list of groups")
            return ()
        keys: dict[str, Callable[[yaml.Node, str], Any]] = {
            "name": self.text, **dict.fromkeys(CONDITIONS, self.condition), "children": self.truth,
        }  # fmt: skip
        groups: list[Group] = []
        names, comms = {"kernel", "other"}, set[str]()
        for item in node.value:
            values = self.mapping(item, "group", keys)
            if not isinstance(item, yaml.MappingNode):
                continue
            if "name" not in values:
                self.fault(item, "group: 'name' is missing")
            if not any(name in values for name in CONDITIONS):
                expected = ", ".join(CONDITIONS)
                self.fault(item, f"group: a condition is missing; expected one of: {expected}")
            group = Group(**{"name": "", **values})
            if group.name in names:
                self.fault(item, f"group: the name {group.name!r} is taken")
            names.add(group.name)
            # With more conditions than the name, several groups may share one.
            if group.is_by_comm:
                for double in sorted(comms.intersection(group.comm)):
                    text = f"group {group.name!r}: {double!r} is in another group already"
                    self.fault(item, text)
                comms.update(group.comm)
            groups.append(group)
        return tuple(groups)


def parse(text: str, file: str) -> Config:
    """The configuration in a text. Raises ConfigError."""
    reader = _Reader(file)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{file}:{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {error}") from None
    if node is None:
        return Config()
    keys: dict[str, Callable[[yaml.Node, str], Any]] = {
        "listen": reader.listen,
        "procfs": lambda node, what: Path(reader.text(node, what)),
        "max_groups": reader.number,
        "group_ttl": reader.number,
        "deaths": reader.number,
        "kill_failures": reader.truth,
        "socket": lambda node, what: Path(reader.text(node, what)),
        "groups": reader.groups,
        "map_sizes": reader.map_sizes,
    }
    values = reader.mapping(node, "configuration", keys)
    config = replace(Config(), **values) if not reader.faults else Config()
    # Two ids are taken: the kernel's and that of all others.
    if not reader.faults and len(config.groups) + 2 > config.max_groups:
        reader.fault(node, f"max_groups: {config.max_groups} is too few for the groups declared")
    if reader.faults:
        raise ConfigError("\n".join(reader.faults))
    return config


def load(given: Path | None) -> Config:
    """The configuration of the file that was given, of the usual one if there is none, or the
    defaults. Raises ConfigError."""
    path = given or Path(DEFAULT_CONFIG)
    return read(path) if given or path.exists() else Config()


def read(path: Path) -> Config:
    """The configuration in a file. Raises ConfigError."""
    try:
        return parse(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: {reason}") from None
