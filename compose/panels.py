"""What the dashboard shows: rows of panels, each with its queries and a sentence on how to read it."""

from dataclasses import dataclass
from typing import Literal

Shape = Literal["timeseries", "stat", "heatmap"]


@dataclass(frozen=True)
class Query:
    """A PromQL expression and the name of its series (Grafana's `{{label}}`)."""

    expr: str
    legend: str = ""
    instant: bool = False


@dataclass(frozen=True)
class Panel:
    """One panel; `width` is in 24ths of the screen, `unit` one of Grafana's."""

    title: str
    says: str
    queries: tuple[Query, ...]
    unit: str = "short"
    shape: Shape = "timeseries"
    width: int = 8
    stacked: bool = False
    names_only: bool = False
    """Show the names of the series and not their values: for `_info` metrics, whose value is always 1."""


@dataclass(frozen=True)
class Row:
    """A heading and its panels, laid out from left to right."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, by: str = "") -> str:
    """Return the per-second rate of a counter, summed over processes.

    >>> rate("churn_scores_total", "band")
    'sum by (band) (rate(churn_scores_total[$__rate_interval]))'
    """
    return f"sum{f' by ({by}) ' if by else ''}(rate({metric}[$__rate_interval]))"


def quantiles(metric: str, by: str = "", shares: tuple[float, ...] = (0.5, 0.99)) -> tuple[Query, ...]:
    """Return a query for each quantile of a histogram, named p50 and so on."""
    labels, legend = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    inner = f"sum by ({labels}) (rate({metric}_bucket[$__rate_interval]))"
    return tuple(Query(f"histogram_quantile({share:g}, {inner})", f"p{share * 100:g}{legend}") for share in shares)


def stat(
    title: str, says: str, expr: str, unit: str = "short", legend: str = "", width: int = 4, names_only: bool = False
) -> Panel:
    """Return a panel of one large number per series."""
    return Panel(title, says, (Query(expr, legend, instant=True),), unit, "stat", width, names_only=names_only)


ROAD = Row("The road at a glance", (
    stat("Events a second", "Accepted events: on the contract, and not seen before.", rate("churn_events_total"), "cps"),
    stat("Scores a second", "Scores emitted. One per touched user and emission, so fewer than events on a busy stream.", rate("churn_scores_total"), "cps"),
    stat("Event to score, p99", "Arrival of an event to its score. The promise is one second.", 'churn:freshness_seconds:p99_5m{hop="score"}', "s"),
    stat("Users", "Users whose state is held in memory, all partitions together.", "sum(churn_users)"),
    stat("Ready", "1 when the process can do its work; GET /ready on it gives the reasons when it cannot.", "min by (job) (churn_ready)", legend="{{job}}", width=8),
    Panel("Events and scores", "Both should breathe together. Events without scores mean a stuck scorer or no model.", (
        Query(rate("churn_events_total"), "events"), Query(rate("churn_scores_total"), "scores"),
    ), "cps"),
    Panel("Freshness by hop", "Arrival of an event to its row in Redis (online) and to its score (score), over five minutes.", (
        Query("churn:freshness_seconds:p50_5m", "p50 {{hop}}"), Query("churn:freshness_seconds:p99_5m", "p99 {{hop}}"),
    ), "s"),
    Panel("Scores by band", "Scores emitted per risk band. A jump of one band without a promotion means that behaviour or data changed.", (
        Query(rate("churn_scores_total", "band"), "{{band}}"),
    ), "cps", stacked=True),
))  # fmt: skip

STREAM = Row("Stream health", (
    Panel("Lag", "Records between the end of the topic and the last one worked off. Growing means more arrives than is done.", (
        Query("churn:consumer_lag_records:sum", "{{job}}"),
    )),
    Panel("Lag of the worst partition", "One partition far above the sum's share means a hot key or a stuck partition.", (
        Query("max by (job, partition) (churn_consumer_lag_records)", "{{job}} {{partition}}"),
    )),
    Panel("Users by partition", "Should be about equal: keys are spread by their hash.", (
        Query("sum by (partition) (churn_users)", "{{partition}}"),
    )),
    Panel("Late, repeated and expired", "Late events are of a day that is over, expired ones older than every window; both still count. Repeats do not.", (
        Query(rate("churn_late_events_total"), "late"),
        Query(rate("churn_duplicate_events_total"), "repeated"),
        Query(rate("churn_expired_events_total"), "expired"),
    ), "cps"),
    Panel("Dead letters by reason", "Records that are not events. The dead-letters topic holds each with its position.", (
        Query(rate("churn_dead_letters_total", "reason"), "{{reason}}"),
    ), "cps", stacked=True),
    Panel("Letters not kept", "Records refused beyond 1,000 a second and partition: counted, and only on the activity topic.", (
        Query(rate("churn_unkept_letters_total"), "not kept"),
    ), "cps"),
    stat("Users forgotten", "Silent for longer than CHURN_USER_TTL_DAYS, in the chosen time.", "sum(increase(churn_departed_users_total[$__range]))"),
    stat("Share of dead letters", "Of all records in five minutes; an alert above 1 %.", "churn:dead_letters:ratio_rate5m", "percentunit"),
    stat("Midnights", "Midnights that partitions stepped over in the chosen time: one a day and partition, many in a replay.", "sum(increase(churn_day_rolls_total[$__range]))"),
    Panel("Batch sizes", "Records per delivered batch. Full batches (4,000) mean that a backlog is worked off.", quantiles("churn_batch_events", shares=(0.5, 0.95))),
    Panel("Vectors by kind", "update: after events; roll: at midnight; refresh: everyone, after a promotion.", (
        Query(rate("churn_feature_rows_total", "kind"), "{{kind}}"),
    ), "cps"),
    Panel("Behind the wall clock", "Wall clock less the event time of the partition's newest event. Large in a replay, and where nobody does anything.", (
        Query("time() - max by (partition) (churn_watermark_seconds)", "{{partition}}"),
    ), "s"),
    Panel("Checkpoint time", "Time to make the state of a partition durable; due every second.", quantiles("churn_checkpoint_seconds"), "s"),
    Panel("Checkpoints a second", "None while events flow means that Kafka or Redis holds them up.", (
        Query(rate("churn_checkpoint_seconds_count"), "checkpoints"),
    ), "cps"),
    Panel("Restore time", "How long the last take-over of a partition took: state, event ids and clock.", (
        Query("max by (partition) (churn_restore_seconds)", "{{partition}}"),
    ), "s"),
))  # fmt: skip

ONLINE = Row("Online store", (
    Panel("Rows a second", "Rows written to Redis: features by the features worker, scores by the scorer.", (
        Query(rate("churn_online_rows_total", "job"), "{{job}}"),
    ), "cps", width=12),
    Panel("Write time", "Time of one write, many users in one round trip.", quantiles("churn_online_write_seconds", "job"), "s", width=12),
))  # fmt: skip

MODEL = Row("Scoring and model", (
    Panel("Emitted probabilities", "How many scores fell between which probabilities. The shape should move slowly except at a promotion.", (
        Query("sum by (le) (increase(churn_score_probability_bucket[$__rate_interval]))", "{{le}}"),
    ), shape="heatmap", width=12),
    Panel("Mean probability", "Of emitted scores; against the usual share of churners a first sign of drift.", (
        Query(f"{rate('churn_score_probability_sum')} / {rate('churn_score_probability_count')}", "mean"),
    ), "percentunit", width=12),
    Panel("Scores by version", "served: on churn-scores, by champion and challengers in their shares; shadow: what challengers say of everyone, on churn-shadow.", (
        Query(rate("churn_version_scores_total", "version, use"), "{{version}} {{use}}"),
    ), "cps", width=24),
    stat("Serving version", "Which processes serve which version. More than one for minutes means that one stayed behind.", "sum by (version, job) (churn_champion_info)", legend="{{job}}: {{version}}", width=8, names_only=True),
    stat("Age of the champion", "Days since the serving version was promoted; an alert above 30.", "churn:champion_age_days:max", "d", "{{job}}"),
    Panel("Unscored vectors", "Vectors that came while no model served, or that another feature set made.", (
        Query(rate("churn_unscored_rows_total"), "unscored"),
    ), "cps", width=6),
    Panel("Refused models", "Promoted bundles that did not pass verification since the process started.", (
        Query("sum by (job) (churn_refused_models_total)", "{{job}}"),
    ), width=6),
))  # fmt: skip

ARCHIVE = Row("Archive", (
    Panel("Archived events", "Events written to Parquet, in steps of a segment; over time as many as were accepted.", (
        Query(rate("churn_archived_events_total"), "archived"), Query(rate("churn_events_total"), "accepted"),
    ), "cps"),
    Panel("Segments", "Completed files per second: about one per partition and flush interval.", (
        Query(rate("churn_archive_segments_total"), "segments"),
    ), "cps"),
    Panel("Events per segment", "Small ones are normal on a quiet stream; 250,000 is full.", (
        Query("sum(churn_archived_events_total) / sum(churn_archive_segments_total)", "events"),
    )),
))  # fmt: skip

AUDIT = Row("Self-audit", (
    stat("Mismatches", "Emitted values of sampled users that the archived events do not confirm to the bit, in the chosen time. Anything above zero is a defect.", "sum(increase(churn_audit_mismatches_total[$__range]))"),
    Panel("Mismatches by feature", "Which feature differs tells where to look: one means a formula or a counter, all mean lost or repeated events.", (
        Query("topk(10, sum by (feature) (increase(churn_audit_mismatches_total[$__rate_interval])))", "{{feature}}"),
    )),
    Panel("Audited vectors", "Vectors of sampled users computed again from the archive.", (
        Query(rate("churn_audit_checked_total"), "audited"),
    ), "cps", width=6),
    Panel("Waiting for the archive", "Vectors that are audited as soon as the archive covers their events; falls at every flush.", (
        Query("sum(churn_audit_waiting_rows)", "waiting"),
    ), width=6),
))  # fmt: skip

LEARNER = Row("Learner", (
    Panel("Matured labels", "Users whose next 30 days are over: silent (churned) or not.", (
        Query(rate("churn_labels_total", "churned"), "churned: {{churned}}"),
    ), "cps", stacked=True),
    Panel("Progressive log loss", "Online as it could be issued at each midnight, the champion as it is, both on the same last rows that the champion was not trained on; lower is better.", (
        Query("max by (model) (churn_online_log_loss)", "{{model}}"),
    )),
    Panel("Progressive AUC", "How well churners are ranked above the others, on the same rows: 0.5 is chance.", (
        Query("max by (model) (churn_online_auc)", "{{model}}"),
    ), "percentunit"),
    Panel("Progressive calibration", "Mean distance of what was said from what happened, on the same rows: 0 is a model that means what it says.", (
        Query("max by (model) (churn_online_calibration_error)", "{{model}}"),
    ), "percentunit"),
    Panel("Rows compared", "How many rows stand behind these figures, at most 5,000: after a promotion few, as those that the champion learnt from are left out for both.", (
        Query("max(churn_online_judged_rows)", "rows"),
    )),
    Panel("Models judged", "Champion, the one that served before it, and challengers: their probabilities stand beside each label on churn-outcomes. One less than announced is a bundle that is gone.", (
        Query("max(churn_judged_models)", "models"),
    )),
    Panel("Learned until", "Age of the latest midnight that was learned from. 31 days are as near as labels allow; more is a learner that lags.", (
        Query("time() - max(churn_learned_midnight_seconds)", "age"),
    ), "s"),
    Panel("Blocks not learned from", "Not decodable, or of the past: a worker that starts again repeats some. A constant rate means that the log was built anew; the learner's log says what to do.", (
        Query(rate('churn_skipped_blocks_total{job="learner"}', "reason"), "{{reason}}"),
    ), "cps"),
))  # fmt: skip

KEEPER = Row("The loop that looks after the models", (
    stat("Age of the champion", "Days since its version first served. A training is due from 4.75 days on; above 7 only while the gate refuses all younger ones, and an alert tells.", "max(churn_keeper_champion_age_days)", "d"),
    stat("Training", "1 while a training is due or goes on; `churn keeper status` says why.", "max(churn_keeper_busy)"),
    stat("Given up", "1 when all attempts of the last training failed; `churn models log` holds the end of their output.", "max(churn_keeper_gave_up)"),
    stat("Midnight", "The last midnight that was complete in all partitions: what the monitors have seen.", "max(churn_keeper_midnight_seconds) * 1000", "dateTimeAsIso", width=6),
    stat("Behind", "The keeper's time less the last complete midnight; within a day and some minutes when all is well.", "max(churn_keeper_clock_seconds) - max(churn_keeper_midnight_seconds)", "s", width=6),
    stat("Taken back", "Promotions that the keeper took back in the chosen time, and why; `churn models log` holds the figures.", "sum by (cause) (increase(churn_keeper_rollbacks_total[$__range]))", legend="{{cause}}"),
    Panel("Alarms", "behaviour, score and outcome cause a training; quality (broken data) holds one back for three days.", (
        Query("sum by (finding) (increase(churn_keeper_alarms_total[1d]))", "{{finding}}"),
    ), stacked=True),
    Panel("Drift by feature", "The ten features that differ most from the champion's training rows (PSI, less what chance gives); 0.2 and above its usual level is an alarm.", (
        Query("topk(10, max by (feature) (churn_keeper_psi))", "{{feature}}"), Query("max(churn_keeper_score_psi)", "the score"),
    )),
    Panel("Matured log loss", "On labels that matured since the champion was promoted, all on the same rows as it; lower is better. low and high bound it with 95 % confidence.", (
        Query("max by (role, bound) (churn_keeper_log_loss)", "{{role}} {{bound}}"),
    )),
    Panel("Matured AUC", "On the same rows: 0.5 is chance.", (
        Query('max by (role) (churn_keeper_auc{bound="value"})', "{{role}}"),
    ), "percentunit"),
    Panel("Matured calibration error", "On the same rows: the mean distance of what was said from what happened.", (
        Query('max by (role) (churn_keeper_ece{bound="value"})', "{{role}}"),
    ), "percentunit"),
    Panel("Trainings", "How trainings ended: promoted, kept (the gate kept the champion), waiting (for a person), failed.", (
        Query("sum by (ending) (increase(churn_keeper_trainings_total[1d]))", "{{ending}}"),
    ), stacked=True),
))  # fmt: skip

API = Row("API", (
    Panel("Requests", "Answers by route and status.", (
        Query(rate("churn_http_requests_total", "route, status"), "{{route}} {{status}}"),
    ), "reqps"),
    Panel("Time to answer", "p50 and p99 by route.", quantiles("churn_http_request_seconds", "route"), "s"),
    Panel("Errors of ours", "Share of answers with status 5xx, probes left out; an alert above 1 %.", (
        Query("churn:http_errors:ratio_rate5m", "5xx"),
    ), "percentunit"),
    Panel("Predictions", "Feature maps scored on request by POST /predict; the stream's own scores are not among them.", (
        Query(rate("churn_predictions_total"), "predictions"),
    ), "cps"),
    Panel("Active users by band", "By the band of their latest score, among users that the API has seen since it started.", (
        Query("max by (band) (churn_users_by_band)", "{{band}}"),
    ), stacked=True),
    Panel("What the API leans on", "1 while it answers. Without Redis nobody can be looked up; without Kafka answers only grow old.", (
        Query("min(churn_redis_up)", "Redis"), Query("min(churn_kafka_up)", "Kafka"),
    )),
))  # fmt: skip

ROWS = (ROAD, STREAM, ONLINE, MODEL, ARCHIVE, AUDIT, LEARNER, KEEPER, API)
