"""An event id is known again for at least one generation of offsets, whatever the sizes of the batches."""

from churn.duplicates import GENERATION_RECORDS, DuplicateFilter, rebuild_from
from tests.churn.histories import Happening, admitted, at


def fresh(filter_: DuplicateFilter, offset: int, *ids: str) -> list[bool]:
    batch = admitted([Happening("ann", "joined", at(0), id=name) for name in ids], offset)
    return [bool(is_fresh) for is_fresh in filter_.fresh(batch)]


def test_the_first_of_equal_ids_is_fresh() -> None:
    seen = DuplicateFilter()
    assert fresh(seen, 0, "a", "b", "a") == [True, True, False]
    assert fresh(seen, 3, "b", "c") == [False, True]


def test_an_id_is_known_through_the_next_generation_and_forgotten_after_it() -> None:
    seen = DuplicateFilter()
    fresh(seen, 0, "a")
    assert fresh(seen, 2 * GENERATION_RECORDS - 1, "a") == [False]
    assert fresh(seen, 2 * GENERATION_RECORDS, "a") == [True]


def test_a_batch_over_the_edge_of_a_generation_gives_the_same_as_two() -> None:
    edge = GENERATION_RECORDS - 1
    whole, parted = DuplicateFilter(), DuplicateFilter()
    assert fresh(whole, edge, "a", "a", "b") == [*fresh(parted, edge, "a"), *fresh(parted, edge + 1, "a", "b")]


def test_a_filter_rebuilt_from_the_log_knows_what_the_first_one_knew() -> None:
    offset = 2 * GENERATION_RECORDS + 10
    start = rebuild_from(offset)
    assert start == GENERATION_RECORDS
    rebuilt = DuplicateFilter()
    fresh(rebuilt, start, "old")
    assert fresh(rebuilt, offset, "old") == [False]


def test_an_empty_batch_is_no_batch() -> None:
    nothing = admitted([])
    assert DuplicateFilter().fresh(nothing).tolist() == []
