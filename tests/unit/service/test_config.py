# SPDX-License-Identifier: Apache-2.0
"""Every configuration is good or costs one line for each fault, whatever is in it."""

import re
import subprocess
import sys
from dataclasses import fields

import pytest

from pidinfod.groups.rules import Group
from pidinfod.metrics.per_pid import Wanted
from pidinfod.metrics.program import families_text, map_sizes
from pidinfod.service import config as module
from pidinfod.service import nodes
from pidinfod.service.config import Config, ConfigError, load, parse, parse_listen, read
from tests.support import REPO


def test_empty_file_is_the_defaults():
    assert parse("", "f") == Config()


def test_everything():
    text = (
        "listen: '[::1]:1234'\nmax_groups: 17\nshown_groups: 0\ngroup_ttl: 0\ngroups:\n"
        "- name: web\n  comm: [nginx]\n"
        "- name: jobs\n  comm: [sh]\n  exe: [^/bin/]\n  cmdline: ['-c', x]\n  cgroup: [a]\n"
        "  unit: [cron]\n  container: [0f]\n  user: [root, 1001]\n  children: true\n"
    )
    config = parse(text, "f")
    assert config.listen == ("::1", 1234)
    assert config.max_groups == 17
    assert config.shown_groups == 0
    assert config.group_ttl == 0
    jobs = Group(
        "jobs", ("sh",), ("^/bin/",), ("-c", "x"), ("a",), ("cron",), ("0f",), ("root", "1001"),
        children=True,
    )  # fmt: skip
    assert config.groups == (Group("web", ("nginx",)), jobs)


def test_groups_with_more_than_a_name_may_share_it():
    text = "groups:\n- name: a\n  comm: [x]\n  user: [0]\n- name: b\n  comm: [x]\n"
    assert [group.comm for group in parse(text, "f").groups] == [("x",), ("x",)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lisen: a:1", "f:1: configuration: unknown key 'lisen'; expected one of: listen"),
        ("\nlisten: here", "f:2: listen: expected HOST:PORT, got 'here'"),
        ("max_groups: many", "f:1: max_groups: expected a whole number from 16 to 4096"),
        ("max_groups: 5", "f:1: max_groups: expected a whole number from 16 to 4096"),
        ("max_groups: 16\nmax_groups: 17", "f:2: configuration: 'max_groups' is given twice"),
        ("groups: web", "f:1: groups: expected a list of groups"),
        ("groups:\n- name: a", "f:2: group: a condition is missing; expected one of: comm, exe"),
        ("groups:\n- comm: [x]", "f:2: group: 'name' is missing"),
        ("groups:\n- web", "f:2: group: expected a mapping"),
        ("groups:\n- name: a\n  units: [x]", "f:3: group: unknown key 'units'; expected one of"),
        ("groups:\n- name: a\n  exe: [x]\n  exe: [y]", "f:4: group: 'exe' is given twice"),
        ("groups:\n- name: a\n  exe:\n  - ok\n  - (", "f:5: exe: '(' is no regular expression: "),
        ("groups:\n- name: a\n  unit: x", "f:3: unit: expected a list of regular expressions"),
        ("groups:\n- name: a\n  user: []", "f:3: user: expected a list of names"),
        ("groups:\n- name: a\n  user: [1.5]", "f:3: user: expected a string"),
        ("groups:\n- name: a\n  cgroup: [7]", "f:3: cgroup: expected a string"),
        ("groups:\n- name: a\n  comm: [x]\n  children: 1", "f:4: children: expected true or"),
        ("shown_groups: 4097", "f:1: shown_groups: expected a whole number from 0 to 4096"),
        ("group_ttl: -1", "f:1: group_ttl: expected a whole number from 0 to 604800"),
        ("groups:\n- name: other\n  comm: [x]", "f:2: name: the name 'other' is taken"),
        ("groups:\n- name: a\n  comm: [x]\n- name: a\n  comm: [y]", "f:4: group: the name 'a'"),
        ("groups:\n- name: a\n  comm: [x]\n- name: b\n  comm: [x]", "f:4: group 'b': 'x' is in"),
        ("groups:\n- name: a\n  comm: [0123456789abcdef]", "f:3: comm: expected at most 15 bytes"),
        ("map_sizes: 5", "f:1: map_sizes: expected a mapping"),
        ("map_sizes:\n  fork: 5", "f:2: map_sizes: unknown key 'fork'; expected one of: depart"),
        ("map_sizes: {forks: few}", "f:1: forks: expected a whole number from 1 to 10"),
        ("map_sizes: {forks: 0}", "f:1: forks: expected a whole number from 1 to 10"),
        ("map_sizes: {forks: 1048577}", "f:1: forks: expected a whole number"),
        ("map_sizes: {events: 4097}", "f:1: events: expected a power of two from 4096 to 268"),
        ("map_sizes: {events: 2048}", "f:1: events: expected a whole number from 4096 to 268"),
        ("- a", "f:1: configuration: expected a mapping"),
        ("a: [", "f:1: not YAML"),
    ],
)
def test_faults_name_file_line_and_what_was_expected(text, fault):
    (line,) = str(faults(text)).splitlines()
    assert fault in line


