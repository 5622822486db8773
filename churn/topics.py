"""Every topic, declared once: creation, documentation and tests derive from this table."""

from dataclasses import dataclass

DAY_MS = 86_400_000
MEGABYTE = 1024 * 1024
DEAD_LETTERS_MAX_MB = 1024
"""A producer gone wrong at 10,000 records of 1 KB a second fills a disk of 100 GB within three hours."""
DEAD_LETTERS_SEGMENT_BYTES = 64 * MEGABYTE
"""Retention removes whole segments: the topic is never larger than its bound and one of these."""
LARGE_MESSAGE_BYTES = 4 * 1024 * 1024
"""2,000 users with names of 128 characters and 250 features make a block of 3 MB; brokers take 1 MB unless told."""


@dataclass(frozen=True)
class Topic:
    """One topic: what travels on it, how long it stays, who writes and who may read."""

    suffix: str
    key: str
    value: str
    cleanup: str
    retention_ms: int
    partitioned: bool
    written_by: str
    read_by: str

    def name(self, prefix: str) -> str:
        """Return the topic's full name.

        >>> SCORES.name("churn")
        'churn-scores'
        """
        return f"{prefix}-{self.suffix}"

    def config(self, dead_letters_max_mb: int = DEAD_LETTERS_MAX_MB) -> dict[str, str]:
        """Return the broker settings of the topic; the bound is of the dead-letter topic alone, the oldest go first."""
        common = {"cleanup.policy": self.cleanup, "retention.ms": str(self.retention_ms)}
        if self is ACTIVITY:
            # Arrival is the broker's word, not the producer's: the plausibility check of event times leans on it.
            common["message.timestamp.type"] = "LogAppendTime"
        if self is DEAD_LETTERS:
            common["retention.bytes"] = str(dead_letters_max_mb * MEGABYTE)
            common["segment.bytes"] = str(DEAD_LETTERS_SEGMENT_BYTES)
        if self in (DEAD_LETTERS, FEATURES, LABELS, SHADOW, OUTCOMES):
            common["max.message.bytes"] = str(LARGE_MESSAGE_BYTES)
        return common


FOREVER = -1
ACTIVITY = Topic("activity", "user_id", "event (JSON)", "delete", 90 * DAY_MS, True, "producers", "anyone")
DEAD_LETTERS = Topic(
    "dead-letters",
    "source key",
    "original bytes, reason, source position",
    "delete",
    30 * DAY_MS,
    False,
    "features",
    "anyone",
)
USER_STATE = Topic(
    "user-state", "user_id", "packed state of one user", "compact", FOREVER, True, "features", "features"
)
# 75 days: a label of as_of t is known at t + 30 d, and a learner that was away must find the vectors of t again.
FEATURES = Topic(
    "features",
    "source partition",
    "block of feature vectors",
    "delete",
    75 * DAY_MS,
    True,
    "features",
    "scorer, learner, audit, keeper",
)
SCORES = Topic("scores", "user_id", "score with reasons (JSON)", "delete", 30 * DAY_MS, True, "scorer", "anyone")
LABELS = Topic(
    "labels", "source partition", "block of matured labels", "delete", 75 * DAY_MS, True, "features", "learner"
)
MODELS = Topic(
    "models",
    "model name",
    "which version serves (JSON)",
    "compact",
    FOREVER,
    False,
    "training, keeper",
    "scorer, learner, keeper, api",
)
SHADOW = Topic(
    "shadow", "source partition", "block of challengers' scores", "delete", 75 * DAY_MS, True, "scorer", "anyone"
)
OUTCOMES = Topic(
    "outcomes",
    "source partition",
    "block of matured labels beside each model's probabilities",
    "delete",
    75 * DAY_MS,
    True,
    "learner",
    "keeper",
)
ACTIONS = Topic("actions", "user_id", "decision to contact (JSON)", "delete", 30 * DAY_MS, True, "scorer", "anyone")
ERASURES = Topic(
    "erasures", "user_id", "request to forget a user", "delete", 30 * DAY_MS, True, "api", "features, archive"
)

TOPICS = (ACTIVITY, DEAD_LETTERS, USER_STATE, FEATURES, SCORES, SHADOW, LABELS, OUTCOMES, MODELS)


def other_partitions(what: str, found: int, wanted: int) -> str:
    """Say what to do when something is of another number of partitions than CHURN_PARTITIONS, `wanted`, says."""
    return (
        f"{what} of {found} partitions, CHURN_PARTITIONS is {wanted}; users would change their partition: set"
        f" CHURN_PARTITIONS={found}, or, if it is meant to be another number or the activity topic was enlarged, run"
        " `churn rebuild --into PREFIX`, which copies every event to topics of that number while the workers run, and"
        " start under CHURN_TOPIC_PREFIX=PREFIX"
    )
