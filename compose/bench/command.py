"""`churn bench`: runs the chosen measurements, prints a table, writes JSON."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from compose.bench.load import LOADS, MODES
from compose.bench.peers.environments import NAMES
from compose.bench.plan import Bench, Sizes, bench_in
from compose.figures import json_option, write_figures

PARTS = (
    "stream",
    "pair",
    "stock",
    "peers",
    "scale",
    "state",
    "memory",
    "freshness",
    "road",
    "api",
    "reasons",
    "batch",
    "learner",
    "dataset",
)
RATES = (1.0, 5_000.0, 20_000.0, 50_000.0)
SCALE_USERS = (10_000, 200_000, 2_000_000)
"""In the order in which they run: probes come after the memory of ordinary users was measured."""


@click.command()
@click.option("--only", multiple=True, type=click.Choice(PARTS), help="measure only this (repeatable)")
@click.option("--events", default=1_000_000, show_default=True, help="stream: preloaded events per run")
@click.option("--users", default=200_000, show_default=True, help="stream, stock, peers: users in the load")
@click.option(
    "--load", "loads", multiple=True, type=click.Choice(LOADS), default=LOADS, help="stream, stock, peers (repeatable)"
)
@click.option("--mode", "modes", multiple=True, type=click.Choice(MODES), default=MODES, help="stream (repeatable)")
@click.option("--stock-events", default=40_000, show_default=True, help="stock: at most so many events per run")
@click.option("--peer", "peers", multiple=True, type=click.Choice(NAMES), default=NAMES, help="peers (repeatable)")
@click.option("--peer-events", default=300_000, show_default=True, help="peers: events per run of the quick ones")
@click.option("--scale-users", multiple=True, default=SCALE_USERS, show_default=True, help="scale: users (repeatable)")
@click.option("--scale-events", default=500_000, show_default=True, help="scale: events, after one of everybody")
@click.option("--state-users", default=1_000_000, show_default=True, help="state: users to restore and to roll")
@click.option("--history-users", default=20_000, show_default=True, help="the rest: users of the running system")
@click.option("--history-days", default=75, show_default=True, help="the rest: days of their history, at least 65")
@click.option(
    "--freshness-rate",
    "freshness_rates",
    multiple=True,
    default=RATES,
    show_default=True,
    help="freshness: events a second (repeatable)",
)
@click.option(
    "--freshness-seconds", default=30.0, show_default=True, help="freshness: how long at each rate, after a warm-up"
)
@click.option("--burst-events", default=200_000, show_default=True, help="freshness: events at once; 0 for none")
@click.option("--road-events", default=300_000, show_default=True, help="road: preloaded events")
@click.option("--api-rate", default=500.0, show_default=True, help="api: requests a second")
@click.option("--api-seconds", default=20.0, show_default=True, help="api: how long")
@click.option("--batch-users", default=1_000_000, show_default=True, help="batch: users in the snapshot of vectors")
@click.option("--learner-labels", default=200_000, show_default=True, help="learner: matured labels on the topic")
@click.option("--dataset-users", default=1_000_000, show_default=True, help="dataset: users of an archive of its own")
@click.option("--dataset-days", default=180, show_default=True, help="dataset: days of it; 6 GB of disk by default")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".local/bench"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="write report.md, its plots and bench.json to this folder")
@json_option
def bench(only: tuple[str, ...], folder: Path, out: Path | None, json_file: Path | None, **options: Any) -> None:
    """Measure throughput, freshness, latency and memory on this machine, on a Kafka and Redis of its own."""
    from compose.bench import machine, report

    chosen = [part for part in PARTS if part in only or not only]
    with bench_in(folder.absolute() / "run", Sizes(**options)) as running:
        figures: dict[str, Any] = {"machine": machine.describe(running.stack.redis.url)}
        try:
            for part, found in measured(running, chosen):
                figures[part] = found
                write_figures(json_file, figures)
        finally:  # what was measured before a part failed is worth its page
            if out is not None:
                report.write(out, figures, options)
    for line in table(figures):
        click.echo(line)


def measured(running: Bench, chosen: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each chosen part's name and figures, and how many times stock Faust the stream is."""
    from compose.bench import dataset, learning, pair, reasons, scale, scoring, state, stock, stream
    from compose.bench.peers import measure as peers

    done: dict[str, dict[str, Any]] = {}
    alone: dict[str, Callable[[Bench], dict[str, Any]]] = {
        "stream": stream.measure,
        "pair": pair.measure,
        "stock": stock.measure,
        "peers": lambda bench: peers.measure(bench, done.get("stream", {})),
        "scale": scale.measure,
        "state": state.measure,
        "reasons": reasons.measure,
        "batch": scoring.measure,
        "learner": learning.measure,
        "dataset": dataset.measure,
    }
    for part in [part for part in chosen if part in alone]:
        done[part] = alone[part](running)
        yield part, done[part]
    if {"stream", "stock"} <= done.keys():
        yield "ratio_to_stock", peers.ratios(done["stream"], done["stock"])
    if set(chosen) - set(alone):
        yield from _measured_together(running, chosen)


def _measured_together(running: Bench, chosen: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    from compose.bench import freshness, lookups, memory, road
    from compose.bench.served import Served, served

    measures: dict[str, Callable[[Served], dict[str, Any]]] = {
        "memory": memory.measure,
        "freshness": freshness.measure,
        "road": road.measure,
        "api": lookups.measure,
    }
    with served(running) as system:
        for part in [part for part in chosen if part in measures]:
            yield part, measures[part](system)


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
