"""What is written of a user is what is read back, on a later day too."""

import numpy as np
import pytest

from churn.errors import DefectError
from churn.packing import PartitionMeta, decode_meta, encode_meta, head_type, hold, pack, unpack
from churn.slab import Slab
from tests.churn.histories import FIRST_DAY, LAYOUT, Happening, admitted, at

HEAD_BYTES = head_type(LAYOUT).itemsize


def filled() -> Slab:
    slab = Slab(LAYOUT, FIRST_DAY + 9)
    slab.apply(
        admitted(
            [
                Happening("ann", "read", at(9), 2.5),
                Happening("ann", "read", at(0), 1.0),
                Happening("Ünal", "paid", at(3), 7.0, plan="pro"),
            ]
        )
    )
    return slab


def read_back(slab: Slab, day: int) -> Slab:
    found = Slab(LAYOUT, FIRST_DAY + day)
    unpack(found, slab.names, pack(hold(slab, np.arange(len(slab)))))
    return found


def test_a_user_survives_the_round_trip() -> None:
    before, after = filled(), read_back(filled(), 9)
    assert after.names == ["ann", "Ünal"]
    assert before._heads[:2].tolist() == after._heads[:2].tolist()
    assert [before.tiles.ring(n).tolist() for n in (0, 1)] == [after.tiles.ring(n).tolist() for n in (0, 1)]


def test_a_value_is_a_head_and_six_bytes_a_tile() -> None:
    ann, unal = pack(hold(filled(), np.arange(2)))
    # Two days of activity, reads and minutes; one day of payment.
    assert (len(ann), len(unal)) == (HEAD_BYTES + 6 * 6, HEAD_BYTES + 6)


def test_on_a_later_day_only_tiles_within_31_days_return() -> None:
    after = read_back(filled(), 31)
    minutes = LAYOUT.counter("minutes")
    assert int(after.tiles.ring(0)[:, minutes].sum()) == 250
    assert int(after.totals[0, minutes]) == 350


def test_on_a_later_day_only_active_days_of_nine_weeks_return() -> None:
    slab = filled()
    moved = filled()
    moved.advance(FIRST_DAY + 64)
    after = read_back(slab, 64)
    assert after.calendars[:2].tolist() == moved.calendars[:2].tolist()
    assert np.bitwise_count(after.calendars[:2]).tolist() == [1, 0]


def test_a_value_of_another_layout_is_refused() -> None:
    with pytest.raises(DefectError, match="does not fit the declaration"):
        unpack(Slab(LAYOUT, FIRST_DAY), ["ann"], [b"\0" * (HEAD_BYTES + 5)])


def test_the_partitions_own_record_survives_the_round_trip() -> None:
    meta = PartitionMeta("abc", 4, 17, 1, 2, 3, True)
    assert decode_meta(encode_meta(meta)) == meta
