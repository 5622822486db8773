"""Reading dead letters back, and giving those that became events a second chance.

A letter is named by where its record lay on the activity topic: partition and offset, which no other letter has. After
a replay has been delivered, a mark with that name goes to the dead-letter topic, behind the letter, and so never leaves
it before the letter does. A marked letter is not replayed again. A replay killed between delivery and mark is repeated
by the next one; the `event_id` lets those events count once (churn.duplicates says within which horizon).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from churn.admission import Admission
from churn.errors import InputError, OutageError
from churn.kafka_config import ClientConfig
from churn.records import Record
from stream_processors.letters import ATTEMPTS_HEADER, FIRST_SEEN_HEADER
from stream_processors.outputs import Output
from stream_processors.reading import TIMEOUT_SECONDS, reader

MARK_HEADER = "replayed"
LETTERS_AT_ONCE = 500
"""Delivered and marked together; a kill repeats at most so many."""
READ_AT_ONCE = 1000
MAX_SILENT_READS = 150


class Place(NamedTuple):
    """Where a record lay on the activity topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter as it lies on its topic."""

    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]

    @property
    def place(self) -> Place:
        """Return where its record lay."""
        return Place(int(self.headers["partition"]), int(self.headers["offset"]))

    @property
    def reason(self) -> str:
        """Return the short code of what is wrong with it."""
        return self.headers["reason"]

    @property
    def is_whole(self) -> bool:
        """Tell whether it holds all bytes of its record."""
        return "key_cut_from_bytes" not in self.headers and "value_cut_from_bytes" not in self.headers


def letters(config: ClientConfig, topic: str) -> Iterator[Letter | Place]:
    """Yield the letters of a dead-letter topic from the oldest to the newest, and the places that marks name.

    Raises:
        InputError: the topic does not exist.
        OutageError: Kafka does not answer.
    """
    for message in _messages(config, topic):
        found = message.headers() or []
        pairs = found.items() if isinstance(found, Mapping) else found
        headers = {
            name: value.decode(errors="replace") if isinstance(value, bytes) else value or "" for name, value in pairs
        }
        if MARK_HEADER in headers:
            partition, _, offset = headers[MARK_HEADER].partition(":")
            yield Place(int(partition), int(offset))
        else:
            yield Letter(message.key(), message.value(), headers)


def _messages(config: ClientConfig, topic: str) -> Iterator[Message]:
    consumer = reader(config)
    try:
        # All topics are asked for: a question for this one alone may create it.
        if topic not in consumer.list_topics(timeout=TIMEOUT_SECONDS).topics:
            raise InputError(f"topic {topic} does not exist; run `churn topics`")
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        silent_reads = 0
        while silent_reads < MAX_SILENT_READS:
            read = consumer.consume(READ_AT_ONCE, timeout=0.2)
            silent_reads = 0 if read else silent_reads + 1
            for message in read:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    return
                else:
                    raise KafkaException(error)
        raise OutageError(f"{topic}: no answer for {MAX_SILENT_READS * 0.2:g} s")
    except KafkaException as error:
        raise OutageError(f"{topic} cannot be read: {error.args[0].str()}") from error
    finally:
        consumer.close()


def replayed(config: ClientConfig, topic: str) -> set[Place]:
    """Return the letters that were replayed."""
    return {found for found in letters(config, topic) if isinstance(found, Place)}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters to replay: of one reason, or at one place, or all; `force` takes those still refused, too."""

    reason: str | None = None
    place: Place | None = None
    force: bool = False

    def takes(self, letter: Letter) -> bool:
        """Tell whether a letter is meant."""
        return self.reason in (None, letter.reason) and self.place in (None, letter.place)


@dataclass(slots=True)
class Outcome:
    """How many letters went back, and why the others did not."""

    replayed: int = 0
    before: int = 0
    refused: int = 0
    cut: int = 0


@dataclass(frozen=True)
class Topics:
    """The names of the topics that letters travel between."""

    activity: str
    letters: str


def replay(
    config: ClientConfig, topics: Topics, admission: Admission, choice: Choice, now_us: int, *, dry_run: bool = False
) -> Outcome:
    """Publish the chosen letters' own bytes under their own keys, each at most once; `now_us` is when they will arrive.

    Raises:
        OutageError: not everything is known to be delivered; run it again, what was delivered counts once.
    """
    outcome, done = Outcome(), replayed(config, topics.letters)
    chosen = list(_chosen(config, topics.letters, choice, outcome, done))
    ready = chosen if choice.force else [each for each in chosen if _admits(admission, each, now_us)]
    outcome.refused = len(chosen) - len(ready)
    outcome.replayed = len(ready)
    if not dry_run:
        output = Output(config)
        for start in range(0, len(ready), LETTERS_AT_ONCE):
            _send(output, topics, ready[start : start + LETTERS_AT_ONCE])
    return outcome


def _chosen(
    config: ClientConfig, topic: str, choice: Choice, outcome: Outcome, done: Collection[Place]
) -> Iterator[Letter]:
    for letter in letters(config, topic):
        if isinstance(letter, Place) or not choice.takes(letter):
            continue
        if letter.place in done:
            outcome.before += 1
        elif not letter.is_whole:
            outcome.cut += 1
        else:
            yield letter


def _admits(admission: Admission, letter: Letter, now_us: int) -> bool:
    admitted, _ = admission.admit([Record(letter.place.offset, now_us, letter.key, letter.value)])
    return len(admitted) == 1


def settle(config: ClientConfig, topics: Topics, admission: Admission, counted: Mapping[int, range]) -> int:
    """Mark the letters whose records a rebuild has counted where they lie, so that no replay counts them again.

    `counted` are the offsets, by partition, that were admitted by the present declaration. Returns how many.
    """
    done = replayed(config, topics.letters)
    output, found = Output(config), 0
    for letter in letters(config, topics.letters):
        if isinstance(letter, Place) or letter.place in done:
            continue
        partition, offset = letter.place
        if offset in counted.get(partition, range(0)) and _admits(
            admission, letter, int(letter.headers["last_seen_us"])
        ):
            output.send(topics.letters, None, None, headers=[(MARK_HEADER, str(letter.place))])
            found += 1
    output.flush()
    return found


def _send(output: Output, topics: Topics, some: Collection[Letter]) -> None:
    for letter in some:
        attempts, first_seen_us = int(letter.headers["attempts"]) + 1, letter.headers["first_seen_us"]
        headers = [(ATTEMPTS_HEADER, str(attempts)), (FIRST_SEEN_HEADER, first_seen_us)]
        output.send(topics.activity, letter.key, letter.value, headers=headers)
    output.flush()
    for letter in some:
        output.send(topics.letters, None, None, headers=[(MARK_HEADER, str(letter.place))])
    output.flush()
