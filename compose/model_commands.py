"""The command that makes a model; those about its versions are in `registry_commands`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from churn.settings import Settings
from compose.dataset_commands import HORIZON, of_horizon
from compose.figures import json_option, write_figures
from compose.progress import Progress
from compose.registry_commands import evidence_of, how_to_promote, publish_card, say_champion, steward_of


@click.command()
@click.option("--as-of", "as_ofs", type=click.DateTime(["%Y-%m-%d"]), multiple=True, help="snapshot (repeatable)")
@click.option("--promote/--no-promote", default=True, help="let it serve when it passes the gate")
@click.option(
    "--cohorts", is_flag=True, help="users begin and end together, as in a course: choose settings on other users"
)
@click.option("--truth/--no-truth", default=True, help="show the oracle when a truth folder is there")
@HORIZON
@json_option
@click.pass_obj
def train(settings: Settings, /, json_file: Path | None, **options: Any) -> None:
    """Train on the archive, evaluate on later users, register; promote when the gate lets it."""
    import json

    from training.steward import GATE
    from training.train import train as train_model

    declaration, settings = of_horizon(settings, options["horizon_days"])
    truth = settings.data_dir / "truth"
    steward = steward_of(settings)
    report = train_model(
        archive_dir=settings.archive_dir,
        registry=steward.registry,
        declaration=declaration,
        now=datetime.now(UTC),
        as_ofs=[moment.date() for moment in options["as_ofs"]] or None,
        user_ttl_days=settings.user_ttl_days,
        cohorts=options["cohorts"],
        truth_dir=truth if options["truth"] and truth.exists() else None,
        progress=Progress("train").show,
    )
    click.echo(report.text())
    write_figures(json_file, json.loads(report.json()))
    free = steward.judged(report.version, report.verdict, evidence_of(report), datetime.now(UTC))
    if options["promote"] and free:
        record = steward.promote(report.version, GATE, "passed the gate after training", datetime.now(UTC))
        say_champion(record)
    elif report.verdict.promotes:
        click.echo(f"version {report.version} waits: {how_to_promote(report.version, settings)}")
    publish_card(settings, report.version)
