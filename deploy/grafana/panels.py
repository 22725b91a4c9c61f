# SPDX-License-Identifier: Apache-2.0
"""What the dashboards share: their panels, queries, variables, and the ways between them."""

from __future__ import annotations

import re

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import GraphDrawStyle, StackingMode
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef

SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
HOST = 'instance=~"$instance"'
FULL, HALF = 24, 12
HOST_BOARD, GROUP_BOARD = "pidinfod-host", "pidinfod-group"

# Labels whose value is a group.
GROUP_LABELS = ("group", "sender", "target", "parent")

# The recording rules, of deploy/prometheus/rules.yml.
EXITS = "instance_group_reason_status:pidinfod_exits:increase1m"
SENT = "instance_sender_target_signal:pidinfod_signals_generated:increase1m"


def query(expression: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).legend_format(legend).datasource(SOURCE)


def graph(title: str, description: str, unit: str, *queries: tuple[str, str]) -> timeseries.Panel:
    """A panel of lines; each query is an expression and its legend. A line of a group leads to the
    dashboard of that group."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .unit(unit)
        .min(0)
        .datasource(SOURCE)
        .height(8)
        .span(HALF)
    )
    for number, (expression, legend) in enumerate(queries):
        panel = panel.with_target(query(expression, legend).ref_id(chr(ord("A") + number)))
    told = {label for _, legend in queries for label in re.findall(r"{{(\w+)}}", legend)}
    links = [_to_group(label) for label in GROUP_LABELS if label in told]
    return panel.data_links(links) if links else panel


def bars(title: str, description: str, *queries: tuple[str, str]) -> timeseries.Panel:
    """A panel of what happened in each interval: at least a minute, as the rules count by that."""
    return (
        graph(title, description, "short", *queries)
        .draw_style(GraphDrawStyle.BARS)
        .fill_opacity(100)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL))
        .interval("1m")
    )


def _selector(matchers: str) -> str:
    return f"{HOST}, {matchers}" if matchers else HOST


def rate(metric: str, by: str, matchers: str = "") -> str:
    selector = _selector(matchers)
    return f"sum by ({by}) (rate(pidinfod_{metric}{{{selector}}}[$__rate_interval]))"


def happened(rule: str, by: str, matchers: str = "") -> str:
    """How often in an interval, where it did: by a rule that counts each event once."""
    return f"sum by ({by}) (sum_over_time({rule}{{{_selector(matchers)}}}[$__interval])) > 0"


def quantiles(
    histogram: str, by: str, matchers: str = "", legend: str = ""
) -> tuple[tuple[str, str], ...]:
    """Median and 99th percentile of a histogram, by a label."""
    buckets = rate(f"{histogram}_bucket", f"{by}, le", matchers)
    legend = legend or f"{{{{{by}}}}}"
    return (
        (f"histogram_quantile(0.5, {buckets})", f"{legend} median"),
        (f"histogram_quantile(0.99, {buckets})", f"{legend} 99 %"),
    )


def _to_group(label: str) -> dashboard.DashboardLink:
    # A name can have any character.
    return dashboard.DashboardLink(f"The {label}'s dashboard").url(
        f"/d/{GROUP_BOARD}?var-group=${{__field.labels.{label}:percentencode}}"
        "&${source:queryparam}&${instance:queryparam}&${__url_time_range}"
    )


def link(title: str, board: str) -> dashboard.DashboardLink:
    """A way to another dashboard, for the same hosts and time."""
    return (
        dashboard.DashboardLink(title)
        .type(DashboardLinkType.LINK)
        .url(f"/d/{board}")
        .icon("dashboard")
        .include_vars(True)
        .keep_time(True)
    )


def board(
    title: str, uid: str, description: str, panels: list[timeseries.Panel],
    *variables: dashboard.QueryVariable,
) -> dashboard.Dashboard:  # fmt: skip
    """A dashboard of panels for the chosen hosts, and with more to choose."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["pidinfod"])
        .refresh("15s")
        .time("now-30m", "now")
        .with_variable(
            dashboard.DatasourceVariable("source").label("Data source").type("prometheus")
        )
        .with_variable(
            dashboard.QueryVariable("instance")
            .label("Host")
            .datasource(SOURCE)
            .query("label_values(pidinfod_build_info, instance)")
            .include_all(True)
            .all_value(".*")
            .multi(True)
        )
    )
    for variable in variables:
        made = made.with_variable(variable)
    for panel in panels:
        made = made.with_panel(panel)
    return made


def show(made: dashboard.Dashboard) -> None:
    """Print its JSON."""
    print(JSONEncoder(sort_keys=True, indent=2).encode(made.build()))
