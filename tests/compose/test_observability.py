"""What is declared is watched, what is watched is declared, and on the running system every expression has data."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from churn.metrics import METRICS, Metric
from compose.local import SERVICES
from compose.panels import Query
from compose.processes import StartTimeoutError, wait_until
from tests.compose.queries import (
    ALERTS,
    EVERY_EXPRESSION,
    EXPORTED,
    PROMETHEUS,
    RECORDED,
    ROOT,
    SHOWN,
    as_grafana_sends,
    exported_names,
    measured,
    named_metrics,
    named_records,
)
from tests.compose.watched import Watched, history, moment, watched

DATA_SECONDS = 120.0
"""30 s on an idle machine: 10 for the imports, 10 for the load, two scrapes and two evaluations of the rules."""
CONFIGURATION = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
CONTAINERS = yaml.safe_load((ROOT / "compose" / "docker-compose.yml").read_text())["services"]


@pytest.mark.parametrize("expression", EVERY_EXPRESSION)
def test_every_metric_that_is_asked_for_is_exported(expression: str) -> None:
    assert named_metrics(expression) <= EXPORTED.keys()
    assert named_records(expression) <= RECORDED.keys()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_is_shown_or_alerted_on(metric: Metric) -> None:
    watched_names = {name for expression in EVERY_EXPRESSION for name in named_metrics(expression)}
    assert exported_names(metric) & watched_names


@pytest.mark.parametrize("record", RECORDED)
def test_every_recorded_quantity_is_used(record: str) -> None:
    assert record in {name for expression in EVERY_EXPRESSION for name in named_records(expression)}


def test_every_service_is_scraped_where_its_container_listens() -> None:
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in CONFIGURATION["scrape_configs"]}
    assert targets == {service.name: [f"{service.name}:{service.default_port}"] for service in SERVICES}


def test_container_of_prometheus_reads_these_files() -> None:
    prometheus = CONTAINERS["prometheus"]
    assert "./prometheus:/etc/prometheus:ro" in prometheus["volumes"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in prometheus["command"]
    assert CONFIGURATION["rule_files"] == ["rules.yml"]


@pytest.fixture(scope="module")
def system(require_tool: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    prometheus = require_tool("prometheus")
    with watched(tmp_path_factory.mktemp("watched"), prometheus) as running:
        running.promote()
        running.publish(history(datetime.now(UTC)))
        yield running


def live_expressions() -> set[str]:
    shown = {as_grafana_sends(query.expr) for query in SHOWN}
    return shown | set(RECORDED.values()) | {measured(rule["expr"]) for rule in ALERTS.values()}


def test_every_expression_has_data_on_the_running_system(system: Watched) -> None:
    empty = live_expressions()

    def all_answer() -> bool:
        system.publish(moment(datetime.now(UTC)))
        system.visit_api()
        empty.difference_update({expression for expression in empty if system.series(expression)})
        return not empty

    with suppress(StartTimeoutError):
        wait_until(all_answer, DATA_SECONDS, "every expression has data")
    assert sorted(empty) == [], f"no data for these; the parts are {system.stack.status()}"


@pytest.mark.parametrize("query", [query for query in SHOWN if "{{" in query.legend], ids=lambda query: query.expr)
def test_legend_names_labels_that_the_series_have(query: Query, system: Watched) -> None:
    wanted = set(re.findall(r"{{(\w+)}}", query.legend))
    found = system.series(as_grafana_sends(query.expr))
    assert found
    assert all(wanted <= labels.keys() for labels in found)
