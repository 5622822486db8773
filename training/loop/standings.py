"""The contest as a table: every version beside the champion on the same matured labels, and each arm of a split."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from churn.arms import arms
from churn.layout import DAY_US
from churn.scores import Lineup, to_us
from training.bootstrap import Interval, Measured, Users, percentiles, resampled
from training.loop.contest import Contest, Rows, by_arm, difference, measured
from training.loop.matured import Contestant

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Standing:
    """One version on the rows that it shares with the champion; `beside` is its log loss less the champion's."""

    role: str
    version: str
    rows: int
    measures: Measured
    beside: Interval | None


@dataclass(frozen=True)
class Arm:
    """The users whom one version serves: how many labels, the share that is gone, how well it foretold them."""

    version: str
    rows: int
    gone: Interval
    measures: Measured | None


def standings(contest: Contest, champion: Contestant, others: Mapping[str, Contestant]) -> Iterator[Standing]:
    """Yield the champion, then each other that has spoken of the same rows; none on rows that either has learnt from."""
    own = contest.rows([champion.version], champion.knows_until)
    if own.telling:
        yield Standing("champion", champion.version, len(own), measured(own, champion.version), None)
    for role, other in others.items():
        rows = contest.rows([champion.version, other.version], max(champion.knows_until, other.knows_until))
        if rows.telling:
            beside = difference(rows, other.version, champion.version, CONFIDENCE)
            yield Standing(role, other.version, len(rows), measured(rows, other.version), beside)


def split(contest: Contest, champion: Contestant, lineup: Lineup) -> Iterator[Arm]:
    """Yield each arm on the midnights since the split was announced, with the outcome of its own users."""
    named = [each.version for each in lineup.challengers if each.share > 0]
    announced = to_us(lineup.announced_at) // DAY_US
    rows = contest.rows([champion.version, *named], max(champion.knows_until, announced))
    served = [*(each.version for each in lineup.challengers), champion.version]
    chosen = arms(rows.users, [each.share for each in lineup.challengers]).tolist()
    for version, own in by_arm(rows, [served[place] for place in chosen]):
        yield Arm(version, len(own), _gone(own), measured(own, version) if own.telling else None)


def _gone(rows: Rows) -> Interval:
    totals = resampled(Users.of(rows.users).sums([rows.churned, rows.churned | True]))
    return percentiles(float(rows.churned.mean()), totals[:, 0] / totals[:, 1], CONFIDENCE)
