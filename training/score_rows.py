"""Vectors of many users as rows of the daily files: columns of Arrow and lines of CSV, without an object per row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from churn.declaration import Declaration
from churn.layout import Floats
from churn.model import Float64s, Scorer, strongest
from churn.reasons import TOP_REASONS, others
from churn.scores import BANDS, band_codes
from feature_repo.champion import Serving
from training.day_snapshot import Block
from training.reason_texts import Codes, Phrasebook

PROBABILITY_DIGITS = 6
REASONS = tuple(f"reason_{place}" for place in range(1, TOP_REASONS + 1))
COLUMNS = ("user_id", "as_of", "churn_probability", "band", *REASONS, "model_version")
"""Of both files."""
FEATURES = tuple(f"feature_{place}" for place in range(1, TOP_REASONS + 1))
CONTRIBUTIONS = (*(f"contribution_{place}" for place in range(1, TOP_REASONS + 1)), "contribution_others")
"""In the Parquet file also: with the `base` that the manifest gives for the row's version they sum to the log-odds of the
probability."""
SCHEMA = pa.schema(
    [
        ("user_id", pa.string()),
        ("as_of", pa.timestamp("us", tz="UTC")),
        ("churn_probability", pa.float64()),
        *((name, pa.dictionary(pa.int32(), pa.string())) for name in ("band", *REASONS, "model_version", *FEATURES)),
        *((name, pa.float64()) for name in CONTRIBUTIONS),
    ]
)
SCORED_ROWS = 8_192
"""Scored at a time: its matrices in float64 (3.5 MB each) stay within the processor's cache."""
LINES = pa.csv.WriteOptions(include_header=False, quoting_style="needed")


@dataclass(frozen=True)
class Bands:
    """Probabilities from which a user is of medium or high risk."""

    medium: float
    high: float


@dataclass(frozen=True)
class ScoredRows:
    """Probabilities of n rows and their strongest features.

    Attributes:
        columns: [n, 3], the strongest features, strongest first.
        shares: [n, 3], their contributions to the log-odds.
        others: [n], the sum of all other contributions.
    """

    probability: Float64s
    columns: npt.NDArray[np.intp]
    shares: Float64s
    others: Float64s

    def at(self, places: npt.NDArray[np.intp]) -> "ScoredRows":
        """Return the rows at these places."""
        return ScoredRows(self.probability[places], self.columns[places], self.shares[places], self.others[places])


@dataclass(frozen=True)
class Rows:
    """The same rows for both files; `lines` are CSV without a header, in UTF-8."""

    table: pa.Table
    lines: pa.Buffer


