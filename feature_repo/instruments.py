"""Prometheus instruments made from the metric table; one set a process."""

from collections.abc import Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from churn.blocks import Kind
from churn.metrics import Metric, of_process
from churn.scores import BANDS

KNOWN_LABELS: Mapping[tuple[str, ...], tuple[str, ...]] = {("band",): BANDS, ("kind",): get_args(Kind)}
"""Label values known beforehand: their counters start at 0, because a rate does not see the first step of a new series."""


class Instruments:
    """The counters, gauges and histograms of one process, in a registry of their own."""

    def __init__(self, process: str) -> None:
        self.registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in of_process(process).values():
            self._add(metric)

    def _add(self, metric: Metric) -> None:
        if metric.kind == "counter":
            counter = Counter(metric.name, metric.help, metric.labels, registry=self.registry)
            for value in KNOWN_LABELS.get(metric.labels, ()):
                counter.labels(value)
            self._counters[metric.name] = counter
        elif metric.kind == "gauge":
            self._gauges[metric.name] = Gauge(metric.name, metric.help, metric.labels, registry=self.registry)
        else:
            self._histograms[metric.name] = Histogram(
                metric.name, metric.help, metric.labels, registry=self.registry, buckets=metric.buckets
            )

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a value to a histogram."""
        histogram = self._histograms[name]
        (histogram.labels(**labels) if labels else histogram).observe(value)

    def forget(self, name: str, **labels: str) -> None:
        """Drop a gauge's series that no longer stands for anything."""
        self._gauges[name].remove_by_labels(labels)
