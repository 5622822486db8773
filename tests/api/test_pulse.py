from datetime import timedelta

import msgspec

from api.pulse import EventRate, Pulse, Riskiest
from churn.scores import to_us
from tests.api.building import AS_OF
from tests.api.streaming import score

NOW_MS = to_us(AS_OF) // 1000 + 1500


def test_a_users_latest_band_counts_once() -> None:
    pulse = Pulse()
    pulse.take(score("a", 0.9, "high"), NOW_MS)
    pulse.take(score("b", 0.1, "low"), NOW_MS)
    pulse.take(score("a", 0.3, "medium"), NOW_MS)
    seen = pulse.view(NOW_MS, EventRate())
    assert (seen.users, seen.users_by_band) == (2, {"low": 1, "medium": 1, "high": 0})


def test_who_turns_inactive_leaves_the_bands_and_the_list_and_comes_back() -> None:
    pulse = Pulse()
    pulse.take(score("gone", 0.99, "high"), NOW_MS)
    pulse.take(score("here", 0.9, "high"), NOW_MS)
    pulse.take(score("gone", 0.99, "high", active=False), NOW_MS)
    seen = pulse.view(NOW_MS, EventRate())
    assert (seen.users, seen.users_by_band["high"], [user.user_id for user in seen.riskiest]) == (1, 1, ["here"])
    pulse.take(score("gone", 0.2, "medium"), NOW_MS)
    assert pulse.view(NOW_MS, EventRate()).users_by_band == {"low": 0, "medium": 1, "high": 1}


def test_who_was_never_active_counts_in_the_rate_alone() -> None:
    pulse = Pulse()
    pulse.take(score("gone", 0.99, "high", active=False), NOW_MS - 1000)
    seen = pulse.view(NOW_MS, EventRate())
    assert (seen.users, seen.riskiest, seen.scores_per_second) == (0, [], 0.1)


def test_freshness_is_from_arrival_to_the_written_score() -> None:
    arrived_ms = to_us(AS_OF + timedelta(milliseconds=500)) // 1000
    pulse = Pulse()
    for late in (100, 200, 900):
        pulse.take(score("a", 0.9, "high"), arrived_ms + late)
    seen = pulse.view(NOW_MS, EventRate())
    assert (seen.freshness_p50_ms, seen.freshness_p99_ms) == (200.0, 900.0)


def test_a_score_that_time_alone_changed_has_no_freshness() -> None:
    pulse = Pulse()
    pulse.take(msgspec.structs.replace(score("a", 0.9, "high"), arrived_at=None), NOW_MS)
    assert pulse.view(NOW_MS, EventRate()).freshness_p50_ms is None


def test_scores_per_second_is_the_mean_of_the_last_ten_whole_seconds() -> None:
    pulse = Pulse()
    for back_seconds in (0, 1, 1, 2, 10, 11, 500):
        pulse.take(score("a", 0.9, "high"), NOW_MS - 1000 * back_seconds)
    assert pulse.view(NOW_MS, EventRate()).scores_per_second == 0.4


def test_events_per_second_follow_from_the_end_offsets() -> None:
    events = EventRate()
    events.observe(10.0, 1000)
    assert events.per_second is None
    events.observe(12.0, 1500)
    assert events.per_second == 250.0


def test_users_beyond_the_limit_are_not_counted_and_that_is_said() -> None:
    pulse = Pulse(max_users=2)
    for user_id in ("a", "b", "c", "a"):
        pulse.take(score(user_id, 0.9, "high"), NOW_MS)
    seen = pulse.view(NOW_MS, EventRate())
    assert (seen.users, seen.users_complete, seen.users_by_band["high"]) == (2, False, 2)


def test_the_riskiest_come_first_with_their_reasons() -> None:
    pulse = Pulse()
    pulse.take(score("calm", 0.1, "low"), NOW_MS)
    pulse.take(score("gone", 0.9, "high", "subscription cancelled"), NOW_MS)
    first = pulse.view(NOW_MS, EventRate()).riskiest[0]
    assert (first.user_id, [reason.text for reason in first.reasons]) == ("gone", ["subscription cancelled"])


def test_the_top_is_exact_however_scores_rise_and_fall() -> None:
    riskiest, latest = Riskiest(pool_users=50), dict[str, float]()
    for step in range(5000):
        user_id, probability = f"u{step * 7919 % 700}", (step * 104729 % 9973) / 9973
        riskiest.take(score(user_id, probability, "low"))
        latest[user_id] = probability
    got = [each.probability for each in riskiest.top(20)]
    assert got == sorted(latest.values(), reverse=True)[:20]


def test_the_pool_stays_bounded() -> None:
    riskiest = Riskiest(pool_users=50)
    for number in range(1000):
        riskiest.take(score(f"u{number}", number / 1000, "low"))
    assert len(riskiest.top(10_000)) <= 100
