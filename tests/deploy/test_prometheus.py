# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus that scrapes the lab, and every panel's query against it."""

import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest
import yaml

from tests.support import REPO
from tests.support import prometheus as support
from tests.support.daemon import SHARED, TESTED
from tests.support.machine import declaring

CONFIG = REPO / "deploy/prometheus/prometheus.yml"
RULES = REPO / "deploy/prometheus/rules.yml"
GRAFANA = REPO / "deploy/grafana"
BOARDS = {"host_overview.py": "host-overview.json", "groups.py": "groups.json"}  # made by code
INTERVAL = 2  # seconds between scrapes
MINUTE = f"{4 * INTERVAL}s"  # of the rules, which count on a scrape each 15 s
GROUP = "bash"  # declared: some panels are of those alone, or of what is 0 but for a moment
NOT_HERE = "pidinfod_group_swap_bytes"  # the lab has no swap: 0


def board(name):
    return json.loads((GRAFANA / name).read_text())


def queries(name):
    return [(panel["title"], target["expr"]) for panel in board(name)["panels"]
            for target in panel["targets"]]  # fmt: skip


ALL_QUERIES = [(name, *query) for name in BOARDS.values() for query in queries(name)]


def recorded():
    """The names that the rules record."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["record"] for group in groups for rule in group["rules"]}


@pytest.fixture(scope="module")
def prometheus(lab, tmp_path_factory):
    """With the project's configuration and rules, pointed at the lab, which has a declared group;
    all goes faster."""
    lab.configure(TESTED, SHARED, declaring(GROUP))
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load(CONFIG.read_text())
    config["global"]["scrape_interval"] = f"{INTERVAL}s"
    target = urllib.parse.urlsplit(lab.metrics_url).netloc
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    rules = re.sub(r"\b1m\b", MINUTE, RULES.read_text())
    (folder / RULES.name).write_text(rules)
    with support.prometheus(folder, config) as server:
        yield server
    lab.configure(TESTED, SHARED)


def test_configuration_is_good():
    subprocess.run(["promtool", "check", "config", CONFIG], check=True)


def test_rules_count_each_event_once():
    rules = REPO / "tests/deploy/rules.yml"
    done = subprocess.run(["promtool", "test", "rules", rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_metrics_are_well_formed(lab):
    with urllib.request.urlopen(lab.metrics_url) as answer:
        text = answer.read()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_query_returns_the_exact_counts(lab, prometheus):
    before = lab.scrape().value("pidinfod_ft_calls_total", syscall="ft_fork", result="ok")
    lab.exec("/root/src/ft_workload")
    time.sleep(3 * INTERVAL)
    found = prometheus.query('pidinfod_ft_calls_total{syscall="ft_fork", result="ok"}')
    assert [value for _, value in found] == [before + 211]


@pytest.mark.parametrize(("code", "name"), BOARDS.items())
def test_dashboard_is_what_its_code_makes(code, name):
    made = subprocess.run([sys.executable, GRAFANA / code], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert made.stdout == (GRAFANA / name).read_text()


def test_dashboards_lead_to_each_other():
    host, group = map(board, BOARDS.values())
    ways = {(made["uid"], link["url"]) for made in (host, group) for link in made["links"]}
    assert ways == {(host["uid"], f"/d/{group['uid']}"), (group["uid"], f"/d/{host['uid']}")}


@pytest.mark.parametrize("name", BOARDS.values())
def test_lines_of_a_group_lead_to_its_dashboard(name):
    """By labels that the lines have: else the way leads to no group."""
    for panel in board(name)["panels"]:
        lines = {label for target in panel["targets"]
                 for label in re.findall(r"{{(group|sender|target|parent)}}",
                                         target.get("legendFormat", ""))}  # fmt: skip
        ways = set()
        for link in panel["fieldConfig"]["defaults"].get("links", ()):
            url = urllib.parse.urlsplit(link["url"])
            assert url.path == f"/d/{board('groups.json')['uid']}", panel["title"]
            ways |= set(re.findall(r"var-group=\${__field\.labels\.(\w+):", url.query))
        assert ways == lines, panel["title"]
        for label in lines:
            assert any(re.search(rf"by \([^)]*\b{label}\b", target["expr"])
                       for target in panel["targets"]), panel["title"]  # fmt: skip


# One that blocks a signal and is stopped by its child, which it does not reap.
HELD = """
import os, signal, time
if os.fork() == 0:
    time.sleep(0.5)
    os.kill(os.getppid(), signal.SIGSTOP)
    os._exit(0)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
