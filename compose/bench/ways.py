"""How far models come on the way from the recency rule to what can be known, on a business and days not trained on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from churn.declaration import Declaration
from churn.evaluation import Evaluation, evaluate
from churn.layout import Float64s
from compose.bench.business_archive import write_business
from compose.progress import Progress
from feature_repo.archive import files
from producers.synthetic.business import Scenario, SyntheticBusiness
from training.candidates import Order, compete
from training.dataset import DataSet
from training.floor import RecencyFloor
from training.logistic import scored
from training.material import Gathered, gather
from training.rows import folds_of
from training.split import Bounds, history_days
from training.truth import HIDDEN, OBSERVABLE, true_probabilities

MAX_TRAIN_ROWS = 300_000
MAX_TEST_ROWS = 300_000
TRAIN_EVERY_DAYS = 3
TEST_EVERY_DAYS = 7
TEST_SNAPSHOTS = 5
RECENCY, OBSERVER, ORACLE = "recency alone", "ideal observer of events", "oracle (hidden state)"


@dataclass(frozen=True)
class Trial:
    """Two businesses of one law: models learn from the one, and are judged by later days of the other."""

    users: int
    days: int
    train_seed: int
    test_seed: int

    def days_of(self, bounds: Bounds) -> tuple[list[int], list[int]]:
        """Return the midnights to learn from and to be judged by; the first ones' labels end before the others begin."""
        test = sorted(range(bounds.latest, bounds.earliest - 1, -TEST_EVERY_DAYS)[:TEST_SNAPSHOTS])
        return list(range(bounds.earliest, test[0] - bounds.horizon_days + 1, TRAIN_EVERY_DAYS)), test


def share_of_way(start: float, reached: float, end: float) -> float:
    """Return how much of the way from `start` to `end` is behind.

    >>> share_of_way(0.80, 0.85, 0.90)
    0.5
    """
    return round((reached - start) / (end - start), 4) + 0.0


def measure(trial: Trial, declaration: Declaration, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return measures by name, each with its share of the way from the recency rule to the observer and to the oracle."""
    with TemporaryDirectory(prefix="churn-oracle-") as folder:
        known, later = (Path(folder) / side for side in ("train", "test"))
        _write(trial, trial.train_seed, known)
        _write(trial, trial.test_seed, later, truth=True)
        say("building both sides")
        learnt = _rows(known, declaration, lambda bounds: trial.days_of(bounds)[0], MAX_TRAIN_ROWS)
        judged = _rows(later, declaration, lambda bounds: trial.days_of(bounds)[1], MAX_TEST_ROWS)
        said = dict(_said(learnt, judged, declaration, say)) | _true(later / "truth", judged)
    churned = judged.rows.churned
    return with_ways({name: evaluate(churned, probability, 0.5) for name, probability in said.items()})


def with_ways(found: Mapping[str, Evaluation]) -> dict[str, dict[str, float]]:
    """Return the figures of each with the shares of the way; `found` holds the recency rule, the observer and the oracle."""
    figures: dict[str, dict[str, float]] = {}
    for name, each in found.items():
        figures[name] = {"auc": each.auc, "log_loss": each.log_loss, "ece": each.ece, "rows": each.rows}
        for goal, end in (("observer", found[OBSERVER]), ("oracle", found[ORACLE])):
            start = found[RECENCY]
            figures[name][f"way_to_{goal}_auc"] = share_of_way(start.auc, each.auc, end.auc)
            figures[name][f"way_to_{goal}_log_loss"] = share_of_way(start.log_loss, each.log_loss, end.log_loss)
    return figures


def lines(figures: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Yield the figures as a table for people."""
    rows = next(iter(figures.values()))["rows"]
    yield f"{f'{rows:,} users and midnights':28}{'AUC':>8}{'log loss':>10}{'ECE':>8}   way to the observer   way to the oracle"
    for name, each in figures.items():
        ways = "".join(
            f"{each[f'way_to_{goal}_auc']:>14.1%}{each[f'way_to_{goal}_log_loss']:>8.1%}"
            for goal in ("observer", "oracle")
        )
        yield f"{name:28}{each['auc']:>8.4f}{each['log_loss']:>10.4f}{each['ece']:>8.4f}{ways}"
    yield "The way begins at the recency rule; of each pair the first is by AUC, the second by log loss."


def _write(trial: Trial, seed: int, folder: Path, truth: bool = False) -> None:
    business = SyntheticBusiness(Scenario(users=trial.users, days=trial.days, seed=seed))
    write_business(business, folder, Progress(f"business {seed}").days, truth)


def _rows(folder: Path, declaration: Declaration, days_of: Callable[[Bounds], Sequence[int]], most: int) -> Gathered:
    horizon = declaration.label.horizon_days
    with DataSet(declaration, files(folder / "archive"), folder) as data:
        bounds = Bounds(data.counts.first_day, data.counts.last_day, horizon, history_days(declaration))
        return gather(data, days_of(bounds), horizon, most)


def _said(
    learnt: Gathered, judged: Gathered, declaration: Declaration, say: Callable[[str], None]
) -> Iterator[tuple[str, Float64s]]:
    horizon = declaration.label.horizon_days
    floor = RecencyFloor.learn(learnt.silent_days, learnt.rows.churned, horizon)
    yield RECENCY, floor.score(judged.silent_days)
    facts: dict[str, Any] = {"rows": len(learnt.rows)}
    for each in compete(learnt.rows, folds_of(learnt.rows, horizon), Order("oracle", declaration, facts), say):
        yield each.name, scored(each.model, judged.rows.matrix)


def _true(folder: Path, judged: Gathered) -> dict[str, Float64s]:
    goals = ((OBSERVER, OBSERVABLE), (ORACLE, HIDDEN))
    return {
        name: np.asarray(true_probabilities(folder, judged.users, judged.rows.days, column)) for name, column in goals
    }
