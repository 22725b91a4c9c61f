# SPDX-License-Identifier: Apache-2.0
"""YAML by a strict schema: readers of its nodes, which know their lines.

Nothing is constructed by YAML itself. A reader takes a node and gives its value, or raises
ValueError with what was expected. A number is decimal digits, whatever else YAML takes for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

Reader = Callable[[yaml.Node], Any]
Fault = tuple[int, str]  # the line, from 1 on, and what is wrong there


class Faults(ValueError):
    """What is wrong, in the order of the text, each once."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        super().__init__(faults)
        # What an alias names is read again, and is wrong again.
        self.faults = tuple(dict.fromkeys(faults))


def line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def shown(text: str) -> str:
    """A text in one line, without what a terminal would obey."""
    return text if text.isprintable() else ascii(text)


def quoted(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")


def compose(text: str) -> yaml.Node | None:
    """The root of a text's nodes; None of an empty one. Raises Faults."""
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        reason = f"expected no character {text[error.position]!a}"
        raise Faults([(text.count("\n", 0, error.position) + 1, f"not YAML: {reason}")]) from None
    try:
        root: yaml.Node | None = loader.get_single_node()
        return root
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark or loader.get_mark()
        at, reason = mark.line, ", ".join(filter(None, (error.context, error.problem)))
    except (ValueError, OverflowError):  # of an escape that is beyond Unicode
        at, reason = loader.line, "expected a character of Unicode"
    except RecursionError:
        at, reason = loader.line, "expected fewer levels of nesting"
    raise Faults([(at + 1, f"not YAML: {shown(reason)}")])


def each(wanted: Iterable[tuple[yaml.Node, str, Reader]], faults: list[Fault]) -> list[Any]:
    """The values of nodes, by what each is called and its reader. Raises Faults: those that were
    found before, and all those of the nodes."""
    values = []
    for node, what, reader in wanted:
        try:
            values.append(reader(node))
        except Faults as inner:
            faults += inner.faults
        except ValueError as error:
            faults.append((line(node), f"{what}: {error}"))
    if faults:
        raise Faults(faults)
    return values


def mapping(what: str, readers: Mapping[str, Reader]) -> Reader:
    """A dict by the reader of each key; unknown and double keys are faults."""

    def read(node: yaml.Node) -> dict[str, Any]:
        if not isinstance(node, yaml.MappingNode) or node.tag != "tag:yaml.org,2002:map":
            raise ValueError("expected a mapping")
        nodes: dict[str, yaml.Node] = {}
        faults: list[Fault] = []
        for key_node, value_node in node.value:
            key = scalar(key_node, "str")
            if key is None or key not in readers:
                name = quoted(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "…"
                expected = ", ".join(readers)
                text = f"{what}: unknown key {name}; expected one of: {expected}"
                faults.append((line(key_node), text))
            elif key in nodes:
                faults.append((line(key_node), f"{what}: {key!r} is given twice, expected once"))
            else:
                nodes[key] = value_node
        values = each([(value, key, readers[key]) for key, value in nodes.items()], faults)
        return dict(zip(nodes, values, strict=True))

    return read


def sequence(what: str, reader: Reader, kind: str, least: int = 0) -> Reader:
    """A tuple by the reader of all its values."""

    def read(node: yaml.Node) -> tuple[Any, ...]:
        is_list = isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq"
        if not is_list or len(node.value) < least:
            raise ValueError(f"expected a list of {kind}")
        return tuple(each([(item, what, reader) for item in node.value], []))

    return read


def scalar(node: yaml.Node, kind: str) -> str | None:
    """The text of a scalar of one of YAML's kinds; None when the node is something else."""
    is_kind = isinstance(node, yaml.ScalarNode) and node.tag == f"tag:yaml.org,2002:{kind}"
    return str(node.value) if is_kind else None


def decimal(text: str | None, least: int, most: int) -> int:
    """The number that decimal digits tell. Raises ValueError."""
    if text and re.fullmatch("0|[1-9][0-9]{0,18}", text) and least <= int(text) <= most:
        return int(text)
    raise ValueError(f"expected a whole number from {least} to {most}")


def number(least: int, most: int) -> Reader:
    return lambda node: decimal(scalar(node, "int"), least, most)


def truth(node: yaml.Node) -> bool:
    values: Mapping[str, bool] = yaml.SafeLoader.bool_values
    value = values.get((scalar(node, "bool") or "").lower())
    if value is None:
        raise ValueError("expected true or false")
    return value


def string(node: yaml.Node) -> str:
    text = scalar(node, "str")
    if not text:
        raise ValueError("expected a string")
    return text


def printable(node: yaml.Node) -> str:
    text = string(node)
    if not text.isprintable() or text != text.strip():
        raise ValueError(f"expected printable text without blanks around it, got {quoted(text)}")
    return text


def at_most(size: int, reader: Reader) -> Reader:
    """A text of at most so many bytes."""

    def read(node: yaml.Node) -> Any:
        text = reader(node)
        if len(str(text).encode()) > size:
            raise ValueError(f"expected at most {size} bytes, {quoted(str(text))} is longer")
        return text

    return read
