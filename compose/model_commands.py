"""Commands about models: train, list, promote, roll back."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import MODELS
from compose.figures import json_option, write_figures
from compose.progress import Progress

if TYPE_CHECKING:
    from churn.scores import Champion
    from training.registry import Registry


def registry_of(settings: Settings) -> "Registry":
    """Return the model registry that the settings name."""
    from training.registry import Registry

    artifacts = settings.data_dir / "mlartifacts"
    return Registry(settings.tracking_uri, settings.model_name, settings.models_dir, artifacts)


def say_champion(settings: Settings, champion: "Champion") -> None:
    """Tell every scorer and the API which version serves."""
    from training.announce import announce

    announce(client_config(settings), MODELS.name(settings.topic_prefix), champion)
    click.echo(f"{champion.model} version {champion.version} serves: {champion.reason}")


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
    from training.train import train as train_model

    truth = settings.data_dir / "truth"
    registry = registry_of(settings)
    report = train_model(
        archive_dir=settings.archive_dir,
        registry=registry,
        declaration=load(settings.declaration),
        now=datetime.now(UTC),
        as_ofs=[moment.date() for moment in options["as_ofs"]] or None,
        user_ttl_days=settings.user_ttl_days,
        truth_dir=truth if options["truth"] and truth.exists() else None,
        progress=Progress("train").show,
    )
    click.echo(report.text())
    write_figures(json_file, json.loads(report.json()))
    if options["promote"] and report.verdict.promotes:
        say_champion(settings, registry.promote(report.version, "passed the gate after training", datetime.now(UTC)))


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def models(context: click.Context, json_file: Path | None) -> None:
    """List the versions of the model; `promote VERSION` and `rollback` change which one serves."""
    if context.invoked_subcommand is None:
        _list(context.obj, json_file)


def _list(settings: Settings, json_file: Path | None) -> None:
    versions = registry_of(settings).versions()
    for version in versions:
        measures = ", ".join(
            f"{name} {version.metrics[name]:.4f}" for name in ("auc", "log_loss") if name in version.metrics
        )
        aliases = f" [{', '.join(version.aliases)}]" if version.aliases else ""
        click.echo(f"{version.version:>4}{aliases}  {version.created_at:%Y-%m-%d %H:%M}  {measures}  {version.reason}")
    if not versions:
        click.echo("no version yet; run `churn train`")
    write_figures(json_file, [vars(version) for version in versions])


def _change(act: Callable[["Registry"], "Champion"], settings: Settings) -> None:
    say_champion(settings, act(registry_of(settings)))


@models.command()
@click.argument("version")
@click.option("--reason", required=True, help="why, for the record")
@click.pass_obj
def promote(settings: Settings, version: str, reason: str) -> None:
    """Let VERSION serve."""
    _change(lambda registry: registry.promote(version, reason, datetime.now(UTC)), settings)


@models.command()
@click.option("--reason", required=True, help="why, for the record")
@click.pass_obj
def rollback(settings: Settings, reason: str) -> None:
    """Let the previous champion serve again."""
    _change(lambda registry: registry.rollback(reason, datetime.now(UTC)), settings)
