"""What a user costs in Redis, features and score together; and with 30 features, so that others can be compared."""

import itertools
from collections import Counter
from collections.abc import Iterable
from statistics import mean
from typing import Any

import numpy as np
import redis

from compose.bench.clock import now_us
from compose.bench.probes import online_reader
from compose.bench.served import Served
from compose.bench.stream import rows_in_redis
from feature_repo.encoding import entity_key
from feature_repo.online import OnlineWriter

SAMPLE_USERS = 500
FEW_FEATURES, FEW_PROJECT = 30, "bench_of_30"


def measure(served: Served) -> dict[str, Any]:
    """Return bytes per user: by what Redis uses in all, and by MEMORY USAGE of a sample; and how hashes are stored."""
    rows, used = rows_in_redis(served.bench), served.used_bytes() - served.bytes_before
    sampled, encodings = _sample(served)
    figures = {
        "users": rows,
        "bytes_per_user": round(used / rows),
        "sampled_bytes_per_user": round(mean(sampled)),
        "listpack_share": round(encodings["listpack"] / sum(encodings.values()), 4),
        "features_per_user": len(served.declaration.features),
        **_of_few_features(served),
    }
    served.bench.say(f"memory: {figures['bytes_per_user']} bytes a user")
    return figures


def _of_few_features(served: Served) -> dict[str, Any]:
    """Return bytes per user of the sample's own values in the first 30 features, without a score and with one."""
    users = list(itertools.islice(served.users, SAMPLE_USERS))
    with online_reader(served.settings) as reader:
        rows = [row for row in reader.read_many(users) if row.features is not None]
    ids, matrix = [row.user_id for row in rows], np.array([row.features for row in rows])[:, :FEW_FEATURES]
    with redis.Redis.from_url(served.bench.stack.redis.url) as client:
        writer = OnlineWriter(client, FEW_PROJECT, served.declaration.feature_names[:FEW_FEATURES])
        writer.write(ids, matrix, now_us())
        features, _ = _sizes(client, ids, FEW_PROJECT)
        bands, reasons = ["medium"] * len(ids), ["no activity for 12 days"] * len(ids)
        chances = np.full(len(ids), 0.25, np.float32)
        writer.write_scores(ids, chances, band=bands, model_version="1", top_reason=reasons, as_of_us=now_us())
        both, _ = _sizes(client, ids, FEW_PROJECT)
        writer.delete(ids)
        writer.close()
    return {
        f"sampled_bytes_per_user_of_{FEW_FEATURES}_features": round(mean(features)),
        f"sampled_bytes_per_user_of_{FEW_FEATURES}_features_and_score": round(mean(both)),
    }


def _sample(served: Served) -> tuple[list[int], Counter[str]]:
    with redis.Redis.from_url(served.bench.stack.redis.url) as client:
        users = itertools.islice(served.users, SAMPLE_USERS)
        return _sizes(client, users, served.settings.feast_project)


def _sizes(client: "redis.Redis", users: Iterable[str], project: str) -> tuple[list[int], Counter[str]]:
    pipeline = client.pipeline(transaction=False)
    for user in users:
        key = entity_key(user, project)
        pipeline.memory_usage(key, samples=0)
        pipeline.object("ENCODING", key)
    replies = pipeline.execute()
    return [size for size in replies[::2] if size], Counter(code.decode() for code in replies[1::2] if code)
