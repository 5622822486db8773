"""`churn bench`: runs the chosen measurements, prints a table, writes JSON."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from compose.bench.load import LOADS, MODES
from compose.bench.plan import Bench, Sizes, bench_in
from compose.figures import json_option, write_figures

PARTS = ("stream", "stock", "memory", "freshness", "api", "batch")
"""In the order in which they run: probes come after the memory of ordinary users was measured."""


@click.command()
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="measure only this (repeatable)")
@click.option("--events", default=1_000_000, show_default=True, help="stream: preloaded events per run")
@click.option("--users", default=200_000, show_default=True, help="stream, stock: users in the load")
@click.option(
    "--load", "loads", multiple=True, type=click.Choice(LOADS), default=LOADS, help="stream, stock (repeatable)"
)
@click.option("--mode", "modes", multiple=True, type=click.Choice(MODES), default=MODES, help="stream (repeatable)")
@click.option("--stock-events", default=40_000, show_default=True, help="stock: at most so many events per run")
@click.option("--history-users", default=20_000, show_default=True, help="the rest: users of the running system")
@click.option("--history-days", default=75, show_default=True, help="the rest: days of their history, at least 65")
@click.option("--freshness-rate", default=5000.0, show_default=True, help="freshness: events a second")
@click.option("--freshness-seconds", default=30.0, show_default=True, help="freshness: how long, after a warm-up")
@click.option("--api-rate", default=500.0, show_default=True, help="api: requests a second")
@click.option("--api-seconds", default=20.0, show_default=True, help="api: how long")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".local/bench"), show_default=True)
@json_option
def bench(only: tuple[str, ...], folder: Path, json_file: Path | None, **options: Any) -> None:
    """Measure throughput, freshness, latency and memory on this machine, on a Kafka and Redis of its own."""
    from compose.bench import machine

    chosen = [part for part in PARTS if part in only or not only]
    with bench_in(folder.absolute(), Sizes(**options)) as running:
        figures: dict[str, Any] = {"machine": machine.describe(running.stack.redis.url)}
        for part, found in measured(running, chosen):
            figures[part] = found
            write_figures(json_file, figures)
    for line in table(figures):
        click.echo(line)


def measured(running: Bench, chosen: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each chosen part's name and figures, and how many times stock Faust the stream is."""
    from compose.bench import stock, stream

    alone: dict[str, Callable[[Bench], dict[str, Any]]] = {"stream": stream.measure, "stock": stock.measure}
    rates = {}
    for part in [part for part in chosen if part in alone]:
        rates[part] = alone[part](running)
        yield part, rates[part]
    if len(rates) == len(alone):
        yield "ratio_to_stock", _ratios(rates["stream"], rates["stock"])
    if set(chosen) - set(alone):
        yield from _measured_together(running, chosen)


def _measured_together(running: Bench, chosen: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    from compose.bench import freshness, lookups, memory, scoring
    from compose.bench.served import Served, served

    measures: dict[str, Callable[[Served], dict[str, Any]]] = {
        "memory": memory.measure,
        "freshness": freshness.measure,
        "api": lookups.measure,
        "batch": scoring.measure,
    }
    with served(running) as system:
        for part in [part for part in chosen if part in measures]:
            yield part, measures[part](system)


def _ratios(stream: Mapping[str, Any], stock: Mapping[str, Any]) -> dict[str, Any]:
    """Return per load how many times as many events the stream does in a second, and for the same CPU."""
    ratios = {}
    for name in [name for name in stock if name in stream]:
        ours, theirs = stream[name], stock[name]
        ratios[name] = round(ours["events_per_second"] / theirs["events_per_second"], 1)
        ratios[f"{name}_by_cpu"] = round(theirs["worker_cpu_us_per_event"] / ours["worker_cpu_us_per_event"], 1)
    return ratios


def table(figures: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield one line a figure: its path, and its value.

    >>> list(table({"api": {"p50_ms": 1.5}}))
    ['api p50_ms                                                   1.5']
    """
    for name, value in figures.items():
        where = f"{path} {name}".strip()
        if isinstance(value, Mapping):
            yield from table(value, where)
        else:
            yield f"{where:<56} {value:>,}" if isinstance(value, int) else f"{where:<56} {value}"
