"""The audit confirms what is right, waits for the archive, and names the feature that is wrong."""

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from churn.blocks import FeatureBlock
from churn.time_travel import Sample
from tests.churn.histories import DECLARATION, Happening, at
from tests.training.emitted import Streamed, late_and_repeated, stream
from training.audit import Audit
from training.auditor import Report, audit_once
from training.sampled_events import SampledEvents

EVERYBODY = Sample(1.0)


@pytest.fixture(scope="module")
def streamed() -> Streamed:
    """Return two months of 20 users, late and repeated events among them."""
    chance = random.Random(1)
    kinds = ["joined", "read", "read", "read", "paid", "failed"]
    history = [
        Happening(
            f"u{chance.randrange(20)}", chance.choice(kinds), at(chance.randrange(60), chance.randrange(86_400)), 5.0
        )
        for _ in range(600)
    ]
    return stream(late_and_repeated(history, chance), 7)


def audited(streamed: Streamed, blocks: list[FeatureBlock], folder: Path, sample: Sample = EVERYBODY) -> Report:
    streamed.archive(folder)
    return audit_once(DECLARATION, folder, sample, 1, blocks)


def with_value(block: FeatureBlock, row: int, feature: str, change: Callable[[float], float]) -> FeatureBlock:
    matrix = block.matrix.copy()
    column = DECLARATION.feature_names.index(feature)
    matrix[row, column] = change(float(matrix[row, column]))
    return msgspec.structs.replace(block, values=matrix.tobytes())


def test_a_right_stream_has_no_mismatch(streamed: Streamed, tmp_path: Path) -> None:
    report = audited(streamed, streamed.blocks, tmp_path)
    assert report.found.checked == len(streamed.moments()) > 1500
    assert (report.found.wrong, dict(report.found.mismatches), report.waiting) == (0, {}, 0)


def test_one_wrong_value_is_found_and_named(streamed: Streamed, tmp_path: Path) -> None:
    place = len(streamed.blocks) // 2
    blocks = list(streamed.blocks)
    blocks[place] = with_value(blocks[place], 0, "reads_30d", lambda value: value + 1)
    report = audited(streamed, blocks, tmp_path)
    assert (report.found.wrong, dict(report.found.mismatches)) == (1, {"reads_30d": 1})
    (example,) = report.found.examples
    assert str(example).startswith(f"{blocks[place].users[0]}: reads_30d was emitted as ")


def test_the_last_bit_counts(streamed: Streamed, tmp_path: Path) -> None:
    block = with_value(
        streamed.blocks[-1], 3, "total", lambda value: float(np.nextafter(np.float32(value), np.float32(9e9)))
    )
    assert dict(audited(streamed, [block], tmp_path).found.mismatches) == {"total": 1}


def test_an_event_that_the_archive_lost_shows(streamed: Streamed, tmp_path: Path) -> None:
    accepted = streamed.accepted
    lost = next(place for place, event in enumerate(accepted.events) if event.event_type == "paid")
    lossy = Streamed(streamed.blocks, accepted.take(np.arange(len(accepted)) != lost), streamed.end)
    found = audited(lossy, streamed.blocks, tmp_path).found
    assert set(found.mismatches) >= {"total"}
    assert {example.moment.user for example in found.examples} == {accepted.events[lost].user_id}


def test_only_sampled_users_are_audited(streamed: Streamed, tmp_path: Path) -> None:
    sample = Sample(0.2)
    report = audited(streamed, streamed.blocks, tmp_path, sample)
    expected = sum(len(sample.rows(block.users)) for block in streamed.blocks)
    assert 0 < report.found.checked == expected < len(streamed.moments())


def test_what_the_archive_does_not_cover_waits(streamed: Streamed, tmp_path: Path) -> None:
    streamed.archive(tmp_path, 0, 300)
    report = audit_once(DECLARATION, tmp_path, EVERYBODY, 1, streamed.blocks)
    covered = sum(len(block.users) for block in streamed.blocks if block.source_offset <= 300)
    assert (report.found.checked, report.found.wrong) == (covered, 0)
    assert report.waiting == len(streamed.moments()) - covered


def test_blocks_of_another_declaration_are_not_compared(streamed: Streamed, tmp_path: Path) -> None:
    other = msgspec.structs.replace(streamed.blocks[0], feature_set_version="other")
    report = audited(streamed, [other], tmp_path)
    assert (report.found.checked, report.outdated_blocks) == (0, 1)


def test_a_restart_reads_from_the_first_block_that_waits(streamed: Streamed, tmp_path: Path) -> None:
    streamed.archive(tmp_path / "archive", 0, 300)
    events = SampledEvents(DECLARATION, tmp_path / "archive", EVERYBODY, tmp_path)
    audit = Audit(DECLARATION, events, EVERYBODY, {0: 0})
    for offset, block in enumerate(streamed.blocks):
        audit.take(0, offset, block)
    assert audit.queues[0].done == 0
    events.follow()
    while audit.check().checked:
        pass
    first = next(offset for offset, block in enumerate(streamed.blocks) if block.source_offset > 300)
    assert audit.queues[0].done == first
    assert audit.waiting_rows == sum(len(block.users) for block in streamed.blocks[first:])
