"""What the features role says of its partitions, on a real Kafka and Redis."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis

from churn.blocks import FeatureBlock, decode_features
from churn.records import Record
from churn.scores import to_us
from churn.settings import Settings
from churn.topics import FEATURES
from compose.chaos.outcome import read
from feature_repo.instruments import Instruments
from feature_repo.online import OnlineWriter
from stream_processors.features import FeaturesRole
from tests.api.building import AS_OF, DECLARATION
from tests.stream_processors.road import event

Gauges = dict[tuple[str, str], float]


@pytest.fixture
def made(own_settings: Callable[[int], Settings]) -> Settings:
    return own_settings(2)


@pytest.fixture
def instruments() -> Instruments:
    return Instruments("features")


@pytest.fixture
def role(made: Settings, instruments: Instruments, redis_client: "redis.Redis") -> Iterator[FeaturesRole]:
    writer = OnlineWriter(redis_client, made.feast_project, DECLARATION.feature_names)
    role = FeaturesRole(made, DECLARATION, writer, instruments, lambda: to_us(AS_OF))
    yield role
    role.close()


def gauges(instruments: Instruments) -> Gauges:
    """Return every gauge that is said of a partition, by its name and the partition."""
    families = [family for family in instruments.registry.collect() if family.type == "gauge"]
    samples = [sample for family in families for sample in family.samples if "partition" in sample.labels]
    return {(sample.name, sample.labels["partition"]): sample.value for sample in samples}


def record(offset: int, user_id: str = "u1") -> Record:
    """Return an event of a minute before AS_OF as the role takes it."""
    user, value = event(user_id, "session_started", AS_OF - timedelta(minutes=1), f"e{offset}")
    return Record(offset, to_us(AS_OF), user.encode(), value)


def blocks(made: Settings) -> list[FeatureBlock]:
    """Return what lies on the features topic."""
    return [decode_features(message.value() or b"") for message in read(FEATURES, made)]


def test_a_partition_that_was_given_up_is_no_longer_spoken_of(role: FeaturesRole, instruments: Instruments) -> None:
    async def give_up_the_first() -> Gauges:
        await role.acquire([0, 1], 1)
        await role.process(0, [record(0)], 3)
        await role.process(1, [record(0)], 1)
        held = gauges(instruments)
        await role.release([0])
        return held

    held = asyncio.run(give_up_the_first())
    minute_before_seconds = AS_OF.timestamp() - 60
    for partition, lag in (("0", 2.0), ("1", 0.0)):
        assert held["churn_users", partition] == 1.0
        assert held["churn_consumer_lag_records", partition] == lag
        assert held["churn_watermark_seconds", partition] == minute_before_seconds
    assert [name for name, partition in gauges(instruments) if partition == "0"] == ["churn_restore_seconds"]


def test_a_partition_kept_over_a_rebalance_is_spoken_of_again(role: FeaturesRole, instruments: Instruments) -> None:
    async def rebalance() -> None:
        await role.acquire([0], 1)
        await role.process(0, [record(0)], 1)
        await role.release([0])
        await role.acquire([0], 2)

    asyncio.run(rebalance())
    found = gauges(instruments)
    assert (found["churn_users", "0"], found["churn_watermark_seconds", "0"]) == (1.0, AS_OF.timestamp() - 60)


def test_a_partition_without_events_has_no_time_yet(role: FeaturesRole, instruments: Instruments) -> None:
    asyncio.run(_acquired(role))
    assert ("churn_users", "0") in gauges(instruments)
    assert ("churn_watermark_seconds", "0") not in gauges(instruments)


async def _acquired(role: FeaturesRole) -> None:
    await role.acquire([0], 1)


def test_an_emptying_that_a_write_would_hide_is_noticed(role: FeaturesRole, redis_client: "redis.Redis") -> None:
    async def empty_between_two_events() -> None:
        await role.acquire([0], 1)
        await role.process(0, [record(0)], 1)
        await role.tick()
        redis_client.flushall()
        await role.process(0, [record(1, "u2")], 2)
        await role.tick()  # writes u2 and the fence, less than a second after the last look
        await role.tick()

    asyncio.run(empty_between_two_events())
    assert redis_client.dbsize() == 3


def test_an_emptying_that_nobody_saw_is_made_good_by_the_next_owner(
    made: Settings, role: FeaturesRole, redis_client: "redis.Redis"
) -> None:
    async def own_and_lose() -> None:
        await role.acquire([0], 1)
        await role.process(0, [record(0)], 1)
        await role.tick()
        await role.release([0])

    async def own_again() -> list[FeatureBlock]:
        await role.acquire([0], 3)  # not the next generation: another owner may have been between
        await role.tick()
        await role.tick()
        await role.release([0])
        return blocks(made)

    asyncio.run(own_and_lose())
    redis_client.flushall()
    assert [block.kind for block in asyncio.run(own_again()) if block.users] == ["update", "refresh"]


def test_a_checkpoint_holds_no_event_whose_vector_nobody_sent(made: Settings, role: FeaturesRole) -> None:
    async def process_while_a_tick_writes() -> None:
        await role.acquire([0], 1)
        await role.process(0, [record(0)], 1)
        ticking = asyncio.create_task(role.tick())
        await asyncio.sleep(0)  # the tick has sent its vectors and waits for Redis
        await role.process(0, [record(1, "u2")], 2)
        await ticking
        while 0 not in role.committable():
            await asyncio.sleep(0)  # the loop has its turn; nothing is waited for by the clock

    asyncio.run(asyncio.wait_for(process_while_a_tick_writes(), 30))
    assert {user for block in blocks(made) for user in block.users} >= {"u1", "u2"}


@pytest.mark.parametrize(("time_source", "moved"), [("wall", {"roll"}), ("events", {"update"})])
def test_the_wall_clock_moves_an_idle_partition_unless_events_alone_are_to(
    made: Settings, redis_client: "redis.Redis", time_source: str, moved: set[str]
) -> None:
    told = made.model_copy(update={"time_source": time_source})
    writer = OnlineWriter(redis_client, made.feast_project, DECLARATION.feature_names)
    role = FeaturesRole(told, DECLARATION, writer, Instruments("features"), lambda: to_us(AS_OF + timedelta(days=1)))

    async def see_and_idle() -> None:
        await role.acquire([0], 1)
        await role.process(0, [record(0)], 1)
        await role.tick()
        await role.release([0])

    asyncio.run(see_and_idle())
    role.close()
    assert {block.kind for block in blocks(made) if block.users} == moved


def test_who_departs_is_named_behind_the_last_of_their_vectors(made: Settings, role: FeaturesRole) -> None:
    user, value = event("gone", "session_started", AS_OF - timedelta(days=made.user_ttl_days + 2), "e0")

    async def grow_old() -> None:
        await role.acquire([0], 1)
        await role.process(0, [Record(0, to_us(AS_OF), user.encode(), value)], 2)
        await role.process(0, [record(1, "here")], 2)
        await role.release([0])

    asyncio.run(grow_old())
    said = [(block.users, block.departed) for block in blocks(made) if block.users or block.departed]
    assert said[-2:] == [([], ["gone"]), (["here"], [])]
    assert (["gone"], []) in said[:-2]
