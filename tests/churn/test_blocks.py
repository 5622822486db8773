"""Blocks survive their bytes, and other bytes are refused."""

import msgspec
import numpy as np
import pytest

from churn.blocks import (
    BLOCK_USERS,
    FeatureBlock,
    LabelBlock,
    OutcomeBlock,
    decode_features,
    decode_labels,
    decode_outcomes,
    encode,
)
from churn.errors import DefectError
from churn.topics import LARGE_MESSAGE_BYTES


def block(users: list[str], matrix: list[list[float]]) -> FeatureBlock:
    return FeatureBlock("update", 1, 2, 3, 4, 5, "abc", users, np.array(matrix, "<f4").tobytes())


def test_a_feature_block_survives_its_bytes() -> None:
    found = decode_features(encode(block(["ann", "Ünal"], [[1.0, np.nan], [2.5, 0.0]])))
    assert (found.users, found.epoch, found.source_offset) == (["ann", "Ünal"], 2, 4)
    assert np.array_equal(found.matrix, np.array([[1.0, np.nan], [2.5, 0.0]], np.float32), equal_nan=True)


def test_an_empty_block_has_an_empty_matrix() -> None:
    assert decode_features(encode(block([], []))).matrix.shape == (0, 0)


def test_a_label_block_survives_its_bytes() -> None:
    labels = LabelBlock(1, 2, 3, 4, ["ann", "bob"], np.array([True, False]).tobytes())
    assert decode_labels(encode(labels)).churned.tolist() == [True, False]


def test_the_largest_block_fits_a_message() -> None:
    noise = np.random.default_rng(1).bytes(BLOCK_USERS * 250 * 4)
    largest = FeatureBlock("roll", 1, 2, 3, 4, 5, "abc", ["ü" * 128] * BLOCK_USERS, noise)
    assert len(encode(largest)) < LARGE_MESSAGE_BYTES


@pytest.mark.parametrize("decode", [decode_features, decode_labels])
def test_other_bytes_are_refused(decode: type) -> None:
    with pytest.raises(DefectError, match="4 bytes are not a"):
        decode(b"else")


def test_an_outcome_block_of_other_sizes_than_it_names_is_refused() -> None:
    whole = OutcomeBlock(0, 1, 2, 3, ["ann", "bob"], b"\x00\x01", ["7"], np.zeros(2, "<f8").tobytes())
    assert decode_outcomes(encode(whole)).probability.tolist() == [[0.0, 0.0]]
    for change in ({"values": b""}, {"gone": b"\x00"}, {"versions": ["7", "8"]}):
        with pytest.raises(DefectError, match=r"a block of 2 users x . versions has"):
            decode_outcomes(encode(msgspec.structs.replace(whole, **change)))
