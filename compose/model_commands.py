"""The command that makes a model; those about its versions are in `registry_commands`."""

import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from churn.settings import Settings
from compose.dataset_commands import HORIZON, of_horizon
from compose.figures import json_option, write_figures
from compose.progress import Progress
from compose.registry_commands import how_to_promote, say_champion, steward_of, user_name

if TYPE_CHECKING:
    from training.plan import Plan
    from training.session import Session

MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"])


@click.command()
@click.option("--as-of", "as_ofs", type=click.DateTime(["%Y-%m-%d"]), multiple=True, help="snapshot (repeatable)")
@click.option("--promote/--no-promote", default=True, help="let it serve when it passes the gate")
@click.option(
    "--holdout",
    type=click.Choice(["later", "users"]),
    default="later",
    show_default=True,
    help="judge on later days, or on a quarter of the users from whom nothing is ever learnt, in the newest weeks",
)
@click.option("--weeks", type=click.IntRange(0), default=0, help="use only so many of the newest weekly snapshots")
@click.option("--candidates", default="logistic,boosted,online", show_default=True, help="which models compete")
@click.option("--search/--no-search", "searched", default=True, help="choose settings on folds, or take the usual ones")
@click.option(
    "--cohorts", is_flag=True, help="users begin and end together, as in a course: choose settings on other users"
)
@click.option("--truth/--no-truth", default=True, help="show the oracle when a truth folder is there")
@click.option("--now", type=MOMENT, help="the time that the training is dated by (UTC); default: the clock's")
@click.option("--by", "who", default=user_name, help="your name, for the record; default: the user's")
@click.option("--reason", default="trained", show_default=True, help="why, for the record")
@click.option("--run", default="", help="a name to find the registered version by")
@click.option("--time-limit-seconds", type=click.IntRange(0), default=0, help="end by a signal after so long; 0: never")
@HORIZON
@json_option
@click.pass_obj
def train(settings: Settings, /, json_file: Path | None, **options: Any) -> None:
    """Train on the archive, evaluate on a hold-out, register; promote when the gate lets it."""
    import json

    from training.session import Assignment

    # By the kernel: a training whose keeper was killed has nobody else to end it, and may hang in a library.
    if options["time_limit_seconds"]:
        signal.alarm(options["time_limit_seconds"])
    session, settings = _session(settings, options)
    asked = Assignment(
        now=_utc(options["now"]) or datetime.now(UTC),
        plan=plan_of(options),
        as_ofs=tuple(moment.date() for moment in options["as_ofs"]),
        who=options["who"],
        reason=options["reason"],
        run=options["run"],
        promote=options["promote"],
    )
    done = session.run(asked, Progress("train").show, lambda report: click.echo(report.text()))
    write_figures(json_file, {**json.loads(done.report.json()), "promoted": done.promoted})
    if done.champion is not None:
        say_champion(done.champion)
    elif done.report.verdict.promotes:
        click.echo(f"version {done.report.version} waits: {how_to_promote(done.report.version, settings)}")


def _session(settings: Settings, options: dict[str, Any]) -> "tuple[Session, Settings]":
    from training.session import Session

    declaration, settings = of_horizon(settings, options["horizon_days"])
    truth = settings.data_dir / "truth"
    session = Session(
        settings.archive_dir,
        settings.models_dir,
        declaration,
        steward_of(settings),
        truth if options["truth"] and truth.exists() else None,
        settings.user_ttl_days,
        settings.data_dir / "cache",
    )
    return session, settings


def plan_of(options: dict[str, Any]) -> "Plan":
    """Return the plan that the options of `churn train` say."""
    from training.plan import Plan

    candidates = tuple(name.strip() for name in options["candidates"].split(","))
    return Plan(options["holdout"], options["weeks"], candidates, options["searched"], options["cohorts"])


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
