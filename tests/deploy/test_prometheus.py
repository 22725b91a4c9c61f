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
DASHBOARD = REPO / "deploy/grafana/host-overview.json"
INTERVAL = 2  # seconds between scrapes
MINUTE = f"{4 * INTERVAL}s"  # of the rules, which count on a scrape each 15 s
GROUP = "bash"  # declared: some panels are of those alone, or of what is 0 but for a moment


def panels():
    board = json.loads(DASHBOARD.read_text())
    return [(panel["title"], target["expr"]) for panel in board["panels"]
            for target in panel["targets"]]  # fmt: skip


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


def test_dashboard_is_what_its_code_makes():
    made = subprocess.run(
        [sys.executable, REPO / "deploy/grafana/host_overview.py"], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout == DASHBOARD.read_text()


@pytest.fixture(scope="module")
def busy(lab, prometheus):
    """Something to see in every panel: two scrapes apart."""
    # One leaves when it is asked, one has to be killed; and a call that fails.
    shutdowns = (
        "sleep 99 & kill $!; wait; trap '' TERM; sleep 99 & trap - TERM; "
        "sleep 0.2; kill $!; kill -KILL $!; wait; ! kill -TERM 3999999"
    )
    for _ in range(2):
        lab.exec("/root/src/ft_workload")
        lab.exec("bash", "-c", shutdowns)
        time.sleep(2 * INTERVAL)


@pytest.mark.parametrize(("title", "expression"), panels())
def test_every_panel_has_data(busy, prometheus, title, expression):
    expression = expression.replace("$__rate_interval", "1m").replace("$instance", ".*")
    assert not re.search(r"\$", expression)
    found = prometheus.query(expression)
    assert found, f"{title}: no data for {expression}"
    # NaN is what a quantile without observations is.
    assert any(value == value for _, value in found)


def test_scrape_has_the_metrics_that_the_dashboard_names(lab):
    names = {name for name, _ in lab.scrape()}
    used = {word for _, expr in panels() for word in re.findall(r"pidinfod_\w+", expr)}
    assert used <= names


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
