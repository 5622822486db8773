"""One declaration, four ways to its vectors, the same bits: DuckDB, Spark, the stream, Feast's history."""

import random
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from churn.events import Event
from churn.layout import DAY_US, Floats
from compose.bootstrap import java_binary, wheel_java
from compose.redis_server import RedisServer
from compose.spark import spark_session
from feature_repo.layout import USER_FEATURES
from feature_repo.store import apply
from tests.training.archives import archive, midnight
from tests.training.test_dataset import DECLARED, SNAPSHOTS, START, streamed
from training.dataset import DataSet, Sampling
from training.dataset_files import schema_of, write_parts
from training.feast_history import put_into_feast

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytest.importorskip("pyspark", reason="the extra `spark` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:Downcasting object dtype arrays:FutureWarning")
# Halves of a unit, of even and odd ones, and numbers just beside them.
AMOUNTS = (0.0, 0.005, 0.015, 0.025, 0.25, 0.5, 0.75, 1.25, 7.115, 999.995, 0.00499999, 333.335)
PLANS = (None, "free", "pro's", "unheard of", "", 'a"b\\c')


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """Return Spark on the most trimmed Java there is; work of seconds is done sooner without the second compiler."""
    folder = tmp_path_factory.mktemp("spark")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        with spark_session(folder, "local[2]", wheel_java() or java_binary()) as session:
            yield session


@pytest.fixture(scope="module")
def history() -> list[Event]:
    """Return 600 events of 60 users over 86 days."""
    chance = random.Random(7)
    return [event(chance, number) for number in range(600)]


def event(chance: random.Random, number: int) -> Event:
    kind = chance.choice(["visit", "visit", "paid", "gone"])
    measure = {"visit": "minutes", "paid": "amount"}.get(kind)
    value = chance.choice([chance.choice(AMOUNTS), chance.uniform(0, 1000)])
    day = chance.choice([0, 1, 30, 31, 37, 38, 79, 80, chance.randrange(86)])
    micros = chance.choice([0, 1, DAY_US - 1, chance.randrange(DAY_US)])
    plan = chance.choice(PLANS)
    return Event(
        str(number),
        f"{chance.choice(['ann', 'Ünal', 'zoë', '🎈'])}-{chance.randrange(15)}",
        kind,
        midnight(START + day) + timedelta(microseconds=micros),
        1,
        {measure: value} if measure and (kind == "paid" or chance.random() < 0.8) else None,
        None if plan is None else {"plan": plan},
    )


@pytest.fixture(scope="module")
def files(history: list[Event], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return an archive of two partitions, the second from before anything was declared."""
    folder = tmp_path_factory.mktemp("archive")
    mine = [[each for each in history if hash_of(each.user_id) == partition] for partition in (0, 1)]
    return archive(folder, mine[0], 0) + archive(folder, mine[1], 1, declared=False)


def hash_of(user: str) -> int:
    return sum(user.encode()) % 2


Vectors = dict[tuple[str, int], bytes]


def bits(vector: Floats) -> bytes:
    """Return a vector's bits; of the many bit patterns of a missing value only one."""
    return np.where(np.isnan(vector), np.float32(np.nan), vector).astype(np.float32).tobytes()


def by_stream(history: list[Event]) -> dict[tuple[str, int], Floats]:
    in_time = [(each, 0) for each in history]
    return {(user, day): vector for day in SNAPSHOTS for user, vector in streamed(in_time, day).items()}


def by_duckdb(files: list[Path], scratch: Path) -> Vectors:
    with DataSet(DECLARED, files, scratch) as data:
        parts = list(data.parts(SNAPSHOTS))
    return {(u, part.as_of_day): bits(v) for part in parts for u, v in zip(part.users, part.matrix, strict=True)}


def by_feast(files: list[Path], asked_for: Iterable[tuple[str, int]], folder: Path, redis_url: str) -> Vectors:
    store = apply(DECLARED, project="engines", redis_url=redis_url, registry=str(folder / "registry"), data_dir=folder)
    (folder / "rows").mkdir()
    with DataSet(DECLARED, files, folder) as data:
        write_parts(folder / "rows", DECLARED, data.parts(SNAPSHOTS))
    put_into_feast(folder / "rows", DECLARED, folder, "dataset")
    users, days = zip(*asked_for, strict=True)
    asked = pd.DataFrame({"user_id": users, "event_timestamp": [midnight(day) for day in days]})
    wanted = [f"{USER_FEATURES}:{name}" for name in DECLARED.feature_names]
    found = store.get_historical_features(asked, wanted).to_df()
    got = found[list(DECLARED.feature_names)].to_numpy(np.float32)
    at = [(moment - midnight(0)).days for moment in found["event_timestamp"]]
    return {key: bits(vector) for key, vector in zip(zip(found["user_id"], at, strict=True), got, strict=True)}


def test_duckdb_spark_stream_and_feast_give_the_same_bits(
    spark: "SparkSession", history: list[Event], files: list[Path], tmp_path: Path, redis_server: RedisServer
) -> None:
    from training.spark import SparkDataSet

    vectors = by_stream(history)
    expected = {key: bits(vector) for key, vector in vectors.items()}
    assert len(expected) > 100
    assert by_duckdb(files, tmp_path) == expected
    rows = SparkDataSet(DECLARED, files, spark).snapshots(SNAPSHOTS).toPandas()
    matrix = rows[list(DECLARED.feature_names)].to_numpy(np.float32)
    days = [(day - midnight(0).date()).days for day in rows["as_of"]]
    assert {key: bits(v) for key, v in zip(zip(rows["user_id"], days, strict=True), matrix, strict=True)} == expected
    assert by_feast(files, expected, tmp_path, redis_server.url) == expected


def test_labels_and_samples_of_spark_are_those_of_duckdb(
    spark: "SparkSession", files: list[Path], tmp_path: Path
) -> None:
    from training.spark import SparkDataSet

    sampling = Sampling(share=0.5)
    with DataSet(DECLARED, files, tmp_path) as data:
        parts = list(data.parts(SNAPSHOTS, sampling))
    facts = ["population", "known", "churned", "silent_days"]
    mine = {
        (u, p.as_of_day, *row)
        for p in parts
        for u, *row in zip(p.users, *(getattr(p, f).tolist() for f in facts), strict=True)
    }
    rows = SparkDataSet(DECLARED, files, spark).snapshots(SNAPSHOTS, sampling).select("user_id", "as_of", *facts)
    theirs = {(r[0], (r[1] - midnight(0).date()).days, *r[2:]) for r in rows.collect()}
    assert theirs == mine
    assert {row[2:5] for row in mine} >= {(True, True, True), (True, True, False), (False, False, False)}
    assert rows.schema.names == [n for n in schema_of(DECLARED).names if n not in DECLARED.feature_names]
