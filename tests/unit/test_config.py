# SPDX-License-Identifier: Apache-2.0
import pytest

from pidinfod.config import Config, ConfigError, Group, parse


def test_empty_file_is_the_defaults():
    assert parse("", "f") == Config()


def test_everything():
    text = "listen: '[::1]:1234'\nmax_groups: 17\ngroups:\n- name: web\n  comm: [nginx]\n"
    config = parse(text, "f")
    assert config.listen == ("::1", 1234)
    assert config.max_groups == 17
    assert config.groups == (Group("web", ("nginx",)),)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lisen: a:1", "f:1: configuration: unknown key 'lisen'; expected one of: listen"),
        ("\nlisten: here", "f:2: listen: expected HOST:PORT, got 'here'"),
        ("max_groups: many", "f:1: max_groups: expected a whole number from 16 to 4096"),
        ("max_groups: 5", "f:1: max_groups: expected a whole number from 16 to 4096"),
        ("max_groups: 16\nmax_groups: 17", "f:2: configuration: 'max_groups' is given twice"),
        ("groups: web", "f:1: groups: expected a list of groups"),
        ("groups:\n- name: a", "f:2: group: 'comm' is missing"),
        ("groups:\n- name: other\n  comm: [x]", "f:2: group: the name 'other' is taken"),
        ("groups:\n- name: a\n  comm: [x]\n- name: a\n  comm: [y]", "f:4: group: the name 'a'"),
        ("groups:\n- name: a\n  comm: [x]\n- name: b\n  comm: [x]", "f:4: group 'b': 'x' is in"),
        ("groups:\n- name: a\n  comm: [0123456789abcdef]", "is longer than 15 bytes"),
        ("- a", "f:1: configuration: expected a mapping"),
        ("a: [", "f:1: not YAML"),
    ],
)
def test_faults_name_file_line_and_what_was_expected(text, fault):
    with pytest.raises(ConfigError) as raised:
        parse(text, "f")
    assert fault in str(raised.value)


def test_all_faults_at_once():
    with pytest.raises(ConfigError) as raised:
        parse("a: 1\nb: 2\n", "f")
    assert len(str(raised.value).splitlines()) == 2
