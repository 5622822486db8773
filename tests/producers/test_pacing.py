"""A replay keeps to the recorded distances, divided by the speed."""

import pytest

from churn.errors import InputError
from producers.pacing import Pace


def test_a_recorded_hour_takes_a_second_at_speed_3600() -> None:
    clock = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    pace = Pace(3600, lambda: clock[0], sleep)
    for at_us in (0, 3_600_000_000, 7_200_000_000):
        pace.wait_for(at_us)
    assert slept == [1.0, 1.0]


def test_a_late_replay_does_not_wait() -> None:
    clock = iter([0.0, 0.0, 50.0])
    slept: list[float] = []
    pace = Pace(1, lambda: next(clock), slept.append)
    pace.wait_for(0)
    pace.wait_for(10_000_000)
    assert slept == []


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_must_be_above_zero(speed: float) -> None:
    with pytest.raises(InputError, match="give a number above 0"):
        Pace(speed, lambda: 0.0, lambda _seconds: None)
