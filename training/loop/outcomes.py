"""What the learner publishes of each block of labels: what every model says of the users, beside what became of them.

Blocks are delivered before the position that covers them is saved, so a kill repeats some and loses none. A repeated
block says the same of a model that is in both; the first one counts. A block of labels has at most 2,000 users, so that
beside twenty models it stays under 700 kB.
"""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from churn.blocks import OutcomeBlock, encode
from churn.errors import OutageError
from churn.kafka_config import ClientConfig
from churn.model import Scorer
from churn.topics import LARGE_MESSAGE_BYTES
from producers.publisher import Publisher
from training.course import Learnt

ONLINE = "online"
"""The learner's own place among the versions."""
FLUSH_SECONDS = 1.0
"""So long readiness and stopping wait for a Kafka that is away."""
PATIENT = {"message.timeout.ms": 0, "message.max.bytes": LARGE_MESSAGE_BYTES}
"""An outage of any length is waited out: what is on its way is bounded, as nothing is learnt while it cannot be saved."""


def outcome(learnt: Learnt, scorers: Sequence[Scorer]) -> OutcomeBlock:
    """Return the block of learnt labels; `online` is left out where it knew nothing at their midnight."""
    joined = learnt.joined
    said = {scorer.version: scorer.score(joined.matrix).probability for scorer in scorers}
    own = {ONLINE: learnt.said} if learnt.said is not None else {}
    rows = {**own, **said}
    values = np.array(list(rows.values()), "<f8").tobytes()
    return OutcomeBlock(
        learnt.partition,
        learnt.label_offset,
        joined.as_of_us,
        learnt.known_at_us,
        joined.users,
        joined.churned.tobytes(),
        list(rows),
        values,
    )


class OutcomesWriter:
    """Sends outcome blocks, those of one partition in their order."""

    def __init__(self, config: ClientConfig, topic: str) -> None:
        """Connect in the background."""
        self._publisher = Publisher({**config, **PATIENT}, topic, FLUSH_SECONDS)
        self.problem = ""
        """Why blocks cannot be delivered just now; empty when they can."""

    def write(self, block: OutcomeBlock) -> None:
        """Send a block; raises OutageError when one before it was refused for good: begin again from the snapshot."""
        self._publisher.publish(str(block.partition), encode(block))
        self._publisher.poll()

    def delivered(self) -> bool:
        """Wait a moment for everything that was sent; returns whether it has arrived."""
        self._publisher.poll()
        self.problem = ""
        with suppress(OutageError):
            self._publisher.flush()
            return True
        self._publisher.poll()
        self.problem = f"{self._publisher.topic}: outcomes are not delivered yet; Kafka is slow or away"
        return False