def test_map_sizes():
    text = "map_sizes: {forks: 3, events: 268435456}"
    assert parse(text, "f").map_sizes == {"forks": 3, "events": 1 << 28}
    assert len(str(faults("map_sizes: {forks: few, fork: 5}")).splitlines()) == 2


def test_every_map_that_is_sized_by_name_can_be_sized():
    """Each size that the program's text names has a key here, but that of max_groups."""
    text = families_text() + "".join(path.read_text() for path in (REPO / "bpf").glob("*.bpf.c"))
    sized = {name.lower() for name in re.findall(r"\bSIZE_([A-Z_]+)", text)}
    names = {name for name in sized if not name.startswith("of_")} - {"groups"}
    assert len(names) > 17
    given = parse("map_sizes:\n" + "".join(f"  {name}: 4096\n" for name in names), "f").map_sizes
    assert given == dict.fromkeys(names, 4096)
    sizes = map_sizes(1024, 2, given)
    assert {name: sizes[name] for name in names} == given
    for name in ("groups", "seen", "settings"):
        assert f"unknown key '{name}'" in str(faults(f"map_sizes: {{{name}: 64}}"))


def test_single_processes():
    assert parse("per_pid: {cpu: 3, most: 7}", "f").per_pid == {"cpu": 3, "most": 7}
    Wanted(**parse("per_pid: {cpu: 0, memory: 1, descriptors: 2, signals: 3}", "f").per_pid)
    for text, fault in (
        ("{most: 0}", "most: expected"), ("{cpu: -1}", "cpu: expected"), ("[cpu]", "per_pid: "),
        ("{memory: 1025}", "memory: expected"), ("{pids: 1}", "per_pid: unknown key 'pids'"),
    ):  # fmt: skip
        assert fault in str(faults(f"per_pid: {text}"))
    text = "groups: [{name: web, comm: [x], per_pid: true}, {name: db, comm: [y]}]"
    (web, db) = parse(text, "f").groups
    assert (web.per_pid, db.per_pid) == (True, False)


@pytest.mark.parametrize("seconds", [0, 1, 60])
def test_share_seconds(seconds):
    assert parse(f"share_seconds: {seconds}", "f").share_seconds == seconds


def test_the_file_that_is_installed_tells_the_defaults():
    """Each key stands in it, commented out, with the value that is taken without it."""
    shipped = (REPO / "deploy/config/config.yml").read_text()
    found = re.findall(r"^# ([a-z_]+): ?(.*)$", shipped, re.MULTILINE)
    assert [name for name, _ in found] == list(dict.fromkeys(name for name, _ in found))
    assert {name for name, _ in found} == {field.name for field in fields(Config)}
    plain = "\n".join(f"{name}: {value}" for name, value in found if value)
    assert parse(plain, "f") == Config()
    assert {name for name, value in found if not value} == {"map_sizes", "groups", "per_pid"}


def faults(text):
    with pytest.raises(ConfigError) as raised:
        parse(text, "f")
    return raised.value


def test_all_faults_at_once():
    with pytest.raises(ConfigError) as raised:
        parse("a: 1\nb: 2\n", "f")
    assert len(str(raised.value).splitlines()) == 2


