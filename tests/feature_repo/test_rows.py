"""Commands built in bulk are the commands built one by one."""

from collections.abc import Sequence

import hiredis
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from feature_repo.encoding import entity_key, field_hash, float32_value, timestamp_field, timestamp_value
from feature_repo.rows import FloatRows, TextRows

NAMES = ("a", "b", "c")
USERS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), unique=True, max_size=9)
MICROS = st.integers(0, 4_102_444_800_000_000)


def parsed(commands: bytes) -> list[list[bytes]]:
    reader, out = hiredis.Reader(), []
    reader.feed(commands)
    while (command := reader.gets()) is not False:
        out.append(command)
    return out


def expected(user: str, floats: list[float], micros: int, chosen: Sequence[bool] = (True, True, True)) -> list[bytes]:
    head = [b"HSET", entity_key(user, "p"), timestamp_field("v"), timestamp_value(micros)]
    cells = zip(NAMES, floats, chosen, strict=True)
    fields = [(field_hash("v", n), float32_value(f)) for n, f, keep in cells if keep]
    # Fields without a value come last; the order of fields in a Redis hash means nothing.
    return head + [part for field in sorted(fields, key=lambda field: field[1] == b"") for part in field]


@given(users=USERS, data=st.data())
def test_every_row_is_the_row_built_alone(users: list[str], data: st.DataObject) -> None:
    matrix = data.draw(arrays(np.float32, (len(users), 3), elements=st.floats(width=32)))
    micros = data.draw(st.lists(MICROS, min_size=len(users), max_size=len(users)))
    built = FloatRows("p", "v", NAMES).build(users, matrix, np.array(micros, np.int64))
    rows = [expected(u, f, t) for u, f, t in zip(users, matrix.tolist(), micros, strict=True)]
    assert [parsed(command) for command in built] == [[row] for row in rows]


@given(users=USERS, data=st.data())
def test_a_row_of_chosen_fields_has_these_alone(users: list[str], data: st.DataObject) -> None:
    matrix = data.draw(arrays(np.float32, (len(users), 3), elements=st.floats(width=32)))
    chosen = data.draw(arrays(np.bool_, (len(users), 3)))
    built = FloatRows("p", "v", NAMES).build(users, matrix, np.zeros(len(users), np.int64), chosen)
    rows = [expected(u, f, 0, c) for u, f, c in zip(users, matrix.tolist(), chosen.tolist(), strict=True)]
    assert [parsed(command) for command in built] == [[row] for row in rows]


def test_text_row_is_one_command() -> None:
    (row,) = TextRows("p", "v", ["name"]).build(["u1"], [[b"\x12\x02hi"]], np.array([1_000_000], np.int64))
    assert parsed(row) == [
        [b"HSET", entity_key("u1", "p"), b"_ts:v", b"\x08\x01", field_hash("v", "name"), b"\x12\x02hi"]
    ]
