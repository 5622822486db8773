"""What the keeper knows and has done, read from its state: for whoever waits until it has taken in a history."""

from collections.abc import Callable
from datetime import datetime

from churn.layout import DAY_US
from churn.scores import to_us
from churn.settings import Settings
from compose.keeper_commands import keeper_dir, lines
from compose.processes import wait_until
from training.loop.state import KeeperState, load


def wait_kept(settings: Settings, midnight: datetime, timeout_seconds: float, check: Callable[[], None]) -> str:
    """Wait until the keeper has seen a midnight, guarded the champion and knows the weeks before; returns that in a sentence.

    Raises:
        StartTimeoutError: it has not, in time.
    """
    from feature_repo.declared import load as load_declaration

    folder, version = keeper_dir(settings), load_declaration(settings.declaration).feature_set_version

    def known() -> bool:
        check()
        return caught_up(load(folder, version), midnight)

    wait_until(known, timeout_seconds, f"the keeper has seen {midnight:%Y-%m-%d} and guarded the champion")
    return sentence(load(folder, version))


def caught_up(state: KeeperState, midnight: datetime) -> bool:
    """Tell whether a midnight was seen, the promotion guarded and every archived day before it looked at."""
    guarded = state.served is not None and state.served.guarded
    return guarded and state.midnight * DAY_US >= to_us(midnight) and not state.watch.due


def sentence(state: KeeperState) -> str:
    """Say it in one line."""
    return f"keeper: {'; '.join(lines(state))}; {len(state.watch.quality.days)} archived days to compare the next ones with"
