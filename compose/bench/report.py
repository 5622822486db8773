"""One page about a measurement: the machine, the method, every figure, and plots of those that are best seen."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from churn.errors import InputError
from compose.bench import charts

METHOD: Mapping[str, str] = {
    "stream": "The features worker alone on preloaded topics, from its readiness until every offset is committed: fetch,"
    " decode, contract, duplicates, tiles, features, changelog transaction, Redis, features topic.",
    "pair": "The same with two workers of one group, from the moment that both go on before a full topic; the CPU is that of"
    " both, `busiest_worker_share` what one of them had of it.",
    "stock": "The same work, all features and Redis included, in stock Faust.",
    "ratio_to_stock": "How many times as many events the stream does in a second, and (`by_cpu`) for the same CPU.",
    "peers": "A smaller task than the stream's on each engine: thirteen features from day tiles (sessions, lessons, minutes"
    " and active days over 7, 14 and 30 days, days since the last activity), and one row an event to a topic (Pathway: one"
    " row a changed user and minibatch); no Redis, no duplicates, no contract. `plain` only reads and decodes. One process"
    " each. A peer answers a first marker, is frozen while the load is published, and is timed from its thaw until the"
    " right rows of the markers behind the load were read. `stream` is the whole stream in the same run, timed as"
    " above, which is the stricter way; `ratio` is how many times as many events it does, and (`by_cpu`) for the same CPU.",
    "scale": "The features worker, once every user had one event: CPU per event of 10,000 of them and (`_of_all`) of"
    " random ones of all, which changes more vectors the more there are; and what its resident memory grew by.",
    "state": "Recovery: a worker with a lasting name in its group is killed and started again at once; from that start until"
    " events behind it show in Redis. (Without the name what is left of the dead one's session comes on top, at most"
    " `session_timeout_seconds`.) Once every row is written again, day roll: from the"
    " first event of a new day until every changed row is on the features topic and in Redis (a sample of 1,000 users);"
    " `longest_live_hold_up_ms` is the longest that a live event waited to show meanwhile, at 1,000 events a second.",
    "memory": "What Redis uses beyond empty, features and score together; and the same values in 30 features, without and"
    " with the score.",
    "freshness": "Probes under a steady load of random users, and behind a burst: from Kafka's timestamp until a reader of"
    " Redis sees features, or the score; of all scores, until a consumer outside has them. Cores kept busy meanwhile.",
    "road": "Preloaded events, all workers running: from the thaw of the features worker until every user's last score,"
    " which holds all of their events, was received by a consumer outside.",
    "api": "GET /users/{id} at a steady rate that does not wait for answers; latencies count from the intended times.",
    "reasons": "Seeded synthetic vectors in blocks as the scorer gets them: scored, and scored with the three strongest"
    " reasons in words, per second of one core; and one vector alone, as the API scores it.",
    "batch": "Daily scoring with reasons in a process of its own: a snapshot of seeded synthetic vectors in, Parquet, CSV and"
    " manifest out. The model was fitted on such vectors, and is loaded from its bundle.",
    "learner": "Matured labels learned by the real worker from preloaded topics until the last one is covered by a snapshot, with"
    " outcomes of champion, previous and a challenger published for each.",
    "dataset": "`churn dataset` on an archive of its own, in a process of its own: every event looked at for the fingerprint,"
    " reduced to days, walked forward, all weekly snapshots with whole windows and a known label written as Parquet.",
}
CHARTS = {"peers": charts.peers, "freshness": charts.freshness, "scale": charts.scale}


def write(folder: Path, figures: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Write `report.md`, its plots, and `bench.json` with one number a figure, whose name ends with its unit.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        numbers = json.dumps(dict(flat(figures)), indent=2) + "\n"
        (folder / "bench.json").write_text(numbers, encoding="utf-8")
        (folder / "report.md").write_text("\n".join(page(folder, figures, options)) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: the report cannot be written ({error.strerror}); name another folder") from error


def flat(figures: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every figure with its path.

    >>> list(flat({"api": {"p50_ms": 1.5}}))
    [('api.p50_ms', 1.5)]
    """
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def page(folder: Path, figures: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the report; plots are drawn on the way."""
    yield "# Benchmark"
    yield "\nAll parts ran on this machine, each as a process of its own, on real Kafka and Redis. Figures of another machine"
    yield "differ; ratios travel. With a load average above a few tenths at the start, throw them away."
    yield f"\nSizes: {', '.join(f'{name} {_cell(value)}' for name, value in options.items())}."
    for part, found in figures.items():
        yield f"\n## {part.replace('_', ' ').capitalize()}\n"
        if part in METHOD:
            yield METHOD[part]
        draw = CHARTS.get(part)
        if draw is not None and draw(found, folder / f"{part}.svg"):
            yield f"\n![{part}]({part}.svg)"
        yield from tables(found)


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table of each group of rows with the same columns; a single row stands upright."""
    groups: dict[tuple[str, ...], list[tuple[str, dict[str, Any]]]] = {}
    for name, row in rows(found):
        groups.setdefault(tuple(row), []).append((name, row))
    for columns, members in groups.items():
        if len(members) > 1:
            cells = [[name, *map(_cell, row.values())] for name, row in members]
            yield from _table("", ["", *columns], cells)
        else:
            name, row = members[0]
            yield from _table(name, ["figure", "value"], [[column, _cell(row[column])] for column in columns])


def rows(found: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what has figures of its own as a row; a group within a row of figures becomes columns of it.

    >>> list(rows({"quix": {"skewed": {"seconds": 2, "cores": {"load": 0.1}}}}))
    [('quix skewed', {'seconds': 2, 'cores.load': 0.1})]
    """
    plain = {name: value for name, value in found.items() if not isinstance(value, Mapping)}
    if plain and path:
        yield path, dict(flat(found))
        return
    if plain:
        yield path, plain
    for name, below in found.items():
        if isinstance(below, Mapping):
            yield from rows(below, f"{path} {name}".strip())


def _table(title: str, head: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"\n{title}:\n" if title else ""
    for line in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(line)} |"


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_cell, value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("|", "/").replace("\n", " ")
