"""The numbers of one process, by the metric table, in Prometheus' exposition.

The numbers are kept here and not in prometheus_client's own instruments: those look for PROMETHEUS_MULTIPROC_DIR, which
Feast sets for the whole process as soon as it is imported, and then keep their numbers in files and cannot forget a series.
"""

import bisect
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from churn.blocks import Kind
from churn.errors import DefectError
from churn.metrics import Metric, of_process
from churn.scores import BANDS

KNOWN_LABELS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("band",): BANDS,
    ("kind",): get_args(Kind),
    ("churned",): ("true", "false"),
    ("ending",): ("promoted", "kept", "waiting", "failed"),
    ("finding",): ("behaviour", "score", "outcome", "quality"),
    ("cause",): ("guard", "outcome"),
}
"""Label values known beforehand: their counters start at 0, because a rate does not see the first step of a new series."""
Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Labels = tuple[str, ...]


@dataclass
class Spread:
    """One series of a histogram: observations per bucket, the last one without an upper bound, and their sum."""

    counts: list[int]
    total: float = 0.0

    def take(self, bounds: tuple[float, ...], value: float) -> None:
        """Add an observation to the first bucket whose bound it does not exceed."""
        self.counts[bisect.bisect_left(bounds, value)] += 1
        self.total += value


@dataclass
class Series:
    """Every series of one metric, by label values in the order of the table."""

    metric: Metric
    numbers: dict[Labels, float] = field(default_factory=dict)
    spreads: dict[Labels, Spread] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with what is known to exist: series without labels, and counters of known label values."""
        first: list[Labels] = [()] if not self.metric.labels else []
        if self.metric.kind == "counter":
            first += [(value,) for value in KNOWN_LABELS.get(self.metric.labels, ())]
        for labels in first:
            if self.metric.kind == "histogram":
                self.spread(labels)
            else:
                self.numbers[labels] = 0.0

    def key(self, labels: Mapping[str, str]) -> Labels:
        """Return the values of these labels; raises DefectError for others than the table's."""
        if labels.keys() != set(self.metric.labels):
            raise DefectError(f"{self.metric.name} has the labels {self.metric.labels}, got {tuple(labels)}")
        return tuple(labels[name] for name in self.metric.labels)

    def spread(self, labels: Labels) -> Spread:
        """Return a histogram's series, a new one at its first observation."""
        if labels not in self.spreads:
            self.spreads[labels] = Spread([0] * (len(self.metric.buckets) + 1))
        return self.spreads[labels]

    def family(self) -> Family:
        """Return the series as prometheus_client writes them out."""
        metric = self.metric
        if metric.kind == "histogram":
            return self._histogram()
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=metric.labels)
        for labels, number in self.numbers.items():
            family.add_metric(labels, number)
        return family

    def _histogram(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(self.metric.name, self.metric.help, labels=self.metric.labels)
        bounds = [*map(str, self.metric.buckets), "+Inf"]
        for labels, spread in self.spreads.items():
            buckets = list(zip(bounds, map(float, accumulate(spread.counts)), strict=True))
            family.add_metric(labels, buckets, spread.total)
        return family


class Instruments(Collector):
    """The counters, gauges and histograms of one process, in a registry of their own; any thread may write."""

    def __init__(self, process: str) -> None:
        self._series = {name: Series(metric) for name, metric in of_process(process).items()}
        self._lock = threading.Lock()
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterator[Family]:
        """Yield every metric with its present numbers."""
        with self._lock:
            families = [series.family() for series in self._series.values()]
        yield from families

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        series = self._of_kind(name, "counter")
        key = series.key(labels)
        with self._lock:
            series.numbers[key] = series.numbers.get(key, 0.0) + amount

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        series = self._of_kind(name, "gauge")
        with self._lock:
            series.numbers[series.key(labels)] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a value to a histogram."""
        series = self._of_kind(name, "histogram")
        with self._lock:
            series.spread(series.key(labels)).take(series.metric.buckets, value)

    def forget(self, name: str, **labels: str) -> None:
        """Drop a gauge's series that no longer stands for anything; one that never was is none."""
        series = self._of_kind(name, "gauge")
        with self._lock:
            series.numbers.pop(series.key(labels), None)

    def _of_kind(self, name: str, kind: str) -> Series:
        series = self._series[name]
        if series.metric.kind != kind:
            raise DefectError(f"{name} is a {series.metric.kind} and no {kind}")
        return series