def test_the_examples_are_good():
    """What the installed file has commented out, and what the README shows."""
    shipped = (REPO / "deploy/config/config.yml").read_text()
    lines = [line.removeprefix("# ") for line in shipped.splitlines()]
    start = lines.index("groups:")
    readme = (REPO / "README.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    examples = [parse("\n".join(lines[start:]), "f").groups, parse(readme, "f").groups]
    assert examples[0] == examples[1]
    assert [group.name for group in examples[0]] == ["web", "backup", "nightly", "containers"]


GROUP = "groups:\n- name: "
A = "groups:\n- name: a\n  "


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        # Numbers are decimal digits.
        *(
            (f"deaths: {number}", "1: deaths: expected a whole number from 16 to 65536")
            for number in (
                "!!int foo", "!!int ''", "!!int '1:30'", "1:30", "0o17", "0o100", "0x20", "0100",
                "1_000", "+100", "-100", "1e3", "100.0", "'100'", "~", "", "[100]", "{a: 1}", "yes",
                "\"\\u0661\\u0660\\u0660\"", "65537", "15", "9" * 19, "9" * 20, "!!float 100",
                "!x 100", "!!python/object/apply:os.system [x]",
            )
        ),
        *(
            (f"kill_failures: {truth}", "1: kill_failures: expected true or false")
            for truth in ("!!bool maybe", "!!bool ''", "1", "'true'", "tRUE", "[true]", "", "y")
        ),
        *(
            (f"share_seconds: {number}", "1: share_seconds: expected a whole number from 0 to 60")
            for number in ("61", "-1", "0.5", "1e1", "'1'", "true", "[1]", "")
        ),
        ("max_groups: 4097", "1: max_groups: expected a whole number from 16 to 4096"),
        # Listen.
        *(
            (f"listen: {address}", f"1: listen: expected {what}")
            for address, what in (
                ("[a]", "a string"), ("10548", "a string"), ("localhost", "HOST:PORT"),
                ("'localhost:'", "HOST:PORT"), ("':10548'", "HOST:PORT"),
                ("localhost:65536", "HOST:PORT"), ("localhost:-1", "HOST:PORT"),
                ("localhost:99999999", "HOST:PORT"), ("\"a:\\u00b2\"", "HOST:PORT"),
                ("'::1:80'", "HOST:PORT"), ("'[::1]'", "HOST:PORT"), ("'[::g]:80'", "HOST:PORT"),
                ("'[::1::]:80'", "an address"), ("300.1.1.1:80", "an address"),
                ("1.2.3:80", "an address"), ("a b:80", "HOST:PORT"), ("http://a:80", "HOST:PORT"),
            )
        ),
        # Paths.
        ("socket: run/s", "1: socket: expected a path from / on, got 'run/s'"),
        ("socket: /" + "s" * 107, "1: socket: expected at most 107 bytes"),
        ("socket: /" + "\u00e9" * 54, "1: socket: expected at most 107 bytes"),
        ('socket: "/a\\eb"', "1: socket: expected printable text without blanks around it, got"),
        ("socket: [a]", "1: socket: expected a string"),
        ("procfs: proc", "1: procfs: expected a path from / on"),
        ("procfs: /nonexistent", "1: procfs: expected a folder like /proc, got '/nonexistent': No"),
        ("procfs: /proc/version", "1: procfs: expected a folder like /proc, got '/proc/version': "),
        ("procfs: /proc/self/ns", "1: procfs: expected a folder like /proc, got '/proc/self/ns' w"),
        # Names.
        (GROUP + "''\n  comm: [x]", "2: name: expected a string"),
        (GROUP + "7\n  comm: [x]", "2: name: expected a string"),
        (GROUP + "' a'\n  comm: [x]", "2: name: expected printable text without blanks around"),
        (GROUP + '"a\\n"\n  comm: [x]', "2: name: expected printable text without blanks around"),
        (GROUP + '"a\\e[2J"\n  comm: [x]', "2: name: expected printable text without blanks"),
        (GROUP + '"a\\ud800"\n  comm: [x]', "2: name: expected printable text without blanks"),
        (GROUP + "a" * 64 + "\n  comm: [x]", "2: name: expected at most 63 bytes"),
        (GROUP + "\u00e9" * 32 + "\n  comm: [x]", "2: name: expected at most 63 bytes"),
        (GROUP + "kernel\n  comm: [x]", "2: name: the name 'kernel' is taken"),
        (GROUP + "'comm:x'\n  comm: [x]", "2: name: the name 'comm:x' is taken"),
        (A + 'comm: ["\\ud800"]', "3: comm: expected printable text"),
        (A + 'comm: ["\\0"]', "3: comm: expected printable text"),
        (A + "comm: [" + "\u00e9" * 8 + "]", "3: comm: expected at most 15 bytes"),
        (A + "comm: [[x]]", "3: comm: expected a string"),
        (A + "comm: &c [*c]", "3: comm: expected a string"),
        (A + "comm: !!set {x}", "3: comm: expected a list of names"),
        (A + "user: [010]", "3: user: expected a whole number from 0 to 4294967294"),
        (A + "user: [1_0]", "3: user: expected a whole number from 0 to 4294967294"),
        (A + "user: [1:30]", "3: user: expected a whole number from 0 to 4294967294"),
        (A + "user: ['4294967295']", "3: user: expected a whole number from 0 to 4294967294"),
        (A + "user: [!!int '']", "3: user: expected a whole number from 0 to 4294967294"),
        # Patterns.
        *(
            (A + f"exe: ['{pattern}']", "3: exe: ")
            for pattern in ("(", "[a", "*", r"\Q", "a{99999999999999999999}", "(?P<a")
        ),
        # YAML.
        ("a: b: c", "1: not YAML: mapping values are not allowed here"),
        ("deaths: 100\n\tsocket: /s", "2: not YAML: "),
        ("deaths: 100\nsocket: '/s\0'", "2: not YAML: expected no character '\\x00'"),
        ("deaths: 100\nsocket: '/s\x1b[2J'", "2: not YAML: expected no character '\\x1b'"),
        ("\n\"\\UFFFFFFFF\"", "2: not YAML: expected a character of Unicode"),
        ("deaths: 100\n---\ndeaths: 100", "2: not YAML: expected a single document"),
        ("deaths: *none", "1: not YAML: found undefined alias 'none'"),
        ("a: &a 1\nb: &a 2", "2: not YAML: found duplicate anchor 'a'"),
        ("%YAML 7.0\n---\ndeaths: 100", "1: not YAML: found incompatible YAML document"),
        ("deaths", "1: configuration: expected a mapping"),
        ("17", "1: configuration: expected a mapping"),
        ("~", "1: configuration: expected a mapping"),
        ("!!map 17", "1: configuration: expected a mapping"),
        ("!mine {deaths: 100}", "1: configuration: expected a mapping"),
        ("? [a]\n: b", "1: configuration: unknown key …; expected one of: listen"),
        ("? {a: b}\n: c", "1: configuration: unknown key …; expected one of: listen"),
        ("? &a [*a]\n: c", "1: configuration: unknown key …; expected one of: listen"),
        ("1: 2", "1: configuration: unknown key '1'; expected one of: listen"),
        ("!!int deaths: 100", "1: configuration: unknown key 'deaths'; expected one of: listen"),
        ('"\\e[2J": 2', "1: configuration: unknown key '\\x1b[2J'; expected one of: listen"),
        ("map_sizes:\n  <<: {forks: 7}", "2: map_sizes: unknown key '<<'; expected one of: depart"),
        ("&a {groups: *a}", "1: groups: expected a list of groups"),
        ("groups: &a [*a]", "1: group: expected a mapping"),
        ("groups: &a\n- name: a\n  exe: *a", "2: exe: expected a string"),
        (GROUP + "a\n  comm: [x]\n- {name: b, comm: [x]}", "4: group 'b': 'x' is in another group"),
    ],
)  # fmt: skip
def test_each_odd_thing_is_one_line(text, fault):
    got = str(faults(text))
    assert got.isprintable(), got
    assert got.startswith(f"f:{fault}"), got


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nested_too_deeply(opening):
    assert str(faults("\n" + opening * 601)) == "f:2: not YAML: expected fewer levels of nesting"


