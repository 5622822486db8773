"""The table of topics gives names and broker settings."""

from churn.topics import ACTIVITY, DEAD_LETTERS, FEATURES, SCORES, TOPICS, USER_STATE


def test_names_carry_the_prefix() -> None:
    assert [topic.name("t") for topic in TOPICS] == [
        "t-activity", "t-dead-letters", "t-user-state", "t-features", "t-scores", "t-shadow", "t-labels", "t-outcomes",
        "t-models",
    ]  # fmt: skip


def test_arrival_on_the_activity_topic_is_the_brokers_word() -> None:
    assert ACTIVITY.config()["message.timestamp.type"] == "LogAppendTime"
    assert "message.timestamp.type" not in SCORES.config()


def test_state_is_compacted_and_kept_for_ever() -> None:
    assert USER_STATE.config() == {"cleanup.policy": "compact", "retention.ms": "-1"}


def test_dead_letters_fill_no_disk() -> None:
    config = DEAD_LETTERS.config(dead_letters_max_mb=100)
    assert (config["retention.bytes"], config["segment.bytes"]) == ("104857600", "67108864")
    assert "retention.bytes" not in ACTIVITY.config()


def test_topics_of_large_messages_take_them() -> None:
    assert {DEAD_LETTERS.config()["max.message.bytes"], FEATURES.config()["max.message.bytes"]} == {"4194304"}
