"""Every metric of every process, declared once; dashboards, rules and documentation are held equal to this table."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

FRESHNESS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DURATION_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_EVENTS = (1.0, 10.0, 100.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 50000.0)
HTTP_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""A look-up takes 0.5 ms, 10,000 predictions half a second."""
PROBABILITY = tuple(step / 20 for step in range(1, 20))


@dataclass(frozen=True)
class Metric:
    """One metric; counters are exported with the suffix `_total`."""

    name: str
    kind: Kind
    help: str
    processes: tuple[str, ...]
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


WORKERS = ("features", "scorer", "archive", "learner", "audit", "keeper")

METRICS = (
    Metric("churn_ready", "gauge", "1 when the process can do its work", (*WORKERS, "api")),
    Metric("churn_consumer_lag_records", "gauge", "Records behind the end of the topic", ("features", "scorer", "archive"), ("partition",)),
    Metric("churn_events", "counter", "Accepted events", ("features",)),
    Metric("churn_duplicate_events", "counter", "Events refused because their event_id was seen before", ("features",)),
    Metric("churn_late_events", "counter", "Events of a day before the partition's today", ("features",)),
    Metric("churn_expired_events", "counter", "Events older than every tile, counted into lifetime totals only", ("features",)),
    Metric("churn_dead_letters", "counter", "Records that are not events", ("features",), ("reason",)),
    Metric("churn_unkept_letters", "counter", "Records that are not events beyond 1,000 a second and partition: counted, without a letter", ("features",)),
    Metric("churn_batch_events", "histogram", "Records per delivered batch", ("features",), buckets=BATCH_EVENTS),
    Metric("churn_users", "gauge", "Users in the state", ("features",), ("partition",)),
    Metric("churn_watermark_seconds", "gauge", "Event time of the partition's clock, seconds since 1970", ("features",), ("partition",)),
    Metric("churn_feature_rows", "counter", "Vectors emitted", ("features",), ("kind",)),
    Metric("churn_day_rolls", "counter", "Midnights that partitions stepped over", ("features",)),
    Metric("churn_departed_users", "counter", "Users forgotten after a long silence", ("features",)),
    Metric("churn_online_rows", "counter", "Rows written to the online store", ("features", "scorer")),
    Metric("churn_online_write_seconds", "histogram", "Time of one write to the online store", ("features", "scorer"), buckets=DURATION_SECONDS),
    Metric("churn_checkpoint_seconds", "histogram", "Time of one checkpoint of one partition", ("features",), buckets=DURATION_SECONDS),
    Metric("churn_restore_seconds", "gauge", "Time of the last restore of a partition's state", ("features",), ("partition",)),
    Metric("churn_freshness_seconds", "histogram", "Arrival of an event to its effect: readable features, or a score", ("features", "scorer"), ("hop",), FRESHNESS_SECONDS),
    Metric("churn_scores", "counter", "Scores emitted", ("scorer",), ("band",)),
    Metric("churn_version_scores", "counter", "Scores by model version: served to users, or said in shadow by a challenger", ("scorer",), ("version", "use")),
    Metric("churn_score_probability", "histogram", "Distribution of emitted probabilities", ("scorer",), buckets=PROBABILITY),
    Metric("churn_unscored_rows", "counter", "Vectors that arrived before any model served", ("scorer",)),
    Metric("churn_champion_info", "gauge", "1 for the serving model version", ("scorer", "learner", "keeper", "api"), ("version",)),
    Metric("churn_champion_promoted_seconds", "gauge", "When the serving model was promoted, seconds since 1970", ("scorer", "learner", "keeper", "api")),
    Metric("churn_refused_models", "counter", "Model bundles that did not pass verification", ("scorer", "learner", "keeper", "api")),
    Metric("churn_archived_events", "counter", "Events written to the archive", ("archive",)),
    Metric("churn_archive_segments", "counter", "Segments completed in the archive", ("archive",)),
    Metric("churn_labels", "counter", "Matured labels learned from", ("learner",), ("churned",)),
    Metric("churn_skipped_blocks", "counter", "Blocks that are not used: not decodable, or of the past", ("learner", "audit"), ("reason",)),
    Metric("churn_audit_checked", "counter", "Emitted vectors of sampled users that were computed again from the archive", ("audit",)),
    Metric("churn_audit_mismatches", "counter", "Emitted values that the archive does not confirm to the bit; the target is zero", ("audit",), ("feature",)),
    Metric("churn_audit_waiting_rows", "gauge", "Emitted vectors of sampled users that wait until the archive covers them", ("audit",)),
    Metric("churn_online_log_loss", "gauge", "Log loss on the last 5,000 matured labels of midnights that the champion was not trained on: online as it could be issued then, the champion as it is", ("learner",), ("model",)),
    Metric("churn_online_auc", "gauge", "AUC on the same rows as churn_online_log_loss", ("learner",), ("model",)),
    Metric("churn_online_calibration_error", "gauge", "Expected calibration error, ten bins of equal size, on the same rows as churn_online_log_loss", ("learner",), ("model",)),
    Metric("churn_online_judged_rows", "gauge", "Rows behind churn_online_log_loss, the same ones for every model", ("learner",)),
    Metric("churn_judged_models", "gauge", "Models whose probabilities stand beside each label that is learned: champion, previous and challengers", ("learner",)),
    Metric("churn_learned_midnight_seconds", "gauge", "Latest midnight whose matured labels are learned from, seconds since 1970", ("learner",)),
    Metric("churn_keeper_midnight_seconds", "gauge", "The last midnight that was complete in all partitions and dealt with, a training that goes on included, seconds since 1970", ("keeper",)),
    Metric("churn_keeper_clock_seconds", "gauge", "The keeper's time, seconds since 1970: what events told, or the wall clock's", ("keeper",)),
    Metric("churn_keeper_champion_age_days", "gauge", "Age of the champion since its version first served; above 7 only while the gate refuses every younger one", ("keeper",)),
    Metric("churn_keeper_busy", "gauge", "1 while a training is due or goes on", ("keeper",)),
    Metric("churn_keeper_trainings", "counter", "Trainings that the keeper started and saw end", ("keeper",), ("ending",)),
    Metric("churn_keeper_gave_up", "gauge", "1 when the last training was given up after all its attempts failed", ("keeper",)),
    Metric("churn_keeper_alarms", "counter", "Alarms: of behaviour, scores or the outcome, which cause a training, and of the data's quality, which hold one back", ("keeper",), ("finding",)),
    Metric("churn_keeper_rollbacks", "counter", "Promotions that the keeper took back: at once by the guard, or on matured outcomes", ("keeper",), ("cause",)),
    Metric("churn_keeper_psi", "gauge", "Population stability of a feature at the last midnight against the champion's training rows, less what chance gives", ("keeper",), ("feature",)),
    Metric("churn_keeper_score_psi", "gauge", "The same of the champion's scores", ("keeper",)),
    Metric("churn_keeper_log_loss", "gauge", "Log loss on labels that matured since the champion was promoted, with the bounds of its 95 % interval", ("keeper",), ("role", "bound")),
    Metric("churn_keeper_auc", "gauge", "AUC on the same rows as churn_keeper_log_loss", ("keeper",), ("role", "bound")),
    Metric("churn_keeper_ece", "gauge", "Expected calibration error on the same rows as churn_keeper_log_loss", ("keeper",), ("role", "bound")),
    Metric("churn_http_requests", "counter", "HTTP requests answered", ("api",), ("route", "status")),
    Metric("churn_http_request_seconds", "histogram", "Time to answer an HTTP request", ("api",), ("route",), HTTP_SECONDS),
    Metric("churn_predictions", "counter", "Feature maps scored on request", ("api",)),
    Metric("churn_users_by_band", "gauge", "Active users by the band of their latest score, among those seen since the start", ("api",), ("band",)),
    Metric("churn_redis_up", "gauge", "1 when the online store answers the API", ("api",)),
    Metric("churn_kafka_up", "gauge", "1 when Kafka answers those who follow it for the API", ("api",)),
)  # fmt: skip


def of_process(process: str) -> dict[str, Metric]:
    """Return the metrics that a process exports, by name.

    >>> "churn_scores" in of_process("scorer")
    True
    """
    return {metric.name: metric for metric in METRICS if process in metric.processes}
