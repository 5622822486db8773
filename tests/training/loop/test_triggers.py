"""When a model is trained anew: the whole decision, on literal times."""

import msgspec

from training.loop.triggers import Attempt, Cause, TriggerPolicy, Triggers, TriggerState, Why

DAY, HOUR = 86_400_000_000, 3_600_000_000
BORN = 20_000 * DAY
DUE = BORN + 5 * DAY - 6 * HOUR


def cause(why: Why, at_us: int = BORN, key: str = "") -> Cause:
    return Cause(why, "because", {"seen": 1.0}, at_us, key=key)


def begun(triggers: Triggers, now_us: int) -> Attempt:
    triggers.decide(BORN, now_us)
    attempt = triggers.begin(BORN, now_us)
    assert attempt is not None
    return attempt


def test_a_champion_of_four_days_and_eighteen_hours_is_trained_anew() -> None:
    triggers = Triggers()
    assert triggers.decide(BORN, DUE - 1) == []
    (note,) = triggers.decide(BORN, DUE)
    assert (note.step, note.evidence["cause"], note.evidence["age_days"]) == ("triggered", "schedule", 4.75)
    attempt = triggers.begin(BORN, DUE)
    assert attempt is not None
    assert attempt.run == "schedule-20241008T180000-1"


def test_a_champion_that_the_gate_keeps_stays_old_and_is_challenged_twice_more_before_day_seven_and_then_ever_more_seldom() -> (
    None
):
    triggers, now = Triggers(), DUE
    for hours in (18, 18, 36, 72, 144, 168):
        begun(triggers, now)
        assert triggers.ended("kept", now, {}) == []
        assert triggers.decide(BORN, now + hours * HOUR - 1) == []
        now += hours * HOUR
    assert triggers.age_days(BORN, now) == 23.75
    begun(triggers, now)
    triggers.ended("promoted", now, {})
    assert triggers.decide(now, now + 4 * DAY) == []
    assert len(triggers.decide(now, now + 5 * DAY)) == 1


def test_a_candidate_that_waits_for_a_person_is_not_followed_by_another_for_days() -> None:
    triggers = Triggers()
    begun(triggers, DUE)
    triggers.ended("waiting", DUE, {})
    assert triggers.decide(BORN, DUE + 4 * DAY) == []
    assert len(triggers.decide(BORN, DUE + 5 * DAY)) == 1


def test_a_failed_training_is_tried_again_after_one_two_and_four_hours_and_then_given_up() -> None:
    triggers, now = Triggers(), BORN + 6 * DAY
    waits = []
    for hours in (1, 2, 4):
        begun(triggers, now)
        (failed,) = triggers.ended("failed", now, {"says": "no disk"})
        assert triggers.begin(BORN, now + hours * HOUR - 1) is None
        waits.append(failed.reason)
        now += hours * HOUR
    begun(triggers, now)
    failed, gave_up = triggers.ended("failed", now, {"says": "no disk"})
    assert waits[1] == "no disk; attempt 2 of 4, the next one after 2 h"
    assert (failed.step, gave_up.step, triggers.state.gave_up) == ("training_failed", "gave_up", True)
    assert gave_up.reason == "4 attempts failed; nothing is tried again until the next trigger"


def test_what_was_given_up_begins_anew_with_the_next_trigger() -> None:
    triggers, now = Triggers(TriggerPolicy(attempts=1)), BORN + 6 * DAY
    begun(triggers, now)
    triggers.ended("failed", now, {})
    assert triggers.decide(BORN, now + 18 * HOUR - 1) == []
    assert begun(triggers, now + 18 * HOUR).number == 1
    assert not triggers.state.gave_up


def test_one_training_at_a_time_and_what_was_wanted_before_it_is_answered_by_it() -> None:
    triggers = Triggers()
    triggers.want([cause("drift")])
    begun(triggers, BORN + DAY)
    triggers.want([cause("performance", BORN + HOUR), cause("drift", BORN + 2 * DAY)])
    assert triggers.decide(BORN, BORN + 2 * DAY) == []
    assert triggers.begin(BORN, BORN + 2 * DAY) is None
    triggers.ended("promoted", BORN + 2 * DAY, {})
    assert list(triggers.state.wanted) == ["drift"]


def test_drift_waits_for_its_cooldown_of_seven_days_and_is_not_forgotten() -> None:
    triggers = Triggers()
    triggers.want([cause("drift")])
    begun(triggers, BORN + DAY)
    triggers.ended("promoted", BORN + DAY, {})
    triggers.want([cause("drift", BORN + 3 * DAY)])
    late = BORN + 7 * DAY
    assert triggers.decide(late, BORN + 8 * DAY - 1) == []
    (note,) = triggers.decide(late, BORN + 8 * DAY)
    assert note.evidence["cause"] == "drift"


def test_a_person_is_served_first_and_each_request_once() -> None:
    triggers = Triggers()
    triggers.want([cause("drift"), cause("manual", key="r1")])
    (note,) = triggers.decide(BORN, BORN + DAY)
    triggers.want([cause("manual", key="r1")])
    assert (note.evidence["cause"], list(triggers.state.wanted)) == ("manual", ["drift"])


def test_broken_data_hold_a_training_back_but_not_beyond_six_and_a_half_days_of_age() -> None:
    triggers, due = Triggers(), BORN + 6 * DAY
    triggers.hold(due)
    triggers.decide(BORN, due)
    assert triggers.begin(BORN, due) is None
    assert triggers.begin(BORN, BORN + 6 * DAY + 12 * HOUR) is not None


def test_broken_data_hold_a_training_for_drift_for_three_days_and_a_persons_not_at_all() -> None:
    triggers = Triggers()
    triggers.hold(BORN)
    triggers.want([cause("drift")])
    triggers.decide(BORN, BORN)
    assert triggers.begin(BORN, BORN + 3 * DAY - 1) is None
    assert triggers.begin(BORN, BORN + 3 * DAY) is not None
    asked = Triggers()
    asked.hold(BORN)
    asked.want([cause("manual", key="r1")])
    asked.decide(BORN, BORN)
    assert asked.begin(BORN, BORN) is not None


def test_without_a_champion_only_a_person_causes_a_training() -> None:
    triggers = Triggers()
    triggers.want([cause("drift"), cause("performance")])
    assert triggers.decide(None, BORN) == []
    triggers.want([cause("manual", key="r1")])
    assert len(triggers.decide(None, BORN)) == 1


def test_the_state_survives_as_json() -> None:
    triggers = Triggers()
    triggers.want([cause("drift")])
    begun(triggers, BORN + DAY)
    again = msgspec.json.decode(msgspec.json.encode(triggers.state), type=TriggerState)
    assert again == triggers.state


def test_two_requests_while_time_stands_still_are_two_trainings_with_names_of_their_own() -> None:
    triggers, names = Triggers(), []
    for key in ("a", "b"):
        triggers.want([cause("manual", key=key)])
        names.append(begun(triggers, BORN).run)
        triggers.ended("promoted", BORN, {})
    assert names == ["manual-20241004T000000-1", "manual-20241004T000001-1"]
