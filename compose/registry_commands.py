"""Commands about the versions of the model: list, promote, challenge, roll back, approve, reject, card, log."""

import getpass
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from churn.errors import InputError
from churn.kafka_config import client_config
from churn.settings import Settings
from churn.topics import MODELS
from compose.figures import json_option, write_figures

if TYPE_CHECKING:
    from churn.scores import Champion, Lineup
    from training.registry import Registry, Version
    from training.steward import Steward


def registry_of(settings: Settings) -> "Registry":
    """Return the model registry that the settings name."""
    from training.registry import Registry

    artifacts = settings.data_dir / "mlartifacts"
    return Registry(settings.tracking_uri, settings.model_name, settings.models_dir, artifacts)


def steward_of(settings: Settings) -> "Steward":
    """Return who takes steps with the registry's versions and writes them down."""
    from training.audit_log import AuditLog
    from training.steward import Steward

    log = AuditLog(settings.models_dir)
    return Steward(registry_of(settings), log, settings.model_approval, announcer(settings))


def how_to_promote(version: str, settings: Settings) -> str:
    """Say which command lets a version that passed the gate serve."""
    if settings.model_approval == "required":
        return f"approve it with `churn models approve {version} --by NAME --reason ...`, or reject it"
    return f"`churn models promote {version} --reason ...` lets it serve"


def announcer(settings: Settings) -> "Callable[[Champion | Lineup], None]":
    """Return a function that tells every scorer and the API which version serves, or which challenge it."""
    from training.announce import announce

    return lambda record: announce(client_config(settings), MODELS.name(settings.topic_prefix), record)


def publish_card(settings: Settings, version: str) -> None:
    """Draw a version's card anew, now that another step was taken with it."""
    from training.audit_log import AuditLog
    from training.card_files import publish

    publish(registry_of(settings), AuditLog(settings.models_dir).history(), version)


def say_champion(champion: "Champion") -> None:
    """Print which version serves, and why."""
    click.echo(f"{champion.model} version {champion.version} serves: {champion.reason}")


