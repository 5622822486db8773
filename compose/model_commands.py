"""Commands that make and use a model: train, score; those about its versions are in `registry_commands`."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from churn.errors import InputError
from churn.settings import Settings
from compose.figures import json_option, write_figures
from compose.progress import Progress
from compose.registry_commands import evidence_of, how_to_promote, registry_of, say_champion, steward_of


@click.command()
@click.option("--as-of", "as_ofs", type=click.DateTime(["%Y-%m-%d"]), multiple=True, help="snapshot (repeatable)")
@click.option("--promote/--no-promote", default=True, help="let it serve when it passes the gate")
@click.option("--truth/--no-truth", default=True, help="show the oracle when a truth folder is there")
@json_option
@click.pass_obj
def train(settings: Settings, /, json_file: Path | None, **options: Any) -> None:
    """Train on the archive, evaluate on later users, register; promote when the gate lets it."""
    import json

    from feature_repo.declared import load
    from training.steward import GATE
    from training.train import train as train_model

    truth = settings.data_dir / "truth"
    steward = steward_of(settings)
    report = train_model(
        archive_dir=settings.archive_dir,
        registry=steward.registry,
        declaration=load(settings.declaration),
        now=datetime.now(UTC),
        as_ofs=[moment.date() for moment in options["as_ofs"]] or None,
        user_ttl_days=settings.user_ttl_days,
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


@click.command()
@click.option("--as-of", "as_of", default="today", show_default=True, help="midnight (UTC): a date, or `today`")
@json_option
@click.pass_obj
def score(settings: Settings, as_of: str, json_file: Path | None) -> None:
    """Score every active user as of a midnight into Parquet and CSV below DATA_DIR/predictions."""
    import json

    import msgspec

    from feature_repo.bundles import load as load_bundle
    from feature_repo.declared import load
    from training.batch import Bands, score_all

    declaration = load(settings.declaration)
    champion = registry_of(settings).champion()
    if champion is None:
        raise InputError("no model has been promoted yet; run `churn train`")
    manifest = score_all(
        _date(as_of),
        archive_dir=settings.archive_dir,
        predictions_dir=settings.predictions_dir,
        declaration=declaration,
        scorer=load_bundle(settings.models_dir, champion, declaration.feature_set_version),
        bands=Bands(settings.medium_risk, settings.high_risk),
        user_ttl_days=settings.user_ttl_days,
    )
    click.echo(
        f"{manifest.rows:,} users as of {manifest.as_of}, model {manifest.model_version}: {settings.predictions_dir}"
    )
    write_figures(json_file, json.loads(msgspec.json.encode(manifest)))


def _date(text: str) -> date:
    if text == "today":
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--as-of {text!r} is not a date; give YYYY-MM-DD or today") from error
