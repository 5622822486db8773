"""Commands about the live online model."""

from datetime import UTC, datetime
from pathlib import Path

import click

from churn.errors import InputError
from churn.settings import Settings
from compose.figures import json_option, write_figures
from compose.registry_commands import by_option, reason_option, registry_of, steward_of


@click.command("enroll-online")
@by_option
@reason_option
@json_option
@click.pass_obj
def enroll_online(settings: Settings, who: str, reason: str, json_file: Path | None) -> None:
    """Register what the learner knows now as a version, so that it can challenge the champion."""
    from feature_repo.declared import load
    from training.enrolment import enroll, enrolment, told
    from training.snapshots import latest

    folder, now = settings.models_dir / "online", datetime.now(UTC)
    snapshot = latest(folder)
    if snapshot is None:
        raise InputError(f"{folder} holds no snapshot of the learner; start `churn worker learner` and wait for labels")
    found = enrolment(snapshot[1].model, load(settings.declaration), settings.model_name, now)
    version = enroll(found, registry_of(settings), steward_of(settings), who, reason, now)
    click.echo(
        f"version {version}: the online model after {found.evidence['rows']:,} labels until {found.learnt_until}, log loss"
        f" {found.judged.log_loss:.4f} of {found.judged.rows:,} as issued; no gate has judged it,"
        f" `churn models challenge {version} --reason ...` lets it score in shadow"
    )
    write_figures(json_file, told(version, found))
