"""The vectors of the last midnight, kept so that a promotion can be looked at the moment it is heard of."""

from pathlib import Path

import numpy as np

from churn.blocks import FeatureBlock, decode_features, encode
from churn.declaration import Declaration
from churn.errors import DefectError
from churn.layout import DAY_US
from training.loop.guard import GUARD_ROWS
from training.loop.midnights import Midnight, hash_of

VECTORS_FILE = "midnight.bin"


def keep(folder: Path, midnight: Midnight, declaration: Declaration) -> Midnight:
    """Keep some users of a midnight, always those with the smallest hashes; returns what is kept."""
    chosen = sorted(range(len(midnight.users)), key=lambda row: hash_of(midnight.users[row]))[:GUARD_ROWS]
    few = Midnight(midnight.day, [midnight.users[row] for row in chosen], midnight.matrix[chosen], midnight.offsets)
    values = few.matrix.astype("<f4").tobytes()
    version = declaration.feature_set_version
    block = FeatureBlock("roll", 0, 0, midnight.day * DAY_US, 0, 0, version, few.users, values)
    unfinished = folder / f".{VECTORS_FILE}"
    unfinished.write_bytes(encode(block))
    unfinished.replace(folder / VECTORS_FILE)
    return few


def kept(folder: Path, declaration: Declaration) -> Midnight | None:
    """Return what is kept; None when it is nothing, damaged, or of another feature set."""
    try:
        block = decode_features((folder / VECTORS_FILE).read_bytes())
    except (OSError, DefectError):
        return None
    if block.feature_set_version != declaration.feature_set_version or not block.users:
        return None
    return Midnight(block.as_of_us // DAY_US, block.users, np.array(block.matrix), {})
