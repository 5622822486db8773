"""The expressions of the dashboard, the recording rules and the alerts, and the metrics that they name."""

import re
from pathlib import Path
from typing import Any

import yaml

from churn.metrics import METRICS, Metric
from compose.panels import ROWS, Panel

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "compose" / "prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
RECORDED = {rule["record"]: rule["expr"] for rule in RULES if "record" in rule}
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
PANELS: list[Panel] = [panel for row in ROWS for panel in row.panels]
SHOWN = [query for panel in PANELS for query in panel.queries]
EVERY_EXPRESSION = [*(query.expr for query in SHOWN), *RECORDED.values(), *(rule["expr"] for rule in ALERTS.values())]


def exported_names(metric: Metric) -> set[str]:
    """Return the names of the time series that a metric of the table is exported as."""
    suffixes = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
    return {metric.name + suffix for suffix in suffixes[metric.kind]}


EXPORTED = {name: metric for metric in METRICS for name in exported_names(metric)}


def named_metrics(expression: str) -> set[str]:
    """Return the metrics of ours in an expression.

    >>> sorted(named_metrics('sum(rate(churn_events_total{job="features"}[5m])) / churn:scores:rate5m'))
    ['churn_events_total']
    """
    return set(re.findall(r"\bchurn_\w+", expression))


def named_records(expression: str) -> set[str]:
    """Return the recorded quantities in an expression.

    >>> named_records('churn:freshness_seconds:p99_5m{hop="score"} > churn_ready')
    {'churn:freshness_seconds:p99_5m'}
    """
    return set(re.findall(r"\bchurn:[\w:]+", expression))


def as_grafana_sends(expression: str) -> str:
    """Return an expression with Grafana's variables replaced."""
    return expression.replace("$__rate_interval", "1m").replace("$__range", "5m")


def measured(alert: str) -> str:
    """Return an alert's expression with comparisons that answer 0 or 1: it has data whether the alert fires or not.

    >>> measured("a > 1 and on () (b or vector(0)) == 0")
    'a > bool 1 and on () (b or vector(0)) == bool 0'
    """
    return re.sub(r" (==|!=|>=|<=|>|<) ", r" \1 bool ", alert)
