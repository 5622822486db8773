"""Commands for dead letters: what lies there, one of them in full, and a second chance after a fix."""

import time
from collections import Counter, deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from churn.errors import InputError
from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import ACTIVITY, DEAD_LETTERS
from compose.figures import json_option, write_figures

if TYPE_CHECKING:
    from stream_processors.replay import Letter, Place

reason_option = click.option("--reason", help="only letters of this reason")


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at records that are no events, and replay those that became some."""


@dead_letters.command("list")
@reason_option
@click.option("--newest", default=10, show_default=True, help="how many letters to show, the newest last")
@json_option
@click.pass_obj
def list_letters(settings: Settings, reason: str | None, newest: int, json_file: Path | None) -> None:
    """Count letters by reason and show the newest."""
    from stream_processors.replay import Place, letters

    counts: Counter[str] = Counter()
    shown: deque[Letter] = deque(maxlen=newest)
    replayed: set[Place] = set()
    for found in letters(client_config(settings), DEAD_LETTERS.name(settings.topic_prefix)):
        if isinstance(found, Place):
            replayed.add(found)
        elif reason in (None, found.reason):
            counts[found.reason] += 1
            shown.append(found)
    for name, count in counts.most_common():
        click.echo(f"{count:8,} {name}")
    click.echo(f"{sum(counts.values()):8,} in all; {len(replayed):,} letters were replayed")
    for letter in shown:
        click.echo(_line(letter, letter.place in replayed))
    newest_letters = [dict(letter.headers) | {"replayed": letter.place in replayed} for letter in shown]
    write_figures(json_file, {"by_reason": counts, "replayed": len(replayed), "newest": newest_letters})


def _line(letter: "Letter", replayed: bool) -> str:
    partition, offset = letter.place
    attempts = letter.headers["attempts"]
    note = f", attempt {attempts}" if attempts != "1" else ""
    note += ", replayed" if replayed else ""
    return f"{partition} {offset}  {_time(letter.headers, 'last_seen_us')}  {letter.reason}{note}: {letter.headers['message']}"


def _time(headers: Mapping[str, str], name: str) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(headers[name]))
    return f"{moment:%Y-%m-%d %H:%M:%S}"


@dead_letters.command()
@click.argument("partition", type=int)
@click.argument("offset", type=int)
@click.pass_obj
def show(settings: Settings, partition: int, offset: int) -> None:
    """Print the letter of the record at PARTITION and OFFSET of the activity topic: headers, key and bytes."""
    from stream_processors.replay import Place, letters

    place, replayed, letter = Place(partition, offset), False, None
    for found in letters(client_config(settings), DEAD_LETTERS.name(settings.topic_prefix)):
        if isinstance(found, Place):
            replayed = replayed or found == place
        elif found.place == place:
            letter = found
    if letter is None:
        raise InputError(
            f"no dead letter is of partition {partition}, offset {offset}; `churn dead-letters list` shows which are there"
        )
    for name, value in letter.headers.items():
        click.echo(f"{name:24} {value}")
    click.echo(f"{'first_seen':24} {_time(letter.headers, 'first_seen_us')} UTC")
    click.echo(f"{'last_seen':24} {_time(letter.headers, 'last_seen_us')} UTC")
    click.echo(f"{'replayed':24} {'yes' if replayed else 'no'}")
    click.echo(f"{'key':24} {_bytes(letter.key)}")
    click.echo(f"{'value':24} {_bytes(letter.value)}")


def _bytes(data: bytes | None) -> str:
    return "none" if data is None else f"{len(data)} bytes: {str(data)[2:-1]}"


@dead_letters.command()
@reason_option
@click.option("--partition", type=int, help="with --offset: the letter of this record of the activity topic")
@click.option("--offset", type=int)
@click.option("--force", is_flag=True, help="also letters that the present declaration still refuses")
@click.option("--dry-run", is_flag=True, help="only say what would be done")
@json_option
@click.pass_obj
def replay(settings: Settings, /, json_file: Path | None, **options: Any) -> None:
    """Publish letters again that are events by the present declaration; each letter once."""
    from churn.admission import Admission
    from churn.layout import layout_of
    from feature_repo.declared import load
    from stream_processors.replay import Choice, Topics
    from stream_processors.replay import replay as replay_letters

    prefix, place = settings.topic_prefix, _place(options["partition"], options["offset"])
    admission = Admission(layout_of(load(settings.declaration)), settings.max_future_minutes * 60_000_000)
    choice = Choice(options["reason"], place, options["force"])
    topics = Topics(ACTIVITY.name(prefix), DEAD_LETTERS.name(prefix))
    now_us = time.time_ns() // 1000
    done = replay_letters(client_config(settings), topics, admission, choice, now_us, dry_run=options["dry_run"])
    would = "would be " if options["dry_run"] else ""
    click.echo(f"{done.replayed:,} letters {would}replayed")
    for count, why in (
        (done.refused, "are still refused by the declaration (--force replays them all the same)"),
        (done.before, "were replayed before"),
        (done.cut, "were cut because of their length; publish their records again from their source"),
    ):
        if count:
            click.echo(f"{count:,} {why}")
    figures = {"replayed": done.replayed, "refused": done.refused, "before": done.before, "cut": done.cut}
    write_figures(json_file, figures | {"dry_run": options["dry_run"]})


def _place(partition: int | None, offset: int | None) -> "Place | None":
    from stream_processors.replay import Place

    if partition is None and offset is None:
        return None
    if partition is None or offset is None:
        raise InputError("give --partition and --offset together: both name one record of the activity topic")
    return Place(partition, offset)
