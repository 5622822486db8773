"""Commands that look back: a user's vector and score at any time of the past, and the audit of what was emitted."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from churn.errors import DefectError, InputError
from churn.scores import BANDS, Score, band_codes, from_us, to_us
from churn.settings import Settings
from churn.topics import FEATURES
from compose.figures import json_option, write_figures
from compose.look_commands import kafka_answers, read_to_end

if TYPE_CHECKING:
    from churn.declaration import Declaration
    from compose.past_models import Load
    from feature_repo.champion import Answering
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
    from compose.past_models import NONE_PROMOTED, answering, chosen_at, known
    from feature_repo.declared import load
    from training.time_travel import TimeTravel

    declaration = load(settings.declaration)
    with TimeTravel(declaration, settings.archive_dir) as travel:
        past = travel.at(user, to_us(moment_of(as_of)), offset)
    chosen = chosen_at(known(settings), from_us(past.moment.as_of_us), model_version)
    score, why = None, NONE_PROMOTED
    if chosen is not None:
        answers, why = answering(chosen, user, loader(settings, declaration))
        score = score_of(settings, declaration, past, answers)
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


def loader(settings: Settings, declaration: "Declaration") -> "Load":
    """Return what loads and verifies the bundle that a record names."""
    from feature_repo.bundles import load

    return lambda named: load(settings.models_dir, named, declaration.feature_set_version)


def score_of(settings: Settings, declaration: "Declaration", past: "Past", answers: "Answering") -> Score:
    """Return the score that this model gives the vector; `emitted_at` repeats `as_of`, nothing is emitted here."""
    from churn.population import activity_teller
    from churn.reasons import Explainer

    scored, moment = answers.scorer.score(past.vector), past.moment
    code = band_codes(scored.probability, settings.medium_risk, settings.high_risk)[0]
    explained = Explainer(declaration).explained(past.vector, scored.contributions)
    active = bool(activity_teller(declaration)(past.vector)[0])
    as_of = from_us(moment.as_of_us)
    return Score(
        moment.user, float(scored.probability[0]), BANDS[code], explained.reasons[0], settings.model_name,
        answers.version, declaration.feature_set_version, as_of, as_of, moment.partition, moment.source_offset, None,
        active, answers.since, scored.base, float(explained.others[0]),
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
