"""Commands that look back: a user's vector and score at any time of the past, and the audit of what was emitted."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from churn.errors import DefectError, InputError, OutageError
from churn.scores import BANDS, Champion, Score, band_codes, decode_champion, decode_lineup, from_us, to_us
from churn.settings import Settings
from churn.topics import FEATURES, MODELS
from compose.figures import json_option, write_figures
from compose.look_commands import kafka_answers, read_to_end
from compose.registry_commands import registry_of

if TYPE_CHECKING:
    from churn.declaration import Declaration
    from training.auditor import Report
    from training.time_travel import Past


@click.command()
@click.option("--user", "user", required=True, help="user_id")
@click.option("--as-of", "as_of", required=True, help="time on the partition's clock (UTC): a date or ISO 8601 time")
@click.option("--offset", type=click.IntRange(min=0), help="source_offset of a block or score, to name one emission")
@click.option("--model-version", default="", help="score by this version instead of the one that served then")
@json_option
@click.pass_obj
def features(
    settings: Settings, user: str, as_of: str, offset: int | None, model_version: str, json_file: Path | None
) -> None:
    """Print what the stream said of a user at a time of the past: vector and score, from the archive.

    The vector holds what had arrived in the user's partition before its clock passed the time: late events that came
    after are left out. A midnight holds everything strictly before it. `as_of` and `source_offset` of a score name one
    emission to the bit; without the offset the first emission of a midnight, or the last one up to any other time, is
    found from the events (not so where the wall clock moved a quiet partition, see `--offset`).
    """
    from feature_repo.declared import load
    from training.time_travel import TimeTravel

    declaration = load(settings.declaration)
    with TimeTravel(declaration, settings.archive_dir) as travel:
        past = travel.at(user, to_us(moment_of(as_of)), offset)
    chosen, why = champion_of(champions(settings), from_us(past.moment.as_of_us), model_version)
    score = score_of(settings, declaration, past, chosen) if chosen else None
    _show(past, declaration.feature_names, score, why)
    write_figures(json_file, _figures(past, declaration, score, why))


@click.command()
@click.option("--once", is_flag=True, help="audit what is there now, print a report and end")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="of the users; default: CHURN_AUDIT_SHARE")
@json_option
@click.pass_obj
def audit(settings: Settings, once: bool, share: float | None, json_file: Path | None) -> None:
    """Compare emitted vectors of sampled users with the archived events, bit by bit.

    With --once everything that the features topic holds is compared with the archive of now; it ends with code 1 when
    anything differs. Without it, it is the same as `churn worker audit`.
    """
    from compose.workers import run

    chosen = settings.model_copy(update={"audit_share": share or settings.audit_share})
    if not once:
        run("audit", chosen)
        return
    report = _audit_now(chosen)
    _show_report(report)
    write_figures(
        json_file,
        {
            "checked": report.found.checked,
            "wrong": report.found.wrong,
            "waiting": report.waiting,
            "outdated_blocks": report.outdated_blocks,
            "mismatches": dict(report.found.mismatches),
            "examples": [str(example) for example in report.found.examples],
        },
    )
    if report.found.wrong:
        raise DefectError(f"{report.found.wrong} of {report.found.checked} vectors are not what the archive says")


def _audit_now(settings: Settings) -> "Report":
    from churn.blocks import decode_features
    from churn.time_travel import Sample
    from feature_repo.declared import load
    from training.auditor import audit_once

    kafka_answers(settings)
    blocks = map(decode_features, read_to_end(settings, FEATURES))
    sample = Sample(settings.audit_share)
    return audit_once(load(settings.declaration), settings.archive_dir, sample, settings.partitions, blocks)


def _show_report(report: "Report") -> None:
    found = report.found
    click.echo(f"{found.checked:,} emitted vectors compared with the archive, {found.wrong:,} differ")
    for feature, count in found.mismatches.most_common():
        click.echo(f"  {feature:32} {count:,}")
    for example in found.examples:
        click.echo(f"  {example}")
    if report.waiting:
        click.echo(f"{report.waiting:,} vectors were not compared: the archive does not cover their events yet")
    if report.outdated_blocks:
        click.echo(f"{report.outdated_blocks:,} blocks are of another declaration and were not compared")


def moment_of(text: str) -> datetime:
    """Read a date (its midnight) or a time; without a zone it is UTC.

    Raises:
        InputError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"--as-of {text!r} is no time; give YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS.ffffffZ") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def champions(settings: Settings) -> list[Champion]:
    """Return what is known of promotions: records of the models topic while Kafka answers, and of the registry."""
    found: list[Champion] = []
    try:
        kafka_answers(settings)
        found = [
            decode_champion(value) for value in read_to_end(settings, MODELS) if value and not names_challengers(value)
        ]
    except OutageError as error:
        click.echo(f"the models topic is not asked ({error})", err=True)
    own = settings.tracking_uri.removeprefix("sqlite:///")
    if own == settings.tracking_uri or Path(own).exists():
        found += registry_of(settings).promotions()
    return [each for each in found if each.model == settings.model_name]


