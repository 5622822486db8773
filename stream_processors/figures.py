"""What a worker says of its partitions in metrics."""

from churn.partition import Tally
from feature_repo.instruments import Instruments
from stream_processors.owned import OwnedPartition

GAUGES = ("churn_users", "churn_consumer_lag_records", "churn_watermark_seconds")
"""What is said of a partition only while it is owned; its new owner says it then."""


class Figures:
    """Counts what happened and shows where each partition stands."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def measure(self, owned: OwnedPartition) -> None:
        """Count what happened to events since the last call, and show the partition."""
        tally, owned.state.tally = owned.state.tally, Tally()
        counts = {
            "churn_events": tally.accepted,
            "churn_duplicate_events": tally.duplicate,
            "churn_late_events": tally.late,
            "churn_expired_events": tally.expired,
            "churn_day_rolls": tally.rolls,
            "churn_departed_users": tally.departed,
        }
        for name, count in counts.items():
            self._instruments.count(name, count)
        self.show(owned)

    def show(self, owned: OwnedPartition) -> None:
        """Show users, lag and watermark of a partition."""
        label, clock = str(owned.state.number), owned.state.clock
        self._instruments.set("churn_users", owned.state.present, partition=label)
        self._instruments.set("churn_consumer_lag_records", owned.end_offset - owned.read_offset, partition=label)
        if clock.watermark_us:  # before its first event a partition has no time
            self._instruments.set("churn_watermark_seconds", clock.watermark_us / 1e6, partition=label)

    def forget(self, number: int) -> None:
        """Say nothing more of a partition."""
        for gauge in GAUGES:
            self._instruments.forget(gauge, partition=str(number))