class RowMaker:
    """Makes the rows of one day, each user's by the model that serves the user; may be called by several threads."""

    def __init__(self, serving: Serving, declaration: Declaration, bands: Bands, as_of: date) -> None:
        self._serving, self._bands = serving, bands
        self._versions = [serving.champion.version, *(challenger.version for challenger, _ in serving.sharing)]
        self._phrasebook = Phrasebook(declaration)
        self._names = pa.array(declaration.feature_names, pa.string())
        self._midnight = datetime.combine(as_of, time(), UTC)

    def rows(self, block: Block) -> Rows:
        """Return the rows of a block, in its order."""
        if not len(block.users):
            return Rows(SCHEMA.empty_table(), pa.py_buffer(b""))
        table = self._table(block, *self._scored(block))
        return Rows(table, self._lines(table))

    def _scored(self, block: Block) -> tuple[ScoredRows, Codes]:
        """Return the scored rows, and for each the place of its version in `_versions`."""
        if not self._serving.sharing:  # nobody is hashed, which takes 1 us a user
            return _scored(self._serving.scorer, block.matrix), np.zeros(len(block.users), np.int32)
        arms = self._serving.parts(block.users.to_pylist())
        scored = _joined([_scored(answering.scorer, block.matrix[places]) for answering, places in arms])
        versions = [self._versions.index(answering.version) for answering, _ in arms]
        codes = np.repeat(np.array(versions, np.int32), [len(places) for _, places in arms])
        order = np.argsort(np.concatenate([places for _, places in arms]))
        return scored.at(order), codes[order]

    def _table(self, block: Block, scored: ScoredRows, versions: Codes) -> pa.Table:
        texts = self._phrasebook.texts(block.matrix, scored.columns)
        sentences, codes = pa.array(texts.sentences, pa.string()), texts.codes
        columns = [
            block.users,
            pa.repeat(pa.scalar(self._midnight, SCHEMA.field("as_of").type), len(codes)),
            pa.array(scored.probability.round(PROBABILITY_DIGITS)),
            _coded(band_codes(scored.probability, self._bands.medium, self._bands.high), pa.array(BANDS)),
            *_places(codes, sentences),
            _coded(versions, pa.array(self._versions)),
            *_places(scored.columns, self._names),
            *_shares(scored),
        ]
        return pa.Table.from_arrays(columns, schema=SCHEMA)

    def _lines(self, table: pa.Table) -> pa.Buffer:
        midnight = _coded(np.zeros(len(table)), pa.array([self._midnight.strftime("%Y-%m-%dT%H:%M:%SZ")]))
        shown = {"as_of": midnight, "churn_probability": _decimals(table.column("churn_probability").to_numpy())}
        lines = pa.table([shown.get(name, table.column(name)) for name in COLUMNS], names=list(COLUMNS))
        sink = pa.BufferOutputStream()
        pa.csv.write_csv(lines, sink, LINES)
        return sink.getvalue()


def _scored(scorer: Scorer, matrix: Floats) -> ScoredRows:
    starts = range(0, len(matrix), SCORED_ROWS)
    return _joined([_scored_part(scorer, matrix[start : start + SCORED_ROWS]) for start in starts])


def _joined(parts: Sequence[ScoredRows]) -> ScoredRows:
    return ScoredRows(
        np.concatenate([part.probability for part in parts]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.shares for part in parts]),
        np.concatenate([part.others for part in parts]),
    )


def _scored_part(scorer: Scorer, matrix: Floats) -> ScoredRows:
    scored = scorer.score(matrix)
    columns = strongest(scored.contributions, TOP_REASONS)
    shares = np.take_along_axis(scored.contributions, columns, axis=1)
    return ScoredRows(scored.probability, columns, shares, others(scored.contributions, shares))


def _places(codes: npt.NDArray[np.integer], words: pa.Array) -> list[pa.Array]:
    """Return one column a place, coded by the words that stand there; places beyond those of `codes` are null.

    The words are coded anew: Arrow 25 writes a dictionary that holds a word twice as plain text, and then with other
    bytes from one time to the next.
    """
    empty = pa.nulls(len(codes), pa.dictionary(pa.int32(), pa.string()))
    found = [words.take(pa.array(column)).dictionary_encode() for column in np.ascontiguousarray(codes.T)]
    return [*found, *[empty] * (TOP_REASONS - len(found))]


def _shares(scored: ScoredRows) -> list[pa.Array]:
    empty = pa.nulls(len(scored.others), pa.float64())
    found = [pa.array(share) for share in np.ascontiguousarray(scored.shares.T)]
    return [*found, *[empty] * (TOP_REASONS - len(found)), pa.array(scored.others)]


def _coded(codes: npt.NDArray[np.generic], words: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words)


def _decimals(rounded: Float64s) -> pa.Array:
    """Return the numbers with all their digits after the point, which floats are not written with."""
    pairs = np.zeros((len(rounded), 2), np.int64)  # the low and high half of 128 bits
    pairs[:, 0] = np.rint(rounded * 10**PROBABILITY_DIGITS)
    return pa.Array.from_buffers(pa.decimal128(7, PROBABILITY_DIGITS), len(rounded), [None, pa.py_buffer(pairs)])
