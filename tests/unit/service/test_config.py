# SPDX-License-Identifier: Apache-2.0
import pytest
from conftest import REPO

from pidinfod.groups.rules import Group
from pidinfod.service.config import Config, ConfigError, parse


def test_empty_file_is_the_defaults():
    assert parse("", "f") == Config()


def test_everything():
    text = (
        "listen: '[::1]:1234'\nmax_groups: 17\ngroup_ttl: 0\ngroups:\n"
        "- name: web\n  comm: [nginx]\n"
        "- name: jobs\n  comm: [sh]\n  exe: [^/bin/]\n  cmdline: ['-c', x]\n  cgroup: [a]\n"
        "  unit: [cron]\n  container: [0f]\n  user: [root, 1001]\n  children: true\n"
    )
    config = parse(text, "f")
    assert config.listen == ("::1", 1234)
    assert config.max_groups == 17
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
        ("group_ttl: -1", "f:1: group_ttl: expected a whole number from 0 to 604800"),
        ("groups:\n- name: other\n  comm: [x]", "f:2: group: the name 'other' is taken"),
        ("groups:\n- name: a\n  comm: [x]\n- name: a\n  comm: [y]", "f:4: group: the name 'a'"),
        ("groups:\n- name: a\n  comm: [x]\n- name: b\n  comm: [x]", "f:4: group 'b': 'x' is in"),
        ("groups:\n- name: a\n  comm: [0123456789abcdef]", "is longer than 15 bytes"),
        ("map_sizes: 5", "f:1: map_sizes: expected a mapping"),
        ("map_sizes:\n  fork: 5", "f:2: map_sizes: unknown key 'fork'; expected one of: ft_calls"),
        ("map_sizes: {forks: few}", "f:1: map_sizes: forks: expected a whole number from 1 to 10"),
        ("map_sizes: {forks: 0}", "f:1: map_sizes: forks: expected a whole number from 1 to 10"),
        ("map_sizes: {forks: 1048577}", "f:1: map_sizes: forks: expected a whole number"),
        ("map_sizes: {events: 3}", "f:1: map_sizes: events: expected a power of two from 1 to 10"),
        ("- a", "f:1: configuration: expected a mapping"),
        ("a: [", "f:1: not YAML"),
    ],
)
def test_faults_name_file_line_and_what_was_expected(text, fault):
    with pytest.raises(ConfigError) as raised:
        parse(text, "f")
    assert fault in str(raised.value)


def test_map_sizes():
    assert parse("map_sizes: {forks: 3, events: 4}", "f").map_sizes == {"forks": 3, "events": 4}
    assert len(str(faults("map_sizes: {forks: few, fork: 5}")).splitlines()) == 2


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
