"""Everything that the keeper must not forget, in one file that is replaced as a whole."""

import os
from pathlib import Path

import msgspec

from churn.errors import DataError, DefectError
from churn.fault_points import passing
from churn.scores import Champion
from training.loop.guarding import Rollback
from training.loop.journal import Note
from training.loop.matured import MaturedState
from training.loop.midnights import Place
from training.loop.triggers import TriggerState
from training.loop.watch import WatchState

FORMAT = 1
STATE_FILE = "state.json"


class Served(msgspec.Struct):
    """The version that serves, as the keeper knows it.

    Attributes:
        since_us: when this version first began to serve; a rollback to it does not make it younger.
        returned: it served before, and came back by a rollback.
        guarded: whether the guard has looked at this promotion.
    """

    champion: Champion
    since_us: int
    returned: bool = False
    guarded: bool = False


class KeeperState(msgspec.Struct):
    """The keeper's memory.

    Attributes:
        places: of the features topic, so that midnights which are open now are read whole again.
        midnight: UTC day number of the last midnight that was complete; -1: none yet.
        clock_us: latest event time that was seen.
        notes: what is to stand in the audit log and perhaps does not yet.
        first_served_us: when each of the latest versions first began to serve.
        rollback: a promotion that is to be taken back and perhaps is not yet.
        refused: versions that the keeper took back; one that a person approves all the same is left alone.
    """

    feature_set_version: str
    format: int = FORMAT
    places: dict[int, Place] = {}
    midnight: int = -1
    clock_us: int = 0
    triggers: TriggerState = msgspec.field(default_factory=TriggerState)
    served: Served | None = None
    first_served_us: dict[str, int] = {}
    rollback: Rollback | None = None
    refused: list[str] = []
    watch: WatchState = msgspec.field(default_factory=WatchState)
    matured: MaturedState = msgspec.field(default_factory=MaturedState)
    notes: list[Note] = []


class _Format(msgspec.Struct):
    format: int = 0


def save(folder: Path, state: KeeperState) -> None:
    """Replace the file: after a kill it holds this state or the one before, whole.

    Raises:
        DefectError: it would not be read again, as JSON has no NaN; the file is left as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished, data = folder / f".{STATE_FILE}", msgspec.json.encode(state)
    try:
        msgspec.json.decode(data, type=KeeperState)
    except msgspec.MsgspecError as error:
        raise DefectError(
            f"the keeper's state cannot be read back ({error}); {folder / STATE_FILE} is left as it was"
        ) from error
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    passing("keeper.before_rename")
    unfinished.replace(folder / STATE_FILE)
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def load(folder: Path, feature_set_version: str) -> KeeperState:
    """Return the state, a new one where there is none.

    A state of another feature set keeps what was decided and served; what it knew of vectors is begun anew.

    Raises:
        DataError: it was written by another version of this program, or is damaged.
    """
    path = folder / STATE_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return KeeperState(feature_set_version)
    except OSError as error:
        raise DataError(
            f"{path}: the keeper's state cannot be read ({error.strerror}); let this user read it"
        ) from error
    hint = "move it away, and the keeper begins anew; what it did stands in the audit log"
    try:
        found = msgspec.json.decode(data, type=_Format).format
        if found != FORMAT:
            raise DataError(f"{path}: the state has format {found}, this program reads {FORMAT}; {hint}")
        return _fitting(msgspec.json.decode(data, type=KeeperState), feature_set_version)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise DataError(f"{path}: not a state that this program can read ({error}); {hint}") from error


def _fitting(state: KeeperState, feature_set_version: str) -> KeeperState:
    """Forget what the monitors knew of other features: their distributions would be held against the wrong columns."""
    if state.feature_set_version != feature_set_version:
        state.feature_set_version = feature_set_version
        state.watch.drift = None
    return state
