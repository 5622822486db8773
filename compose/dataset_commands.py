"""Commands about the data that models learn from: build it as Parquet, check it."""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from churn.declaration import Declaration
from churn.errors import DataError
from churn.settings import Settings
from compose.figures import json_option, write_figures
from compose.progress import Progress
from compose.spark import LOCAL, spark_session

if TYPE_CHECKING:
    from training.dataset import DataSet, Sampling
    from training.profile import Profile
    from training.validation import LabelRate

EXIT_FAILED = 2
RATED_ROWS = 200_000
"""So many labelled rows tell the label rate of every snapshot to a per cent."""
AS_OFS = click.option(
    "--as-of", "as_ofs", type=click.DateTime(["%Y-%m-%d"]), multiple=True, help="midnight, UTC (repeatable)"
)
HORIZON = click.option(
    "--horizon-days", type=click.IntRange(1, 30), help="another horizon than the declaration's, say 7 or 14"
)


def of_horizon(settings: Settings, horizon_days: int | None) -> tuple[Declaration, Settings]:
    """Return the declaration with the asked horizon, and settings whose model has a name of its own for it."""
    from feature_repo.declared import load

    declaration = load(settings.declaration)
    if horizon_days in (None, declaration.label.horizon_days):
        return declaration, settings
    own = settings.model_copy(update={"model_name": f"{settings.model_name}-{horizon_days}d"})
    return declaration.with_horizon(horizon_days or 0), own


@click.group(invoke_without_command=True)
@click.option("--engine", type=click.Choice(["duckdb", "spark"]), default="duckdb", show_default=True)
@click.option("--master", default=LOCAL, show_default=True, help="spark: where it runs")
@click.option("--out", type=click.Path(path_type=Path), help="the folder to be made")
@click.option("--feast", "into_feast", is_flag=True, help="put the vectors where get_historical_features reads, too")
@click.option("--population/--everybody", default=False, help="only who was active in the horizon before")
@AS_OFS
@HORIZON
@json_option
@click.pass_context
def dataset(context: click.Context, /, json_file: Path | None, **options: Any) -> None:
    """Write snapshots of the archive as Parquet: features, and the label where it is known.

    Without --as-of they are a week apart, with whole windows before and a whole horizon after each.
    """
    if context.invoked_subcommand is not None:
        return
    if options["out"] is None:
        raise click.UsageError("--out FOLDER is needed")
    began = time.monotonic()
    wanted = wanted_of(context.obj, options["as_ofs"], options["horizon_days"], Progress("dataset").show)
    seen = time.monotonic()
    facts = _build(wanted, options)
    if options["into_feast"]:
        click.echo(_put_into_feast(context.obj, wanted.declaration, options["out"], str(facts["id"])))
    seconds = {"looking_seconds": round(seen - began, 1), "building_seconds": round(time.monotonic() - seen, 1)}
    write_figures(json_file, facts | {"seconds": seconds})


@dataset.command()
@AS_OFS
@HORIZON
@json_option
@click.pass_obj
def check(settings: Settings, as_ofs: Sequence[Any], horizon_days: int | None, json_file: Path | None) -> None:
    """Check the archive and its labels before a model learns from them; ends with an error when a check fails."""
    import json

    from training.validation import validate

    progress = Progress("check").show
    wanted = wanted_of(settings, as_ofs, horizon_days, progress, enough=False)
    rates = _label_rates(wanted, progress) if wanted.days else []
    report = validate(wanted.declaration, wanted.profile, rates)
    click.echo(report.text())
    write_figures(json_file, json.loads(report.json()))
    if not report.passed:
        sys.exit(EXIT_FAILED)


@dataclass(frozen=True)
class Wanted:
    """Which snapshots (UTC day numbers) of which archive."""

    declaration: Declaration
    files: Sequence[Path]
    profile: "Profile"
    days: Sequence[int]
    user_ttl_days: int


