"""`churn score`: the daily file of every active user."""

import os
import signal
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from churn.errors import InputError
from churn.fault_points import arm
from churn.settings import Settings
from compose.figures import json_option, write_figures
from compose.progress import Progress
from compose.registry_commands import registry_of

if TYPE_CHECKING:
    from churn.declaration import Declaration
    from training.day_snapshot import DaySnapshot


@click.command()
@click.option("--as-of", "as_of", help="midnight (UTC): a date, or `today`, which is what is scored if nothing is said")
@click.option(
    "--snapshot",
    "folder",
    type=click.Path(path_type=Path),
    help="score the vectors in this folder, DATA_DIR/snapshots/as_of=YYYY-MM-DD or a copy of it, without the archive",
)
@json_option
@click.pass_obj
def score(settings: Settings, as_of: str | None, folder: Path | None, json_file: Path | None) -> None:
    """Score every active user as of a midnight into Parquet and CSV below DATA_DIR/predictions."""
    import json

    import msgspec

    from feature_repo.bundles import load as load_bundle
    from feature_repo.declared import load
    from training.batch import score_snapshot
    from training.score_rows import Bands

    arm(settings.fault_point, lambda: os.kill(os.getpid(), signal.SIGKILL))
    declaration = load(settings.declaration)
    champion = registry_of(settings).champion()
    if champion is None:
        raise InputError("no model has been promoted yet; run `churn train`")
    progress = Progress("score")
    manifest = score_snapshot(
        _snapshot(settings, declaration, as_of, folder),
        predictions_dir=settings.predictions_dir,
        declaration=declaration,
        scorer=load_bundle(settings.models_dir, champion, declaration.feature_set_version),
        model_sha256=champion.sha256,
        bands=Bands(settings.medium_risk, settings.high_risk),
        progress=progress.show,
    )
    progress.show(f"{manifest.rows:,} users written", last=True)
    click.echo(
        f"{manifest.rows:,} users as of {manifest.as_of}, model {manifest.model_version}: {settings.predictions_dir}"
    )
    write_figures(json_file, json.loads(msgspec.json.encode(manifest)))


def _snapshot(settings: Settings, declaration: "Declaration", as_of: str | None, folder: Path | None) -> "DaySnapshot":
    from training.day_snapshot import current, opened

    if folder is None:
        return current(
            _date(as_of or "today"),
            archive_dir=settings.archive_dir,
            snapshots_dir=settings.snapshots_dir,
            declaration=declaration,
            user_ttl_days=settings.user_ttl_days,
            progress=Progress("snapshot").show,
        )
    found = opened(folder)
    if as_of is not None and _date(as_of).isoformat() != found.manifest.as_of:
        raise InputError(
            f"{folder} is the snapshot of {found.manifest.as_of}, --as-of says {_date(as_of)}; leave one out"
        )
    return found


def _date(text: str) -> date:
    if text == "today":
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--as-of {text!r} is not a date; give YYYY-MM-DD or today") from error