os.execv("/bin/bash", ["bash", "-c", "sleep 1; :"])
"""
# One leaves when it is asked, one has to be killed; and a call that fails.
SHUTDOWNS = """
sleep 99 & kill $!; wait
trap '' TERM; sleep 99 & trap - TERM; sleep 0.2; kill $!; kill -KILL $!; wait
(while :; do sleep 0.05; done) & sleep 0.2; kill $!; wait
(trap : TERM; while :; do sleep 0.05; done) & sleep 0.2; kill $!; sleep 0.2; kill -KILL $!; wait
! kill -TERM 3999999
"""
# Storage, for the program and what it reads and writes; and more that want to run than may.
WORK = """
cd /root; mkdir -p own; cp /bin/bash own/bash
printf '%*s' 300000 > own/file; sync; echo 3 > /proc/sys/vm/drop_caches
own/bash -c '
    read -rN 200000 text < own/file
    for one in 1 2 3 4 5; do for ((n = 0; n < 100000; n++)); do :; done & done; wait'
"""


@pytest.fixture(scope="module")
def busy(lab, prometheus):
    """Something to see in every panel: two scrapes apart."""
    lab.exec("systemd-run", "-q", "--collect", "--unit=held", "python3", "-c", HELD)
    for _ in range(2):
        lab.exec("/root/src/ft_workload")
        lab.exec("bash", "-c", SHUTDOWNS)
        lab.exec("bash", "-c", WORK)
        lab.exec("systemctl", "kill", "-s", "USR1", "held")  # pending, as it is stopped
        time.sleep(2 * INTERVAL)
    time.sleep(4 * INTERVAL)  # for the rules
    yield
    lab.exec("systemctl", "kill", "-s", "KILL", "held")


@pytest.mark.parametrize(("name", "title", "expression"), ALL_QUERIES)
def test_every_panel_has_data(busy, prometheus, name, title, expression):
    for variable, value in (
        ("$__rate_interval", "5m"), ("$__interval", "5m"), ("$instance", ".*"), ("$group", GROUP)
    ):  # fmt: skip
        expression = expression.replace(variable, value)
    assert not re.search(r"\$", expression)
    found = prometheus.query(expression)
    assert found, f"{title}: no data for {expression}"
    # NaN is what a quantile without observations is.
    values = [value for _, value in found if value == value]
    assert values, f"{title}: only NaN for {expression}"
    # All of this is of one group, which was seen to do it.
    if name == "groups.json" and NOT_HERE not in expression:
        assert max(values) > 0, f"{title}: it did not happen: {expression}"


def test_metrics_that_dashboards_and_rules_name_are_there(busy, lab):
    names = {name for name, _ in lab.scrape()}
    used = {word for *_, expr in ALL_QUERIES
            for word in re.findall(r"[\w:]*pidinfod_[\w:]+", expr)}  # fmt: skip
    assert {name for name in used if ":" in name} == recorded()
    in_rules = set(re.findall(r"(?<![\w:])pidinfod_\w+", RULES.read_text()))
    assert {name for name in used | in_rules if ":" not in name} <= names


def test_rules_count_the_first_of_a_kind(lab, prometheus):
    before = lab.scrape().value("pidinfod_exits_total", group=GROUP, status="SIGALRM")
    assert before == 0
    lab.exec("bash", "-c", "for one in 1 2 3; do bash -c 'kill -ALRM $$'; done; :")
    time.sleep(8 * INTERVAL)
    exits, sent = sorted(recorded())
    for selector in (
        f'{exits}{{group="{GROUP}", reason="signaled", status="SIGALRM"}}',
        f'{sent}{{sender="{GROUP}", target="{GROUP}", signal="SIGALRM"}}',
    ):
        assert [value for _, value in prometheus.query(f"sum_over_time({selector}[2m])")] == [3]
