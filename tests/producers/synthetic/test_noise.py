import pytest

from churn.errors import SettingsError
from churn.events import decode
from producers.synthetic.noise import BROKEN_KINDS, Disturber, Message, Noise, broken

HOUR_US = 3_600_000_000


def messages(count: int) -> list[Message]:
    return [Message(second * 1_000_000, f"u{second}", b"%d" % second) for second in range(count)]


def test_duplicates_come_again_within_five_minutes() -> None:
    disturber = Disturber(Noise(duplicates=1.0), seed=1)
    disturber.disturb(messages(100), "s-")
    out = disturber.rest()
    first = {message.value: message.due_us for message in reversed(out)}
    again = {message.value: message.due_us for message in out}
    assert (len(out), disturber.counts.duplicates) == (200, 100)
    assert all(1_000_000 <= again[value] - due_us <= 300_000_000 for value, due_us in first.items())


def test_late_messages_wait_at_least_a_day_and_at_most_forty() -> None:
    disturber = Disturber(Noise(late=1.0), seed=1)
    disturber.disturb(messages(1000), "s-")
    assert disturber.due(24 * HOUR_US - 1) == []
    assert len(disturber.due(40 * 24 * HOUR_US + 1000 * 1_000_000)) == disturber.counts.late == 1000


def test_disordered_messages_wait_at_most_three_hours() -> None:
    disturber = Disturber(Noise(disordered=0.5), seed=1)
    disturber.disturb(messages(1000), "s-")
    out = disturber.due(3 * HOUR_US + 1000 * 1_000_000)
    assert len(out) == 1000
    assert [message.value for message in out] != [message.value for message in messages(1000)]
    assert 400 < disturber.counts.disordered < 600


def test_broken_messages_are_added_and_counted_by_kind() -> None:
    disturber = Disturber(Noise(broken=0.5), seed=1)
    disturber.disturb(messages(1000), "s-")
    assert len(disturber.rest()) == 1000 + disturber.counts.broken.total()
    assert set(disturber.counts.broken) == set(BROKEN_KINDS)


def test_the_same_seed_disturbs_the_same_messages() -> None:
    noise = Noise(0.1, 0.1, 0.1, 0.1)
    one, two = Disturber(noise, seed=4), Disturber(noise, seed=4)
    one.disturb(messages(500), "s-")
    two.disturb(messages(500), "s-")
    assert one.rest() == two.rest()


def test_a_future_date_is_the_only_fault_of_a_future_dated_message() -> None:
    event = decode(broken("future-dated", "e1", "u1", 0))
    assert (event.occurred_at.year, event.event_type, event.schema_version) == (2999, "session_started", 1)


@pytest.mark.parametrize("rates", [{"duplicates": -0.1}, {"late": 0.6, "disordered": 0.6}, {"broken": 2}])
def test_impossible_rates_are_refused(rates: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="each rate must lie in"):
        Noise(**rates)
