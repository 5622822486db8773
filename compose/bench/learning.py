"""Labels per second of the learner: preloaded topics of vectors and labels, the real worker, until every label is saved.

Three versions are judged beside it, as after a promotion with a challenger: two of logistic regression and one of trees.
"""

import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from churn.blocks import BLOCK_USERS, FeatureBlock, LabelBlock, encode
from churn.declaration import Declaration
from churn.kafka_config import client_config
from churn.layout import DAY_US, Floats
from churn.population import Population
from churn.scores import Challenger, Champion, Lineup
from churn.settings import Settings
from churn.topics import FEATURES, LABELS, MODELS
from compose.bench.clock import cpu_seconds
from compose.bench.fitted import models
from compose.bench.plan import DECLARATION, Bench
from compose.bench.vectors import Vectors
from compose.learned import learned
from compose.processes import Child, wait_until
from compose.waiting import Lag
from feature_repo import bundles
from feature_repo.declared import load
from stream_processors.outputs import Output

MIDNIGHTS = 40
"""More than a horizon: from the 31st on, rows are judged by what was known at their midnight."""
FIRST_DAY = 20_000
JUDGED = ("2", "1", "3")
PROMOTED_AT = datetime(2026, 1, 1, tzinfo=UTC)
READY_SECONDS, DONE_SECONDS = 120.0, 600.0
Labels = npt.NDArray[np.bool_]


def measure(bench: Bench) -> dict[str, Any]:
    """Fill the topics while the learner is frozen; the time counts until its last label is covered by a snapshot."""
    with bench.fresh("bench-learner", CHURN_SESSION_TIMEOUT_SECONDS="120") as settings:
        declaration = load(DECLARATION)
        announce_models(settings, declaration)
        child = bench.stack.start_service("learner")
        address = bench.stack.url("learner")
        wait_until(lambda: _judges(address, len(JUDGED)), READY_SECONDS, "the learner has loaded every model")
        child.freeze()
        count = _publish(bench, settings, declaration, bench.sizes.learner_labels)
        figures = _learnt(bench, settings, child)
        found = learned(address)
    figures = rates(found["labels"], figures["seconds"], figures["cpu_seconds"]) | figures
    if found["labels"] != count:
        raise RuntimeError(f"{count:,} labels were published and {found['labels']:,} learnt")
    bench.say(f"learner: {figures['labels_per_second']:,} labels/s")
    return figures | {"features": len(declaration.feature_names), "judged_models": len(JUDGED)}


def rates(labels: int, seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """Return how fast it was, by the wall clock and by the worker's CPU, which a busy machine disturbs less.

    >>> rates(200_000, 8.0, 5.0)
    {'labels': 200000, 'labels_per_second': 25000, 'worker_cpu_us_per_label': 25.0}
    """
    cpu_us = round(1e6 * cpu_seconds / max(labels, 1), 1)
    return {"labels": labels, "labels_per_second": round(labels / seconds), "worker_cpu_us_per_label": cpu_us}


def announce_models(settings: Settings, declaration: Declaration) -> None:
    """Promote a logistic regression, then trees, and let another logistic regression challenge them."""
    from training.announce import announce

    kinds = models(declaration, Vectors(declaration))
    version = declaration.feature_set_version
    made = {
        number: bundles.save(settings.models_dir, kinds[kind], number)
        for number, kind in (("1", "logistic"), ("2", "additive"), ("3", "logistic"))
    }
    records: list[Champion | Lineup] = [
        Champion(settings.model_name, number, *made[number], version, PROMOTED_AT + timedelta(int(number)), "measured")
        for number in ("1", "2")
    ]
    records.append(Lineup(settings.model_name, [Challenger("3", *made["3"], version)], PROMOTED_AT, "measured"))
    for record in records:
        announce(client_config(settings), MODELS.name(settings.topic_prefix), record)


def _judges(address: str, models: int) -> bool:
    """Tell from its metrics whether the learner asks so many models."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=5) as answer:  # noqa: S310  our own http url
        return f"churn_judged_models {models}.0" in answer.read().decode()


def _publish(bench: Bench, settings: Settings, declaration: Declaration, labels: int) -> int:
    """Publish the same number of users at each midnight of each partition; returns how many labels that is."""
    users = max(1, labels // (MIDNIGHTS * settings.partitions))
    bench.say(
        f"publishing {users:,} vectors and labels at each of {MIDNIGHTS} midnights of {settings.partitions} partitions"
    )
    output, prefix = Output(client_config(settings)), settings.topic_prefix
    for partition in range(settings.partitions):
        people, key = _People(declaration, partition, users), str(partition).encode()
        for block in people.vectors():
            output.send(FEATURES.name(prefix), key, encode(block), partition)
        for told in people.labels():
            output.send(LABELS.name(prefix), key, encode(told), partition)
    output.flush()
    return users * MIDNIGHTS * settings.partitions


class _People:
    """Users of a partition, all in the population, with vectors and labels of each midnight."""

    def __init__(self, declaration: Declaration, partition: int, count: int) -> None:
        self._version, self._partition = declaration.feature_set_version, partition
        self._names = [f"user-{partition}-{place:07d}" for place in range(count)]
        self._matrices, self._gone = _drawn(declaration, partition, count)

    def _parts(self) -> Iterator[slice]:
        return (slice(start, start + BLOCK_USERS) for start in range(0, len(self._names), BLOCK_USERS))

    def vectors(self) -> Iterator[FeatureBlock]:
        """Yield every midnight's roll, and the one after the last, which ends it."""
        for day in range(MIDNIGHTS + 1):
            matrix = self._matrices[day % MIDNIGHTS]
            for part in self._parts():
                facts = (self._partition, 1, (FIRST_DAY + day) * DAY_US, 0, 0, self._version)
                yield FeatureBlock("roll", *facts, self._names[part], matrix[part].tobytes())

    def labels(self) -> Iterator[LabelBlock]:
        """Yield what became of everybody of each midnight, a horizon later."""
        for day in range(MIDNIGHTS):
            at_us = (FIRST_DAY + day) * DAY_US
            for part in self._parts():
                gone = self._gone[day][part].tobytes()
                yield LabelBlock(self._partition, 1, at_us, at_us + 30 * DAY_US, self._names[part], gone)


def _drawn(declaration: Declaration, partition: int, count: int) -> tuple[list[Floats], list[Labels]]:
    vectors, population = Vectors(declaration), Population(declaration)
    matrices, gone = [], []
    for day in range(MIDNIGHTS):
        drawn = vectors.block(partition * MIDNIGHTS + day, 8 * count + 100)
        matrix = drawn[population.at_midnight(drawn)][:count]
        matrices.append(matrix)
        gone.append(vectors.churned(matrix))
    return matrices, gone


def _learnt(bench: Bench, settings: Settings, child: Child) -> dict[str, Any]:
    with closing(Lag(settings, "learner", LABELS)) as lag:
        end = lag.ends()

        def all_saved() -> bool:
            bench.stack.check()
            return lag.done() >= end

        cpu_before, began = cpu_seconds(child.pid), time.monotonic()
        child.thaw()
        wait_until(all_saved, DONE_SECONDS, f"all {end:,} blocks of labels are learnt")
        seconds, cpu = time.monotonic() - began, cpu_seconds(child.pid) - cpu_before
    return {"seconds": max(round(seconds, 2), 0.01), "cpu_seconds": round(cpu, 2)}
