# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus that scrapes the lab, and every panel's query against it."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest
import yaml
from conftest import REPO, scrape

CONFIG = REPO / "deploy/prometheus/prometheus.yml"
DASHBOARD = REPO / "deploy/grafana/host-overview.json"
INTERVAL = 2  # seconds between scrapes


def panels():
    board = json.loads(DASHBOARD.read_text())
    return [(panel["title"], target["expr"]) for panel in board["panels"]
            for target in panel["targets"]]  # fmt: skip


class Prometheus:
    def __init__(self, url):
        self.url = url

    def query(self, expression):
        """The samples of an instant query: labels and value."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{query}", timeout=30) as answer:
            result = json.load(answer)["data"]["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def wait_for(self, expression, seconds=60):
        deadline = time.monotonic() + seconds
        while not (found := self.query(expression)):
            assert time.monotonic() < deadline, f"nothing for {expression} in {seconds} s"
            time.sleep(0.5)
        return found


@pytest.fixture(scope="module")
def prometheus(lab, tmp_path_factory):
    """Debian's Prometheus with the project's configuration, pointed at the lab."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = yaml.safe_load(CONFIG.read_text())
    config["global"]["scrape_interval"] = f"{INTERVAL}s"
    target = urllib.parse.urlsplit(lab.metrics_url).netloc
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [target]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--web.listen-address={address}",
        f"--storage.tsdb.path={folder}/data", "--log.level=warn",
    ]  # fmt: skip
    with subprocess.Popen(command) as process:
        try:
            server = Prometheus(f"http://{address}")
            deadline = time.monotonic() + 60
            while True:
                try:
                    urllib.request.urlopen(f"{server.url}/-/ready", timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
            server.wait_for("up == 1")
            yield server
        finally:
            process.terminate()


def test_configuration_is_good():
    subprocess.run(["promtool", "check", "config", CONFIG], check=True)


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
    names = {name for name, _ in scrape(lab.metrics_url)}
    used = {word for _, expr in panels() for word in re.findall(r"pidinfod_\w+", expr)}
    assert used <= names
