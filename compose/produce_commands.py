"""Commands that bring events to Kafka: the synthetic business, imported logs, OULAD."""

import signal
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from churn.errors import InputError
from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY
from compose.figures import json_option, write_figures
from compose.progress import Progress
from producers.publisher import Publisher


def publisher(settings: Settings) -> Publisher:
    """Return a publisher to the activity topic."""
    return Publisher(client_config(settings), ACTIVITY.name(settings.topic_prefix))


@click.command()
@click.option("--users", default=20_000, show_default=True, help="users who have joined by the end of the history")
@click.option("--days", default=120, show_default=True, help="whole days of history before today")
@click.option("--seed", default=1, show_default=True, help="same seed, same business")
@click.option("--live/--no-live", default=False, help="go on as time passes, after the history")
@click.option("--history/--no-history", default=True, help="publish the history first")
@click.option(
    "--since", type=click.DateTime(), help="UTC time at which the history ends and live begins (default: now)"
)
@click.option("--rate", default=0.0, help="with --live: extra visits a second on top of the business's own pace")
@click.option("--drift", multiple=True, help="KIND:YYYY-MM-DD, e.g. price-rise:2026-03-01 (repeatable)")
@click.option("--duplicates", default=0.0, help="share of events published twice")
@click.option("--disordered", default=0.0, help="share of events published minutes to hours late")
@click.option("--late", default=0.0, help="share of events published days late")
@click.option("--broken", default=0.0, help="share of extra messages that are not events")
@json_option
@click.pass_obj
def produce(settings: Settings, /, json_file: Path | None, **options: Any) -> None:
    """Publish the synthetic business; the truth about every user goes to DATA_DIR/truth, never to a topic."""
    from producers.synthetic.history import publish_history

    now = datetime.now(UTC)
    since = options["since"].replace(tzinfo=UTC) if options["since"] else now
    # The scenario is named by where its history ends: going on with another end would be another business.
    business = business_of(options, since)
    truth, figures = settings.data_dir / "truth", {"history_events": 0, "history_messages": 0, "live_events": 0}
    with publisher(settings) as sink:
        if options["history"]:
            done = publish_history(business, sink, truth, since, Progress("history").days)
            sink.flush()
            click.echo(f"history: {done.events:,} events up to {done.until:%Y-%m-%d %H:%M} UTC; noise: {done.noise}")
            figures |= {"history_events": done.events, "history_messages": done.messages}
        if options["live"]:
            figures["live_events"] = live(business, sink, since, options["rate"], truth)
    write_figures(json_file, figures)


def business_of(options: dict[str, Any], now: datetime) -> Any:
    """Return the synthetic business that the options of `produce` describe, with its history ending now."""
    from producers.synthetic.business import Scenario, SyntheticBusiness
    from producers.synthetic.noise import Noise

    noise = Noise(options["duplicates"], options["disordered"], options["late"], options["broken"])
    drifts = tuple(_drift(text) for text in options["drift"])
    days, users, seed = options["days"], options["users"], options["seed"]
    return SyntheticBusiness(Scenario.ending(now, users=users, days=days, seed=seed, drifts=drifts, noise=noise))


def _drift(text: str) -> Any:
    from producers.synthetic.drift import Drift

    kind, _, start = text.partition(":")
    try:
        return Drift(kind, date.fromisoformat(start))
    except ValueError as error:
        raise InputError(f"--drift {text!r}: give KIND:YYYY-MM-DD, such as price-rise:2026-03-01") from error


def live(business: Any, sink: Publisher, after: datetime, rate: float, truth: Path) -> int:
    """Publish as time passes, until SIGTERM or SIGINT; returns how many events."""
    from producers.synthetic.clock import WallClock
    from producers.synthetic.live import publish_live

    clock = WallClock()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: clock.stop())
    click.echo(f"live from {after:%Y-%m-%d %H:%M:%S} UTC, {rate:g} extra visits/s; Ctrl-C ends it")
    published = publish_live(business, sink, clock, after=after, extra_per_second=rate, truth_folder=truth)
    sink.flush()
    click.echo(f"live: {published:,} events")
    return int(published)


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--mapping", type=click.Path(path_type=Path), help="YAML file that says which column is what")
@click.option("--rejects", type=click.Path(path_type=Path), help="JSONL file that gets every broken row")
@click.option("--speed", type=float, help="replay live, this many times faster than it happened (default: at once)")
@click.option("--shift-days", default=0, help="add days to every time")
@json_option
@click.pass_obj
def import_command(settings: Settings, /, file: Path, **options: Any) -> None:
    """Publish a CSV, JSONL or Parquet log; every broken row is reported with its line."""
    from feature_repo.declared import load
    from producers.importing import import_log
    from producers.pacing import Pace

    pace = Pace(options["speed"], time.monotonic, time.sleep) if options["speed"] else None
    with publisher(settings) as sink:
        report = import_log(
            file, sink.publish, mapping=options["mapping"], declaration=load(settings.declaration),
            rejects=options["rejects"], pace=pace, shift=timedelta(days=options["shift_days"]),
            progress=Progress(f"import {file.name}").count,
        )  # fmt: skip
    for line in report.lines():
        click.echo(line)
    write_figures(options["json_file"], {"read": report.read, "published": report.published, "broken": report.broken})


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--since", type=click.DateTime(), help="only events from this UTC time of the data set on")
@click.option("--until", type=click.DateTime(), help="only events before this UTC time of the data set")
@click.option("--speed", type=float, help="replay live, this many times faster than it happened (default: at once)")
@click.option("--shift-days", default=0, help="add days to every time")
@json_option
@click.pass_obj
def oulad(settings: Settings, /, folder: Path, **options: Any) -> None:
    """Replay the OULAD data set from FOLDER; use it with CHURN_DECLARATION=feature_repo/declarations/oulad.yaml."""
    from producers.oulad import replay
    from producers.pacing import Pace

    pace = Pace(options["speed"], time.monotonic, time.sleep) if options["speed"] else None
    since, until = (t.replace(tzinfo=UTC) if t else None for t in (options["since"], options["until"]))
    with publisher(settings) as sink:
        report = replay(
            folder, sink.publish, since=since, until=until, pace=pace, shift_days=options["shift_days"],
            progress=Progress("OULAD").count,
        )  # fmt: skip
    for line in report.lines():
        click.echo(line)
    write_figures(options["json_file"], {"published": report.published, "skipped": dict(report.skipped)})
