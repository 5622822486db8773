"""Taking over a partition: fence the former owner, load its last checkpoint, remember its recent event ids."""

from collections.abc import Callable, Mapping

import numpy as np
import structlog

from churn.admission import Admission
from churn.declaration import Declaration
from churn.errors import DataError
from churn.kafka_config import client_config
from churn.layout import layout_of
from churn.packing import PartitionMeta
from churn.partition import Clock, Partition
from churn.settings import Settings
from churn.summary import difference, summary
from churn.topics import ACTIVITY, DEAD_LETTERS, USER_STATE, other_partitions
from stream_processors.changelog import Changelog, read
from stream_processors.owned import OwnedPartition
from stream_processors.remembering import Log, partition_counts, remember_ids

log = structlog.get_logger(__name__)


class Restorer:
    """Loads partitions; each `load` may run on a thread of its own."""

    def __init__(
        self, settings: Settings, declaration: Declaration, admission: Admission, wall_us: Callable[[], int]
    ) -> None:
        self._config = client_config(settings)
        self._activity = ACTIVITY.name(settings.topic_prefix)
        self._state = USER_STATE.name(settings.topic_prefix)
        self._letters = DEAD_LETTERS.name(settings.topic_prefix)
        self._partitions = settings.partitions
        self._user_ttl_days = settings.user_ttl_days
        self._layout = layout_of(declaration)
        self._version, self._described = declaration.feature_set_version, summary(declaration)
        self._admission = admission
        self._wall_us = wall_us

    def load(self, number: int, generation: int) -> OwnedPartition:
        """Become the owner of a partition.

        Raises:
            DataError: the stored state belongs to another declaration or partition count.
            OutageError: Kafka does not answer.
        """
        changelog = Changelog(self._config, self._state, number, self._letters)
        changelog.claim()
        stored = read(self._config, self._state, number)
        if stored.meta is not None:
            self._check(number, stored.meta, stored.described)
        meta = stored.meta or PartitionMeta(self._version, self._partitions, 0, 0, 0, 0)
        state = Partition(self._layout, number, user_ttl_days=self._user_ttl_days)
        state.restore(
            Clock(meta.watermark_us, meta.watermark_arrived_us),
            meta.next_offset,
            [key.decode() for key in stored.users],
            list(stored.users.values()),
        )
        log_of = Log(self._config, self._activity, self._letters, number)
        end = remember_ids(log_of, meta.next_offset, self._admission, state.duplicates, meta.rebuilt_below)
        described = None if stored.described == self._described else self._described
        owned = self._owned(state, changelog, meta, generation, end, described)
        log.info(
            "partition loaded", partition=number, users=state.present, next_offset=meta.next_offset, epoch=owned.epoch
        )
        return owned

    def check_topics(self) -> None:
        """Refuse topics of another number of partitions: of an enlarged one some users' state lies elsewhere.

        Raises:
            DataError: says what to do.
            OutageError: Kafka does not answer.
        """
        for topic, found in partition_counts(self._config, (self._activity, self._state)).items():
            if found != self._partitions:
                raise DataError(other_partitions(f"topic {topic} is", found, self._partitions))

    def _check(self, number: int, meta: PartitionMeta, described: Mapping[str, str]) -> None:
        if meta.partitions != self._partitions:
            what = f"{self._state} partition {number}: the stored state is"
            raise DataError(other_partitions(what, meta.partitions, self._partitions))
        if meta.feature_set_version != self._version:
            what = difference(described, self._described) if described else "what changed was not stored"
            raise DataError(
                f"{self._state} partition {number}: the stored state is of another declaration (feature set"
                f" {meta.feature_set_version}, now {self._version}). {what}. Run `churn rebuild` to build the state anew"
                " from the archive and the log, or set CHURN_DECLARATION to the former declaration"
            )

    def _owned(
        self,
        state: Partition,
        changelog: Changelog,
        meta: PartitionMeta,
        generation: int,
        end: int,
        described: Mapping[str, str] | None,
    ) -> OwnedPartition:
        epoch = meta.epoch + 1
        clock = state.clock
        mine = PartitionMeta(
            self._version,
            self._partitions,
            meta.next_offset,
            clock.watermark_us,
            clock.arrived_us,
            epoch,
            meta.unemitted,
            meta.rebuilt_below,
        )
        changelog.write([], [], mine, described=described)
        owned = OwnedPartition(state, changelog, epoch, generation, meta.next_offset, meta.next_offset, end)
        owned.rebuilt_below = meta.rebuilt_below
        owned.last_arrival_us = self._wall_us()
        # The online store may have lost rows, or never got those held back during a replay: write everyone once.
        owned.mark_stale(np.flatnonzero(state.slab.occupied()))
        owned.refresh_for = "" if meta.unemitted else None
        return owned