def test_long_values_are_cut_in_messages():
    for text in ("deaths: " + "9" * 5003, A + f"exe: ['{'(' * 997}']", "x" * 5003 + ": 7"):
        (line,) = str(faults(text)).splitlines()
        assert len(line) < 300


@pytest.mark.parametrize(
    ("text", "shown"),
    [("/a b", "/a b"), ("/caf\u00e9\\", "/caf\u00e9\\"), ("a\n\udcff", "'a\\n\\udcff'")],
)
def test_names_of_files_in_messages(text, shown):
    assert nodes.shown(text) == shown


def test_an_alias_that_is_wrong_is_told_once():
    text = "groups:\n- {name: a, exe: &p ['(']}\n- {name: b, exe: *p}\n- {name: c, unit: ['[']}\n"
    assert [line[:11] for line in str(faults(text)).splitlines()] == ["f:2: exe: '", "f:4: unit: "]


def test_aliases_are_good():
    text = "groups:\n- {name: a, exe: &p [x]}\n- {name: b, exe: *p}\n"
    assert [group.exe for group in parse(text, "f").groups] == [("x",), ("x",)]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "{}", "\ufeff"])
def test_nothing_in_it(text):
    assert parse(text, "f") == Config()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:0", ("localhost", 0)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
        ("[::]:80", ("::", 80)),
        ("[::ffff:127.0.0.1]:80", ("::ffff:127.0.0.1", 80)),
        ("a-b.example.org:80", ("a-b.example.org", 80)),
    ],
)
def test_listen(text, address):
    assert parse_listen(text) == address


