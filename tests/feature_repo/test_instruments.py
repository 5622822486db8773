"""What a process counts is what Prometheus reads, whatever else is imported."""

import pytest
from prometheus_client import generate_latest

from churn.errors import DefectError
from feature_repo.instruments import Instruments


def exported(instruments: Instruments, name: str) -> list[str]:
    """Return the samples of a metric as they are written out."""
    return [line for line in generate_latest(instruments.registry).decode().splitlines() if line.startswith(name)]


def test_counters_of_known_labels_begin_at_zero() -> None:
    scorer = Instruments("scorer")
    scorer.count("churn_scores", 3, band="high")
    assert exported(scorer, "churn_scores") == [
        'churn_scores_total{band="low"} 0.0',
        'churn_scores_total{band="medium"} 0.0',
        'churn_scores_total{band="high"} 3.0',
    ]


def test_buckets_add_up_and_a_bound_belongs_to_its_own_bucket() -> None:
    archive = Instruments("features")
    for events in (1.0, 1.5, 50_001.0):
        archive.observe("churn_batch_events", events)
    lines = exported(archive, "churn_batch_events")
    assert lines[:2] == ['churn_batch_events_bucket{le="1.0"} 1.0', 'churn_batch_events_bucket{le="10.0"} 2.0']
    assert lines[-3:] == [
        'churn_batch_events_bucket{le="+Inf"} 3.0', "churn_batch_events_count 3.0", "churn_batch_events_sum 50003.5",
    ]  # fmt: skip


def test_a_forgotten_series_is_gone_even_where_feast_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "set by Feast")
    features = Instruments("features")
    features.set("churn_users", 7, partition="0")
    features.set("churn_users", 8, partition="1")
    features.forget("churn_users", partition="0")
    features.forget("churn_users", partition="9")
    assert exported(features, "churn_users") == ['churn_users{partition="1"} 8.0']


def test_two_processes_of_one_name_count_apart() -> None:
    one, other = Instruments("archive"), Instruments("archive")
    one.count("churn_archived_events", 5)
    assert exported(other, "churn_archived_events") == ["churn_archived_events_total 0.0"]


def test_labels_are_those_of_the_table() -> None:
    with pytest.raises(DefectError, match="has the labels"):
        Instruments("scorer").count("churn_scores", 1, colour="red")


def test_a_gauge_is_not_counted() -> None:
    with pytest.raises(DefectError, match="churn_ready is a gauge and no counter"):
        Instruments("scorer").count("churn_ready")
