"""Whether a new model may serve: for sure better than what is simple, and no worse than what serves now.

No worse means: not surely above the champion's log loss, and surely not by more than a margin. Asking the estimate itself
to be no higher would be a toss of a coin between equal models, and the older one would serve: of 51 weekly trainings of a
year (5,000 users, a quarter reserved, 17 weeks learnt) it refuses 19, and the champion grows 75 days old; as asked here 5.
What served was no worse for it by the true probabilities: 0.0588 from the oracle, 0.0589 when refused more often.

All models are compared on the same rows, later than any they learnt from. Differences are candidate minus the other, so
below 0 is better; their intervals come from drawing users again (`training.bootstrap`), the same users for all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from churn.evaluation import CALIBRATION_BINS, Mask, auc, calibration_table, expected_calibration_error, losses
from churn.influence import auc_influence
from churn.layout import Float64s
from training.bootstrap import RESAMPLES, SEED, Interval, Users, by_spread, gaps, percentiles, resampled

Labels = npt.NDArray[np.str_]
SEGMENT = "segment:"


@dataclass(frozen=True)
class GatePolicy:
    """What the gate asks for; every margin in one place.

    Attributes:
        confidence: of every interval; over all segments together, as one in twenty of many fails by chance.
        champion_margin: how much higher the log loss may be than the champion's, as a share of it, at the upper end.
        segment_margin: the same in a segment, at the lower end: beyond what noise explains.
        calibration_margin: how much higher the expected calibration error may be, at the lower end.
        min_rows: a segment with fewer rows, or
        min_churned: with fewer churned rows, is reported but not judged.
    """

    confidence: float = 0.95
    champion_margin: float = 0.01
    segment_margin: float = 0.02
    calibration_margin: float = 0.005
    min_rows: int = 500
    min_churned: int = 50
    resamples: int = RESAMPLES
    seed: int = SEED


@dataclass(frozen=True)
class Holdout:
    """Rows that no model learnt from: labels, users and, by the segment's name, each row's segment. All of one length."""

    churned: Mask
    users: Sequence[str]
    segments: Mapping[str, Labels]


@dataclass(frozen=True)
class Condition:
    """One condition of the gate: `seen` and its interval, the `bound` it was held against, and whether it holds.

    `passed` is None for what is only told.
    """

    name: str
    passed: bool | None
    seen: float
    low: float
    high: float
    bound: float
    says: str


@dataclass(frozen=True)
class Verdict:
    """`promotes` and, for people, `why`; for programs the conditions behind it."""

    promotes: bool
    why: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()


def judge(
    holdout: Holdout,
    candidate: Float64s,
    floor: Float64s,
    champion: Float64s | None,
    champion_note: str,
    policy: GatePolicy = GatePolicy(),
) -> Verdict:
    """Compare a candidate's probabilities with the recency-only floor's and, if it can score the same rows, the champion's.

    `champion_note` says which champion that is, or why there is none to compare with.
    """
    bench = _Bench(holdout, candidate, policy)
    comparisons = bench.with_floor(floor)
    if champion is not None:
        comparisons += bench.with_champion(champion, champion_note)
    conditions = _concluded(comparisons, Users.of(holdout.users), policy)
    failed = [f"FAILED: {each.says}" for each in conditions if each.passed is False]
    remarks = [f"not compared with a champion: {champion_note}"] if champion is None else bench.too_small()
    return Verdict(not failed, (*failed, *_good(conditions), *remarks), tuple(conditions))


def _good(conditions: Sequence[Condition]) -> Iterator[str]:
    """Yield a line for each condition that holds or is only told; the segments share one."""
    for each in conditions:
        if each.passed is None:
            yield f"also: {each.says}"
        elif each.passed and not each.name.startswith(SEGMENT):
            yield f"passed: {each.says}"
    fine = [each for each in conditions if each.passed and each.name.startswith(SEGMENT)]
    if fine:
        closest = max(fine, key=lambda each: each.low - each.bound)
        yield f"passed: in {len(fine)} segments no worse than the champion; the closest call is {closest.says}"


Columns = Sequence[npt.NDArray[np.generic]]


@dataclass(frozen=True)
class _Comparison:
    """Columns to be summed over drawn users, and what follows from their totals, float64 [resamples, columns]."""

    columns: Columns
    conclude: Callable[[Float64s], Condition]


def _concluded(comparisons: Sequence[_Comparison], users: Users, policy: GatePolicy) -> list[Condition]:
    """Draw users once for all comparisons."""
    columns = [column for comparison in comparisons for column in comparison.columns]
    totals = resampled(users.sums(columns), policy.resamples, policy.seed)
    ends = np.cumsum([len(comparison.columns) for comparison in comparisons])
    parts = np.split(totals, ends[:-1], axis=1)
    return [comparison.conclude(part) for comparison, part in zip(comparisons, parts, strict=True)]


@dataclass(frozen=True)
class _Bench:
    """The candidate on the hold-out; says what to compare."""

    holdout: Holdout
    candidate: Float64s
    policy: GatePolicy

    def with_floor(self, floor: Float64s) -> list[_Comparison]:
        def loss(found: Interval) -> Condition:
            says = f"log loss is below that of recency alone for sure: {self._says(found)}"
            return _condition("floor_log_loss", found.high < 0, found, 0.0, says)

        def rank(found: Interval) -> Condition:
            says = f"AUC is not below that of recency alone: {self._says(found)}"
            return _condition("floor_auc", found.value >= 0, found, 0.0, says)

        return [self._loss(floor, loss), self._rank(floor, rank)]

    def with_champion(self, champion: Float64s, note: str) -> list[_Comparison]:
        mean = float(losses(self.holdout.churned, champion).mean())
        share = self.policy.champion_margin
        margin = share * mean

        def not_above(found: Interval) -> Condition:
            says = f"log loss is not surely above that of the champion, {note}: {self._says(found)}"
            return _condition("champion_log_loss", found.low <= 0, found, 0.0, says)

        def no_worse(found: Interval) -> Condition:
            bar = f"at most {margin:.4f} above the champion's for sure ({share:.0%} of its {mean:.4f})"
            return _condition(
                "champion_margin", found.high <= margin, found, margin, f"log loss is {bar}: {self._says(found)}"
            )

        def rank(found: Interval) -> Condition:
            return _condition("champion_auc", None, found, 0.0, f"AUC beside the champion's: {self._says(found)}")

        compared = [self._loss(champion, not_above), self._loss(champion, no_worse), self._rank(champion, rank)]
        return [*compared, self._calibration(champion), *self._segments(champion)]

    def _loss(self, other: Float64s, conclude: Callable[[Interval], Condition]) -> _Comparison:
        lost, sure = self._lost(other), self.policy.confidence
        value = float(lost.mean())
        return _Comparison(
            [lost, np.ones(len(lost))], lambda totals: conclude(percentiles(value, totals[:, 0] / totals[:, 1], sure))
        )

    def _lost(self, other: Float64s) -> Float64s:
        churned = self.holdout.churned
        return losses(churned, self.candidate) - losses(churned, other)

    def _rank(self, other: Float64s, conclude: Callable[[Interval], Condition]) -> _Comparison:
        churned, sure = self.holdout.churned, self.policy.confidence
        moved = auc_influence(churned, self.candidate) - auc_influence(churned, other)
        value = auc(churned, self.candidate) - auc(churned, other)
        return _Comparison([moved], lambda totals: conclude(percentiles(value, value + totals[:, 0], sure)))

    def _calibration(self, champion: Float64s) -> _Comparison:
        churned, bins, margin = self.holdout.churned, CALIBRATION_BINS, self.policy.calibration_margin
        ours, theirs = _ece(churned, self.candidate), _ece(churned, champion)

        def conclude(totals: Float64s) -> Condition:
            off = np.abs(totals)
            spread = (off[:, :bins].sum(axis=1) - off[:, bins : 2 * bins].sum(axis=1)) / off[:, -1]
            found = by_spread(ours - theirs, spread, self.policy.confidence)
            bar = f"not above the champion's {theirs:.4f} by more than {margin:g} beyond noise"
            return _condition(
                "calibration", found.low <= margin, found, margin, f"calibration error is {bar}: {self._says(found)}"
            )

        columns = [*gaps(churned, self.candidate, bins), *gaps(churned, champion, bins), np.ones(len(churned))]
        return _Comparison(columns, conclude)

    def _segments(self, champion: Float64s) -> list[_Comparison]:
        judged = [each for each in self._kinds() if self._large(each)]
        lost, theirs = self._lost(champion), losses(self.holdout.churned, champion)
        # Over all segments together: of twenty judged at 95 % one would fail by chance.
        sure = 1.0 - (1.0 - self.policy.confidence) / max(1, len(judged))
        return [self._segment(each, lost, float(theirs[each.here].mean()), sure) for each in judged]

    def _segment(self, kind: "_Kind", lost: Float64s, mean: float, sure: float) -> _Comparison:
        margin, value = self.policy.segment_margin * mean, float(lost[kind.here].mean())

        def conclude(totals: Float64s) -> Condition:
            found = by_spread(value, totals[:, 0] / totals[:, 1], sure)
            bar = f"not above the champion's {mean:.4f} by more than {margin:.4f} beyond noise"
            says = (
                f"{kind.name} {kind.value}: log loss is {bar}: {self._says(found, sure)}, {int(kind.here.sum()):,} rows"
            )
            return _condition(f"{SEGMENT}{kind.name}={kind.value}", found.low <= margin, found, margin, says)

        return _Comparison([np.where(kind.here, lost, 0.0), kind.here], conclude)

    def too_small(self) -> list[str]:
        """Say which segments are not judged."""
        small = [self._size(each) for each in self._kinds() if not self._large(each)]
        bar = f"under {self.policy.min_rows} rows or {self.policy.min_churned} churned"
        return [f"segments not judged, {bar}: {', '.join(small)}"] if small else []

    def _size(self, kind: "_Kind") -> str:
        gone = int(self.holdout.churned[kind.here].sum())
        return f"{kind.name} {kind.value} ({int(kind.here.sum()):,} rows, {gone} churned)"

    def _kinds(self) -> list["_Kind"]:
        found = self.holdout.segments
        return [_Kind(name, str(v), labels == v) for name, labels in found.items() for v in np.unique(labels)]

    def _large(self, kind: "_Kind") -> bool:
        gone = int(self.holdout.churned[kind.here].sum())
        return int(kind.here.sum()) >= self.policy.min_rows and gone >= self.policy.min_churned

    def _says(self, found: Interval, sure: float = 0.0) -> str:
        return f"{found.value:+.4f}, {sure or self.policy.confidence:.1%} sure between {found.low:+.4f} and {found.high:+.4f}"


@dataclass(frozen=True)
class _Kind:
    """One segment: whose rows are true in `here`."""

    name: str
    value: str
    here: Mask


def _condition(name: str, passed: bool | None, seen: Interval, bound: float, says: str) -> Condition:
    return Condition(name, passed, seen.value, seen.low, seen.high, bound, says)


def _ece(churned: Mask, probability: Float64s) -> float:
    return expected_calibration_error(calibration_table(churned, probability))
