"""What a user costs in Redis, features and score together."""

import itertools
from collections import Counter
from statistics import mean
from typing import Any

import redis

from compose.bench.served import Served
from compose.bench.stream import rows_in_redis
from feature_repo.encoding import entity_key

SAMPLE_USERS = 500


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
    }
    served.bench.say(f"memory: {figures['bytes_per_user']} bytes a user")
    return figures


def _sample(served: Served) -> tuple[list[int], Counter[str]]:
    project = served.settings.feast_project
    keys = [entity_key(user, project) for user in itertools.islice(served.users, SAMPLE_USERS)]
    with redis.Redis.from_url(served.bench.stack.redis.url) as client:
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.memory_usage(key, samples=0)
            pipeline.object("ENCODING", key)
        replies = pipeline.execute()
    return [size for size in replies[::2] if size], Counter(code.decode() for code in replies[1::2] if code)
