"""Blocks: many users in one message on internal topics (a message costs 1 us, a row in a block 0.2 us)."""

from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from churn.errors import DefectError
from churn.layout import Floats

BLOCK_USERS = 2000
"""At 2,000 users x 53 float32 features a block is 424 kB before compression, under the 1 MB message limit of a broker."""

Kind = Literal["roll", "update", "refresh"]


class FeatureBlock(msgspec.Struct, frozen=True, array_like=True):
    """Vectors of users of one partition at one time.

    Attributes:
        kind: `roll` at midnight, `update` after events, `refresh` when a reader asked for everyone.
        epoch: grows with each owner of the partition; a block with a lower one comes from a worker that lost it.
        source_offset: all events of the partition below this offset are in the vectors.
        arrived_us: arrival of the oldest event that is new in this block (0: none).
    """

    kind: Kind
    partition: int
    epoch: int
    as_of_us: int
    source_offset: int
    arrived_us: int
    feature_set_version: str
    users: list[str]
    values: bytes
    for_model: str = ""
    """A refresh names the promotion, or the announcement of challengers, that it is for; a scorer waits until it has heard
    of it (of that, not only of the version: after a rollback it has long known the version, and would score with the one
    that is taken back)."""
    departed: list[str] = []
    """Users who were forgotten: whoever keeps something of theirs deletes it, unless a later block names them again."""

    @property
    def matrix(self) -> Floats:
        """Return float32 [users, features]."""
        flat = np.frombuffer(self.values, dtype="<f4")
        if not self.users:
            return flat.reshape(0, 0)
        return flat.reshape(len(self.users), -1)


class LabelBlock(msgspec.Struct, frozen=True, array_like=True):
    """Whether users were silent in (as_of, as_of + horizon]; known at `known_at_us`."""

    partition: int
    epoch: int
    as_of_us: int
    known_at_us: int
    users: list[str]
    values: bytes

    @property
    def churned(self) -> npt.NDArray[np.bool_]:
        """Return one boolean a user."""
        return np.frombuffer(self.values, dtype=np.bool_)


class ShadowBlock(msgspec.Struct, frozen=True, array_like=True):
    """What a challenger says of the vectors of one feature block, in the order of its users.

    Attributes:
        version: the challenger's; `kind` to `source_offset` are those of the feature block.
    """

    version: str
    kind: Kind
    partition: int
    epoch: int
    as_of_us: int
    source_offset: int
    users: list[str]
    values: bytes

    @property
    def probability(self) -> npt.NDArray[np.float64]:
        """Return float64 [users]."""
        return np.frombuffer(self.values, dtype="<f8")


class OutcomeBlock(msgspec.Struct, frozen=True, array_like=True):
    """Matured labels beside what each model says of the very vectors that were emitted for them.

    Attributes:
        label_offset: place of the label block in its partition; a restart repeats blocks. What a repeated block says of a
            model is the same, the models may be others: the first block counts.
        versions: the models, `online` for the learner's own, whose row holds what it said before it learnt from as_of on.
        values: float64 [versions, users], little-endian.
    """

    partition: int
    label_offset: int
    as_of_us: int
    known_at_us: int
    users: list[str]
    gone: bytes
    versions: list[str]
    values: bytes

    @property
    def churned(self) -> npt.NDArray[np.bool_]:
        """Return one boolean a user."""
        return np.frombuffer(self.gone, dtype=np.bool_)

    @property
    def probability(self) -> npt.NDArray[np.float64]:
        """Return float64 [versions, users]."""
        return np.frombuffer(self.values, dtype="<f8").reshape(len(self.versions), len(self.users))


_encoder = msgspec.msgpack.Encoder()
_features = msgspec.msgpack.Decoder(FeatureBlock)
_labels = msgspec.msgpack.Decoder(LabelBlock)
_shadows = msgspec.msgpack.Decoder(ShadowBlock)
_outcomes = msgspec.msgpack.Decoder(OutcomeBlock)


def encode(block: FeatureBlock | LabelBlock | ShadowBlock | OutcomeBlock) -> bytes:
    """Return the block as bytes (MessagePack, values as little-endian arrays)."""
    return _encoder.encode(block)


def decode_features(data: bytes) -> FeatureBlock:
    """Read a feature block; raises DefectError when these bytes are none."""
    try:
        return _features.decode(data)
    except msgspec.MsgspecError as error:
        raise DefectError(f"{len(data)} bytes are not a feature block: {error}") from error


def decode_labels(data: bytes) -> LabelBlock:
    """Read a label block; raises DefectError when these bytes are none."""
    try:
        return _labels.decode(data)
    except msgspec.MsgspecError as error:
        raise DefectError(f"{len(data)} bytes are not a label block: {error}") from error


def decode_shadow(data: bytes) -> ShadowBlock:
    """Read a shadow block; raises DefectError when these bytes are none."""
    try:
        return _shadows.decode(data)
    except msgspec.MsgspecError as error:
        raise DefectError(f"{len(data)} bytes are not a shadow block: {error}") from error


def decode_outcomes(data: bytes) -> OutcomeBlock:
    """Read an outcome block; raises DefectError when these bytes are none."""
    try:
        block = _outcomes.decode(data)
    except msgspec.MsgspecError as error:
        raise DefectError(f"{len(data)} bytes are not an outcome block: {error}") from error
    users, versions = len(block.users), len(block.versions)
    if len(block.values) != 8 * versions * users or len(block.gone) != users:
        seen = f"{len(block.values)} bytes of probabilities and {len(block.gone)} labels"
        raise DefectError(f"a block of {users} users x {versions} versions has {seen}")
    return block
