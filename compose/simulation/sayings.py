"""What the models say of each midnight, as any reader of the public topics hears it."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Consumer, Message, TopicPartition
from numpy.typing import NDArray

from churn.blocks import ShadowBlock, decode_shadow
from churn.errors import OutageError
from churn.kafka_config import client_config
from churn.scores import to_us
from churn.settings import Settings
from churn.topics import SCORES, SHADOW, Topic
from compose.topic_admin import partitions_of
from producers.synthetic.encoding import user_id

AT_ONCE = 10_000
WAIT_SECONDS = 0.02
PATIENCE_SECONDS = 120.0
SHADOW_SECONDS = 5.0
"""A challenger is announced to the scorer within milliseconds; one that is refused is never heard."""
Precedence = tuple[int, datetime]


class Said(msgspec.Struct, frozen=True, gc=False):
    """The part of a score on the topic that is judged; the rest is skipped while reading."""

    user_id: str
    probability: float
    as_of: datetime
    source_offset: int
    promoted_at: datetime


_said = msgspec.json.Decoder(Said).decode


@dataclass
class Board:
    """The scores of one midnight: of each user the one that counts, and what the model in shadow says."""

    as_of_us: int
    live: dict[str, tuple[Precedence, float]] = field(default_factory=dict)
    shadow: dict[str, tuple[int, float]] = field(default_factory=dict)

    def hear(self, said: Said) -> None:
        """Take a score of this midnight; of two of one user the later word counts."""
        precedence = said.source_offset, said.promoted_at
        held = self.live.get(said.user_id)
        if held is None or precedence >= held[0]:
            self.live[said.user_id] = precedence, said.probability

    def overhear(self, block: ShadowBlock) -> None:
        """Take what the model in shadow says of this midnight."""
        for user, probability in zip(block.users, block.probability.tolist(), strict=True):
            held = self.shadow.get(user)
            if held is None or block.source_offset >= held[0]:
                self.shadow[user] = block.source_offset, probability


class Sayings:
    """Follows the scores and shadow topics from now on, one midnight at a time."""

    def __init__(self, settings: Settings, shadow_version: str) -> None:
        self._version = shadow_version
        self._scores, self._shadow = (topic.name(settings.topic_prefix) for topic in (SCORES, SHADOW))
        self._consumer = Consumer(
            {
                **client_config(settings),
                "group.id": f"{settings.topic_prefix}-simulation",
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": 5,
                "fetch.wait.max.ms": 20,
                "log_level": 2,
            }
        )
        self._consumer.assign([*self._places(SCORES, settings), *self._places(SHADOW, settings)])
        self._board = Board(0)

    def _places(self, topic: Topic, settings: Settings) -> list[TopicPartition]:
        name, places = topic.name(settings.topic_prefix), range(partitions_of(topic, settings))
        ends = [self._consumer.get_watermark_offsets(TopicPartition(name, p), timeout=10.0)[1] for p in places]
        return [TopicPartition(name, place, end) for place, end in zip(places, ends, strict=True)]

    def turn_to(self, midnight: datetime) -> None:
        """Listen for what is said of another midnight."""
        self._board = Board(to_us(midnight))

    def wait_complete(self, users: NDArray[np.int64], check: Callable[[], None]) -> None:
        """Return once the scores of all these users have come.

        Raises:
            OutageError: they have not, in time.
        """
        names = {user_id(number) for number in users.tolist()}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._wait_for(names, self._board.live, PATIENCE_SECONDS / 20):
            check()
            if time.monotonic() > deadline:
                missing = len(names - self._board.live.keys())
                raise OutageError(
                    f"{missing} of {len(names)} users have no score of a midnight {PATIENCE_SECONDS:g} s after it; look into"
                    " the scorer's log"
                )

    def wait_shadow(self, users: NDArray[np.int64]) -> bool:
        """Wait for what the model in shadow says of these users; returns whether it came."""
        return self._wait_for({user_id(number) for number in users.tolist()}, self._board.shadow, SHADOW_SECONDS)

    def _wait_for(self, names: set[str], heard: Mapping[str, object], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not names <= heard.keys():
            if time.monotonic() > deadline:
                return False
            self.listen(WAIT_SECONDS)
        return True

    def listen(self, seconds: float = 0.0) -> int:
        """Take what has come; returns how many messages that was."""
        messages = self._consumer.consume(AT_ONCE, seconds)
        for message in messages:
            self._hear(message)
        return len(messages)

    def _hear(self, message: Message) -> None:
        if message.error() is not None:
            return
        value, board = message.value() or b"", self._board
        if message.topic() == self._scores:
            said = _said(value)
            if to_us(said.as_of) == board.as_of_us:
                board.hear(said)
            return
        block = decode_shadow(value)
        if block.as_of_us == board.as_of_us and block.version == self._version:
            board.overhear(block)

    def live(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what was served of these users; NaN where nothing has come."""
        return _column(self._board.live, users)

    def shadow(self, users: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what was said in shadow of these users; NaN where nothing has come."""
        return _column(self._board.shadow, users)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()


def _column(heard: Mapping[str, tuple[Any, float]], users: NDArray[np.int64]) -> NDArray[np.float64]:
    said = (heard.get(user_id(number)) for number in users.tolist())
    return np.array([math.nan if each is None else each[1] for each in said], np.float64)
