"""A large archive in a minute: files as the archive worker writes them, of a seeded business that DuckDB makes up."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

PARTITIONS = 4
START = date(2026, 1, 5)
OFFSETS_A_DAY = 100_000_000

# A user comes on some share of the days (few often, most seldom), between the first and the last day of a lifetime;
# hashes of user and day stand for chance, so that a size has one archive.
DAY = """
COPY (
    WITH users AS (
        SELECT u, (hash(u, 1) % 1000)::DOUBLE / 1000 AS keen,
            (hash(u, 2) % $days)::BIGINT AS joined, (hash(u, 3) % (2 * $days))::BIGINT AS stays
        FROM range($partition, $users, $partitions) AS t(u)
    ), active AS (
        SELECT u, 1 + (hash(u, $day, 5) % ($most * 2 - 1))::BIGINT AS events FROM users
        WHERE $day >= joined - $days // 2 AND $day <= joined - $days // 2 + stays
            AND hash(u, $day, 4) % 1000 < 40 + 560 * keen * keen
    ), events AS (
        SELECT u, n, (hash(u, $day, n, 6) % 1000000)::BIGINT AS chance FROM active, unnest(range(events)) AS t(n)
    )
    SELECT $partition::INTEGER AS partition, $day::BIGINT * $offsets + row_number() OVER () - 1 AS "offset",
        format('{}-{}-{}', u, $day, n) AS event_id, format('user-{:07d}', u) AS user_id,
        CASE WHEN n = 0 THEN 'session_started' WHEN chance % 20 = 0 THEN 'payment_succeeded'
            WHEN chance % 5 = 0 THEN 'quiz_submitted' ELSE 'lesson_completed' END AS event_type,
        to_timestamp($midnight + n * 600 + chance % 600) AS occurred_at,
        to_timestamp($midnight + n * 600 + chance % 600 + 1) AS arrived_at,
        CASE WHEN event_type = 'lesson_completed' THEN chance % 6000 / 100 END AS measure_minutes,
        CASE WHEN event_type = 'quiz_submitted' THEN (chance % 101)::DOUBLE END AS measure_score,
        CASE WHEN event_type = 'payment_succeeded' THEN 9.99::DOUBLE END AS measure_amount,
        CASE WHEN n = 0 THEN ['free', 'basic', 'pro'][1 + u % 3] END AS attribute_plan,
        NULL::VARCHAR AS extra
    FROM events
) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""


@dataclass(frozen=True)
class Size:
    """How large; a user who is there has about `most` events on a day."""

    users: int
    days: int
    most: int


def write_archive(folder: Path, size: Size, progress: Callable[[str], None]) -> int:
    """Write an archive of four partitions and return its events."""
    stems = [f"{p:04d}-{0:012d}-{size.days * OFFSETS_A_DAY:012d}" for p in range(PARTITIONS)]
    files: list[list[str]] = [[] for _ in stems]
    rows = [0] * PARTITIONS
    with duckdb.connect() as database:
        database.execute("SET memory_limit = '2GB'")
        for day in range(size.days):
            progress(f"day {day + 1} of {size.days}, {sum(rows):,} events")
            at = START + timedelta(days=day)
            (folder / f"date={at.isoformat()}").mkdir(parents=True)
            for partition, stem in enumerate(stems):
                files[partition].append(f"date={at.isoformat()}/{stem}.parquet")
                rows[partition] += _write_day(database, folder / files[partition][-1], size, day, partition)
    (folder / "_segments").mkdir()
    for partition, stem in enumerate(stems):
        marker = json.dumps({"files": files[partition], "rows": rows[partition]})
        (folder / "_segments" / f"{stem}.json").write_text(marker)
    return sum(rows)


def _write_day(database: duckdb.DuckDBPyConnection, path: Path, size: Size, day: int, partition: int) -> int:
    values = {
        "users": size.users, "days": size.days, "most": size.most, "day": day, "partition": partition,
        "partitions": PARTITIONS, "offsets": OFFSETS_A_DAY,
        "midnight": (START + timedelta(days=day) - date(1970, 1, 1)).days * 86_400,
    }  # fmt: skip
    query = DAY.replace("{path}", str(path).replace("'", "''"))
    for name in sorted(values, key=len, reverse=True):
        query = query.replace(f"${name}", str(values[name]))
    return int((database.execute(query).fetchone() or (0,))[0])