def user_name() -> str:
    """Return who runs this, for the record; a container may run under a number that has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"


reason_option = click.option("--reason", required=True, help="why, for the record")
by_option = click.option("--by", "who", required=True, help="your name, for the record")
user_option = click.option("--by", "who", default=user_name, help="your name, for the record; default: the user's")
override_option = click.option("--override", is_flag=True, help="although it did not pass the gate; the log keeps that")


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def models(context: click.Context, json_file: Path | None) -> None:
    """List the versions of the model; the commands below change which one serves."""
    if context.invoked_subcommand is None:
        list_versions(context.obj, json_file)


@models.command(name="list")
@json_option
@click.pass_obj
def list_command(settings: Settings, json_file: Path | None) -> None:
    """List the versions, the newest first."""
    list_versions(settings, json_file)


def list_versions(settings: Settings, json_file: Path | None) -> None:
    """Print a line for each version."""
    registry = registry_of(settings)
    versions, lineup = registry.versions(), registry.lineup()
    shares = {each.version: each.share for each in lineup.challengers} if lineup is not None else {}
    for version in versions:
        click.echo(_line(version, shares.get(version.version)))
    if not versions:
        click.echo("no version yet; run `churn train`")
    write_figures(json_file, [vars(version) for version in versions])


def _line(version: "Version", share: float | None) -> str:
    measures = [f"{name} {version.metrics[name]:.4f}" for name in ("auc", "log_loss") if name in version.metrics]
    aliases = f" [{', '.join(version.aliases)}]" if version.aliases else ""
    gate = f"gate {version.gate}" if version.gate else "no gate"
    challenges = [] if share is None else [f"challenges, {serves(share)}"]
    told = ", ".join([*measures, gate, *([version.state] if version.state else []), *challenges])
    return f"{version.version:>4}{aliases}  {version.created_at:%Y-%m-%d %H:%M}  {told}  {version.reason}".rstrip()


@models.command()
@click.argument("version")
@user_option
@reason_option
@override_option
@json_option
@click.pass_obj
def promote(settings: Settings, version: str, who: str, reason: str, override: bool, json_file: Path | None) -> None:
    """Let VERSION serve."""
    _serve(settings, steward_of(settings).promote(version, who, reason, datetime.now(UTC), override), json_file)


def serves(share: float) -> str:
    """Say whom a challenger serves.

    >>> serves(0.0), serves(0.125)
    ('in shadow', 'serves 12.5 % of the users')
    """
    return f"serves {100 * share:g} % of the users" if share else "in shadow"


@models.command()
@click.argument("version")
@click.option(
    "--share", type=float, default=0.0, show_default=True, help="of the users that it serves; 0: shadow alone"
)
@user_option
@reason_option
@override_option
@json_option
@click.pass_obj
def challenge(
    settings: Settings, version: str, share: float, who: str, reason: str, override: bool, json_file: Path | None
) -> None:
    """Let VERSION score everyone beside the champion, and serve a share of the users."""
    from feature_repo.declared import load

    declaration, now = load(settings.declaration), datetime.now(UTC)
    lineup = steward_of(settings).challenge(version, share, declaration, who, reason, now, override)
    _lined_up(settings, version, lineup, json_file)


@models.command()
@click.argument("version")
@user_option
@reason_option
@json_option
@click.pass_obj
def stand_down(settings: Settings, version: str, who: str, reason: str, json_file: Path | None) -> None:
    """Let VERSION challenge the champion no more."""
    lineup = steward_of(settings).stand_down(version, who, reason, datetime.now(UTC))
    _lined_up(settings, version, lineup, json_file)


def _lined_up(settings: Settings, version: str, lineup: "Lineup", json_file: Path | None) -> None:
    import msgspec

    publish_card(settings, version)
    told = [f"version {each.version} {serves(each.share)}" for each in lineup.challengers]
    click.echo(f"{settings.model_name} challengers: {', '.join(told) or 'none'}")
    write_figures(json_file, msgspec.to_builtins(lineup))


@models.command()
@user_option
@reason_option
@json_option
@click.pass_obj
def rollback(settings: Settings, who: str, reason: str, json_file: Path | None) -> None:
    """Let the previous champion serve again."""
    _serve(settings, steward_of(settings).rollback(who, reason, datetime.now(UTC)), json_file)


@models.command()
@user_option
@json_option
@click.pass_obj
def announce(settings: Settings, who: str, json_file: Path | None) -> None:
    """Tell the running processes once more which version serves, as after an outage."""
    _serve(settings, steward_of(settings).announce_again(who, datetime.now(UTC)), json_file)


@models.command()
@click.argument("version")
@by_option
@reason_option
@override_option
@json_option
@click.pass_obj
def approve(settings: Settings, version: str, who: str, reason: str, override: bool, json_file: Path | None) -> None:
    """Approve VERSION in your name and let it serve."""
    _serve(settings, steward_of(settings).approve(version, who, reason, datetime.now(UTC), override), json_file)


@models.command()
@click.argument("version")
@by_option
@reason_option
@json_option
@click.pass_obj
def reject(settings: Settings, version: str, who: str, reason: str, json_file: Path | None) -> None:
    """Reject VERSION in your name: it serves only after a new approval."""
    steward_of(settings).reject(version, who, reason, datetime.now(UTC))
    publish_card(settings, version)
    click.echo(f"{settings.model_name} version {version} is rejected by {who}: {reason}")
    write_figures(json_file, {"version": version, "state": "rejected", "who": who, "reason": reason})


def _serve(settings: Settings, record: "Champion", json_file: Path | None) -> None:
    import msgspec

    say_champion(record)
    publish_card(settings, record.version)
    write_figures(json_file, msgspec.to_builtins(record))


@models.command()
@click.option("--version", default="", help="only the steps of this version")
@json_option
@click.pass_obj
def log(settings: Settings, version: str, json_file: Path | None) -> None:
    """Print every step that was taken, by whom and why; ends with an error when a line is not as it was written."""
    import msgspec

    from training.audit_log import AuditLog

    entries = [entry for entry in AuditLog(settings.models_dir).history().entries if version in ("", entry.version)]
    for entry in entries:
        by = f" by {entry.who}" if entry.who else ""
        which = f"{entry.model} {entry.version}".strip()
        step = entry.step.replace("_", " ")
        click.echo(f"{entry.number:>4}  {entry.at:%Y-%m-%d %H:%M:%S}  {which} {step}{by}: {entry.reason}")
    write_figures(json_file, [msgspec.to_builtins(entry) for entry in entries])
    whole = steward_of(settings).history()
    click.echo(f"{len(whole.entries)} entries, each as it was written" if whole.entries else "no step was taken yet")


@models.command()
@click.argument("version")
@click.option("--out", type=click.Path(path_type=Path), help="write the card into this folder instead of printing it")
@click.option("--html", "form", flag_value="html", help="as HTML alone")
@click.option("--markdown", "form", flag_value="md", help="as Markdown alone (what is printed without --out)")
@json_option
@click.pass_obj
def card(settings: Settings, version: str, out: Path | None, form: str | None, json_file: Path | None) -> None:
    """Print the card of VERSION: data, measures, segments, features, limits, who approved."""
    import json

    from training.audit_log import AuditLog
    from training.card import CARD_FILE
    from training.card_files import pages

    registry = registry_of(settings)
    found = pages(registry, AuditLog(settings.models_dir).history(), version)
    chosen = {name: page for name, page in found.items() if form is None or name.endswith(form)}
    if out is None:
        click.echo(chosen["card.html"] if form == "html" else found["card.md"], nl=False)
    else:
        _write_pages(out, settings.model_name, version, chosen)
    write_figures(json_file, json.loads(registry.text(version, CARD_FILE) or "{}"))


def _write_pages(folder: Path, model: str, version: str, found: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, page in found.items():
            path = folder / f"{model}-{version}{Path(name).suffix}"
            path.write_text(page, encoding="utf-8")
            click.echo(str(path))
    except OSError as error:
        raise InputError(f"{folder}: the card cannot be written ({error.strerror}); name another folder") from error
