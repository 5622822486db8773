"""Who served a user at a time of the past: what had been announced up to then decides, by the rule of the scorer itself.

The models topic is compacted, so it may hold the present champion and challengers alone; the registry keeps those before
them. A time here is compared with the dates of the records; what a process was told later than that, as after an outage
of Kafka, it said later too.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
import msgspec

from churn.arms import arms
from churn.errors import InputError, OutageError
from churn.model import Scorer
from churn.scores import Challenger, Champion, Lineup, decode_champion, decode_lineup
from churn.settings import Settings
from churn.topics import MODELS
from compose.look_commands import kafka_answers, read_to_end
from compose.registry_commands import registry_of
from feature_repo.champion import Answering, Record, Serving, beside

NONE_PROMOTED = "no model was promoted yet, so there is no score; run `churn train`"

Load = Callable[[Champion | Challenger], Scorer]


@dataclass(frozen=True)
class Chosen:
    """The records that decide about a time, and in words why this champion."""

    champion: Champion
    lineup: Lineup | None
    why: str


def known(settings: Settings) -> list[Record]:
    """Return what is known of champions and challengers: by the models topic while Kafka answers, and the registry."""
    found: list[Record] = []
    try:
        kafka_answers(settings)
        found = [record_of(value) for value in read_to_end(settings, MODELS) if value]
    except OutageError as error:
        click.echo(f"the models topic is not asked ({error})", err=True)
    return [each for each in [*found, *registered(settings)] if each.model == settings.model_name]


def record_of(value: bytes) -> Record:
    """Read a record of the models topic; raises MsgspecError when these bytes are none."""
    try:
        return decode_lineup(value)
    except msgspec.ValidationError:
        return decode_champion(value)


def registered(settings: Settings) -> list[Record]:
    """Return what the registry keeps: every promotion and every lineup; nothing where there is no registry yet."""
    own = settings.tracking_uri.removeprefix("sqlite:///")
    if own != settings.tracking_uri and not Path(own).exists():
        return []
    registry = registry_of(settings)
    return [*registry.promotions(), *registry.lineups()]


def chosen_at(records: Iterable[Record], at: datetime, version: str = "") -> Chosen | None:
    """Return what decides: the version asked for, what had been announced last up to the time, or the present champion.

    Challengers share the users with a champion alone: before the first promotion nobody served. None before any promotion
    is known.

    Raises:
        InputError: nothing is known of the version asked for.
    """
    among = list(records)
    champions = sorted((each for each in among if isinstance(each, Champion)), key=lambda each: each.promoted_at)
    if version:
        return Chosen(_asked(champions, version), None, f"version {version}, as asked for")
    before = [each for each in champions if each.promoted_at <= at]
    if before:
        champion = before[-1]
        why = f"version {champion.version} served then, promoted {champion.promoted_at:%Y-%m-%d %H:%M}"
        return Chosen(champion, _last_lineup(among, at), why)
    if champions:
        why = f"version {champions[-1].version} is champion now; no promotion up to {at:%Y-%m-%d %H:%M} is known"
        return Chosen(champions[-1], None, why)
    return None


def _asked(champions: Iterable[Champion], version: str) -> Champion:
    named = [champion for champion in champions if champion.version == version]
    if not named:
        raise InputError(f"model version {version} was never promoted; `churn models` lists the versions")
    return named[-1]


def _last_lineup(records: Iterable[Record], at: datetime) -> Lineup | None:
    lineups = [each for each in records if isinstance(each, Lineup) and each.announced_at <= at]
    return max(lineups, key=lambda each: each.announced_at, default=None)


def answering(chosen: Chosen, user: str, load: Load) -> tuple[Answering, str]:
    """Return who answered for a user, and in words why.

    A challenger that cannot be loaded is left out, as the scorer leaves it out, and its users stay with the champion.

    Raises:
        DataError: the champion cannot be loaded.
    """
    champion, lineup, why = chosen.champion, chosen.lineup, chosen.why
    challenger = challenger_of(lineup, user)
    leading = Serving(champion, load(champion), lineup)
    if lineup is None or challenger is None or challenger.version == champion.version:
        return leading.answering(user), why
    found, left_out = beside(champion, [challenger], load)
    if left_out:
        share = f"the user was in the share of challenger version {challenger.version}"
        return leading.answering(user), f"{why}; {share}, which is left out: {left_out[0].reason}"
    return Serving(champion, leading.scorer, lineup, found).answering(user), _in_share(challenger, lineup)


def challenger_of(lineup: Lineup | None, user: str) -> Challenger | None:
    """Return the challenger in whose share a user is; None for the champion's users."""
    if lineup is None:
        return None
    arm = int(arms([user], [each.share for each in lineup.challengers])[0])
    return lineup.challengers[arm] if arm < len(lineup.challengers) else None


def _in_share(challenger: Challenger, lineup: Lineup) -> str:
    share = f"the user was in the challenger's share, {challenger.share:g} of the users"
    return f"version {challenger.version} served then: {share}, announced {lineup.announced_at:%Y-%m-%d %H:%M}"