def test_at_the_caps():
    text = (
        f"socket: /{'s' * 106}\ndeaths: 65536\nmax_groups: 4096\ndeaths_over_http: yes\n"
        f"procfs: /proc/self/..\ngroups:\n- name: {'a' * 63}\n  comm: [{'c' * 15}]\n"
        "  user: [4294967294, '7']\n"
    )
    config = parse(text, "f")
    assert len(str(config.socket)) == 107
    assert (config.deaths, config.max_groups, config.deaths_over_http) == (65536, 4096, True)
    assert config.groups == (Group("a" * 63, ("c" * 15,), user=("4294967294", "7")),)


def many_groups(count):
    return "groups:\n" + "".join(f"- {{name: g{i}, comm: [c{i}]}}\n" for i in range(count))


def test_as_many_groups_as_there_is_room_for():
    assert len(parse(many_groups(14) + "max_groups: 16\n", "f").groups) == 14
    fault = "max_groups: expected at least 1025, for the groups declared and two more"
    # The line of the key if it is given, else where the groups begin.
    assert str(faults(many_groups(1023))) == f"f:2: {fault}"
    fault = fault.replace("1025", "17")
    assert str(faults(many_groups(15) + "max_groups: 16\n")) == f"f:17: {fault}"


def test_as_many_names_as_there_is_room_for(monkeypatch):
    monkeypatch.setattr(module, "NAMES_MAX", 7)
    assert parse(many_groups(7), "f")
    fault = "expected at most 7 names by comm in all"
    assert str(faults(many_groups(11))) == f"f:9: group 'g7': {fault}"
    # One that the kernel does not decide by name takes no room.
    assert parse(many_groups(7) + "- {name: x, comm: [x], user: [0]}\n", "f")
    assert str(faults(A + "comm: [a, b, c, d, e, f, g, h]")) == f"f:2: group 'a': {fault}"


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"deaths: 100\n# caf\xe9\n", "{}:2: expected UTF-8"),
        (b"\xff\xfed\0", "{}:1: expected UTF-8"),
        (b"#" * 1_048_577, "{}: expected at most 1048576 bytes"),
    ],
    ids=["latin", "utf16", "long"],
)
def test_a_file_with_odd_bytes(tmp_path, raw, fault):
    path = tmp_path / "c.yml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError) as raised:
        read(path)
    assert str(raised.value) == fault.format(path)


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to("loop")
    for name, fault in (
        ("", "Is a directory"),
        ("none", "No such file or directory"),
        ("loop", "Too many levels of symbolic links"),
        ("n" * 256, "File name too long"),
    ):
        with pytest.raises(ConfigError) as raised:
            load(tmp_path / name)
        assert str(raised.value) == f"{tmp_path / name}: {fault}"
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "\x1b[2J\udce9")
    assert str(raised.value).isprintable()
    monkeypatch.setattr(module, "DEFAULT_CONFIG", str(tmp_path / "none"))
    assert load(None) == Config()
    # One that is there and cannot be read is not one that is not there.
    monkeypatch.setattr(module, "DEFAULT_CONFIG", str(tmp_path / "loop"))
    with pytest.raises(ConfigError):
        load(None)


def test_reading_it_imports_no_more_than_it_takes():
    program = (
        "import sys; from pidinfod.service.config import parse;"
        "parse('groups: [{name: a, comm: [x], user: [root]}]', 'f');"
        "dear = {'ctypes', 'bcc', 'regex', 'http', 'prometheus_client', 'pidinfod.metrics'};"
        "assert not dear & set(sys.modules), sys.modules.keys();"
        "parse('groups: [{name: a, exe: [x]}]', 'f'); assert 'regex' in sys.modules;"
        "assert 'pidinfod.metrics' not in sys.modules;"
        "parse('map_sizes: {forks: 7}', 'f'); assert 'pidinfod.metrics' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPO)