def names_challengers(value: bytes) -> bool:
    """Tell whether a record of the models topic names challengers instead of a champion."""
    try:
        decode_lineup(value)
    except msgspec.ValidationError:
        return False
    return True


def champion_of(known: Iterable[Champion], at: datetime, version: str = "") -> tuple[Champion | None, str]:
    """Return which model to score by and why: the version asked for, who served at the time, or who serves now.

    Raises:
        InputError: nothing is known of the version asked for.
    """
    ordered = sorted(known, key=lambda champion: champion.promoted_at)
    if version:
        named = [champion for champion in ordered if champion.version == version]
        if not named:
            raise InputError(f"model version {version} was never promoted; `churn models` lists the versions")
        return named[-1], f"version {version}, as asked for"
    before = [champion for champion in ordered if champion.promoted_at <= at]
    if before:
        return before[-1], f"version {before[-1].version} served then, promoted {before[-1].promoted_at:%Y-%m-%d %H:%M}"
    if ordered:
        return ordered[-1], f"version {ordered[-1].version} serves now; no promotion up to {at:%Y-%m-%d %H:%M} is known"
    return None, "no model was promoted yet, so there is no score; run `churn train`"


def score_of(settings: Settings, declaration: "Declaration", past: "Past", champion: Champion) -> Score:
    """Return the score that this model gives the vector; `emitted_at` repeats `as_of`, nothing is emitted here."""
    from churn.population import activity_teller
    from churn.reasons import Explainer
    from feature_repo.bundles import load as load_bundle

    scorer = load_bundle(settings.models_dir, champion, declaration.feature_set_version)
    scored, moment = scorer.score(past.vector), past.moment
    code = band_codes(scored.probability, settings.medium_risk, settings.high_risk)[0]
    explained = Explainer(declaration).explained(past.vector, scored.contributions)
    active = bool(activity_teller(declaration)(past.vector)[0])
    as_of = from_us(moment.as_of_us)
    return Score(
        moment.user, float(scored.probability[0]), BANDS[code], explained.reasons[0], champion.model, champion.version,
        declaration.feature_set_version, as_of, as_of, moment.partition, moment.source_offset, None, active,
        champion.promoted_at, scored.base, float(explained.others[0]),
    )  # fmt: skip


def _show(past: "Past", names: Iterable[str], score: Score | None, why: str) -> None:
    moment = past.moment
    click.echo(f"user {moment.user} as of {from_us(moment.as_of_us).isoformat()}: {past.events} events known")
    click.echo(f"partition {moment.partition}, source offset {moment.source_offset}, clock {from_us(past.clock_us)}")
    for name, value in zip(names, past.vector[0].tolist(), strict=True):
        click.echo(f"  {name:32} {'' if math.isnan(value) else f'{value:g}'}")
    click.echo(f"model: {why}")
    if score is not None:
        click.echo(f"probability {score.probability:.6f}, {score.band} risk{'' if score.active else ', not active'}")
        for reason in score.reasons:
            click.echo(f"  {reason.contribution:+.4f}  {reason.text}")
    if not past.complete:
        click.echo(
            f"the archive of partition {moment.partition} ends at offset {past.archived_until}: what arrived later is"
            " not in it yet",
            err=True,
        )


def _figures(past: "Past", declaration: "Declaration", score: Score | None, why: str) -> dict[str, Any]:
    moment, values = past.moment, past.vector[0].tolist()
    shown = [None if math.isnan(value) else value for value in values]
    return {
        "user_id": moment.user,
        "as_of": from_us(moment.as_of_us).isoformat(),
        "source_partition": moment.partition,
        "source_offset": moment.source_offset,
        "feature_set_version": declaration.feature_set_version,
        "features": dict(zip(declaration.feature_names, shown, strict=True)),
        "events": past.events,
        "complete": past.complete,
        "score": None if score is None else msgspec.to_builtins(score),
        "model": why,
    }