def wanted_of(
    settings: Settings,
    as_ofs: Sequence[Any],
    horizon_days: int | None,
    progress: Callable[[str], None],
    enough: bool = True,
) -> Wanted:
    """Look at the archive and choose the midnights.

    Raises:
        DataError: the archive is too short for any, and `enough` are asked for.
    """
    from churn.days import day_number
    from feature_repo.archive import files
    from training.profile import profile_of
    from training.split import Bounds, history_days

    declaration, _ = of_horizon(settings, horizon_days)
    archived = files(settings.archive_dir)
    profile = profile_of(declaration, archived, progress)
    bounds = Bounds(*profile.days, declaration.label.horizon_days, history_days(declaration))
    named = sorted({day_number(moment.date()) for moment in as_ofs})
    if enough and not named and not bounds.weekly():
        raise DataError("the archive is too short for whole windows and a known label; name midnights by --as-of")
    if warning := _warning(bounds.checked, named):
        click.echo(f"warning: {warning}; do not learn from these rows", err=True)
    return Wanted(declaration, archived, profile, named or bounds.weekly(), settings.user_ttl_days)


def _warning(check_days: Callable[[Sequence[int]], object], days: Sequence[int]) -> str:
    try:
        check_days(days)
    except DataError as error:
        return str(error)
    return ""


def _build(wanted: Wanted, options: Mapping[str, Any]) -> dict[str, Any]:
    import msgspec

    from training.dataset import Sampling
    from training.dataset_files import Unfinished, write_manifest
    from training.fingerprint import fingerprint_of

    sampling = Sampling(population_only=options["population"])
    fingerprint = fingerprint_of(wanted.declaration, wanted.profile, wanted.days, 1.0, wanted.user_ttl_days)
    with Unfinished(options["out"]) as folder, tempfile.TemporaryDirectory() as scratch:
        if options["engine"] == "spark":
            rows = _by_spark(wanted, sampling, folder, Path(scratch), options["master"])
        else:
            rows = _by_duckdb(wanted, sampling, folder, Path(scratch))
        facts = {"rows": rows, "engine": options["engine"], "id": fingerprint.id, **msgspec.to_builtins(fingerprint)}
        write_manifest(folder, facts)
    click.echo(f"{rows:,} rows in {options['out']}; {fingerprint.text()}")
    return facts


def _put_into_feast(settings: Settings, declaration: Declaration, folder: Path, name: str) -> str:
    from feature_repo.offline import vectors_folder
    from training.feast_history import put_into_feast

    rows = put_into_feast(folder, declaration, settings.data_dir, f"dataset-{name}")
    return f"{rows:,} vectors for get_historical_features in {vectors_folder(settings.data_dir)}"


def _by_duckdb(wanted: Wanted, sampling: "Sampling", folder: Path, scratch: Path) -> int:
    from training.dataset_files import write_parts

    with _opened(wanted, scratch, Progress("dataset").show) as data:
        return write_parts(folder, wanted.declaration, data.parts(wanted.days, sampling))


def _by_spark(wanted: Wanted, sampling: "Sampling", folder: Path, scratch: Path, master: str) -> int:
    with spark_session(scratch, master) as session:
        from training.spark import SparkDataSet

        data = SparkDataSet(wanted.declaration, wanted.files, session, wanted.user_ttl_days)
        data.snapshots(wanted.days, sampling).write.mode("overwrite").parquet(str(folder))
        return int(session.read.parquet(str(folder)).count())


def _opened(wanted: Wanted, scratch: Path, progress: Callable[[str], None]) -> "DataSet":
    from training.dataset import DataSet

    return DataSet(wanted.declaration, wanted.files, scratch, wanted.user_ttl_days, progress)


def _label_rates(wanted: Wanted, progress: Callable[[str], None]) -> "list[LabelRate]":
    import numpy as np

    from training.dataset import Sampling
    from training.validation import label_rates

    with tempfile.TemporaryDirectory() as scratch, _opened(wanted, Path(scratch), progress) as data:
        pairs = data.counts.active_pairs(wanted.days, wanted.declaration.label.horizon_days)
        share = min(1.0, RATED_ROWS / max(1, pairs))
        parts = [(p.as_of_day, p.churned) for p in data.parts(wanted.days, Sampling(True, True, share))]
    days = np.concatenate([np.full(len(churned), day, np.int32) for day, churned in parts])
    return label_rates(days, np.concatenate([churned for _, churned in parts]))
