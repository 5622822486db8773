"""`churn score`: the daily file of every active user."""

import os
import signal
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from churn.errors import InputError
from churn.fault_points import arm
from churn.settings import Settings
from compose.figures import json_option, write_figures
from compose.progress import Progress
from compose.registry_commands import registry_of

if TYPE_CHECKING:
    from churn.declaration import Declaration
    from churn.model import Scorer
    from churn.scores import Challenger
    from feature_repo.champion import Refusal, Serving
    from training.batch import Manifest
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
    """Score every active user as of a midnight into Parquet and CSV below DATA_DIR/predictions.

    Each by the model that serves the user now: the champion, or the challenger in whose share the user is.
    """
    from feature_repo.declared import load
    from training.batch import score_snapshot
    from training.score_rows import Bands

    arm(settings.fault_point, lambda: os.kill(os.getpid(), signal.SIGKILL))
    declaration = load(settings.declaration)
    serving, left_out = _serving(settings, declaration)
    progress = Progress("score")
    manifest = score_snapshot(
        _snapshot(settings, declaration, as_of, folder),
        predictions_dir=settings.predictions_dir,
        declaration=declaration,
        serving=serving,
        bands=Bands(settings.medium_risk, settings.high_risk),
        progress=progress.show,
    )
    progress.show(f"{manifest.rows:,} users written", last=True)
    click.echo(f"{manifest.rows:,} users as of {manifest.as_of}, model {_by(manifest)}: {settings.predictions_dir}")
    write_figures(json_file, _figures(manifest, left_out))


def _serving(settings: Settings, declaration: "Declaration") -> "tuple[Serving, tuple[Refusal, ...]]":
    """Return who serves by the registry, and who was left out, which is said; who challenges in shadow has no part in it."""
    from feature_repo.bundles import load
    from feature_repo.champion import Serving, beside
    from feature_repo.manifest import signature_of

    def verified(challenger: "Challenger") -> "Scorer":
        return load(settings.models_dir, challenger, features, signature_of(declaration))

    registry, features = registry_of(settings), declaration.feature_set_version
    champion = registry.champion()
    if champion is None:
        raise InputError("no model has been promoted yet; run `churn train`")
    scorer, lineup = load(settings.models_dir, champion, features), registry.lineup()
    sharing = [each for each in lineup.challengers if each.share > 0] if lineup is not None else []
    found, left_out = beside(champion, sharing, verified)
    for each in left_out:
        click.echo(
            f"challenger version {each.version} is left out, its users stay with the champion: {each.reason}", err=True
        )
    return Serving(champion, scorer, lineup, found), left_out


def _by(manifest: "Manifest") -> str:
    shares = [f"version {each.version} for {each.share:.3g} of the users" for each in manifest.challengers]
    return f"{manifest.model_version}" + (f" and {', '.join(shares)}" if shares else "")


def _figures(manifest: "Manifest", left_out: "tuple[Refusal, ...]") -> dict[str, Any]:
    """Return the manifest as written, and who was left out, if anybody."""
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(manifest)
    return found | ({"left_out": {each.version: each.reason for each in left_out}} if left_out else {})


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
