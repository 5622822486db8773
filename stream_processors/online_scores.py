"""Scores on their way to the online store: only the newest of each user is written."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from churn.blocks import FeatureBlock
from churn.model import Float64s
from churn.scores import BANDS, Reason
from feature_repo.online import OnlineWriter

MAX_REASON_BYTES = 60
"""Feast's rows stay compact in Redis while every value is under 64 bytes."""
CUT = "…"

Row = tuple[float, int, str, str, int]


@dataclass
class ScoreRows:
    """One row a user, ready to be written."""

    users: list[str]
    rows: list[Row]
    departed: list[str] = field(default_factory=list)

    def write(self, writer: OnlineWriter, fence: tuple[str, int]) -> None:
        """Write the rows under a fence, and delete what was written of departed users.

        Raises:
            OutageError: not all is known to be done.
            FencedError: a later owner writes them now.
        """
        if self.departed:
            writer.delete_scores(self.departed, fence)
        if self.users:
            self._write_rows(writer, fence)

    def _write_rows(self, writer: OnlineWriter, fence: tuple[str, int]) -> None:
        probability, codes, versions, texts, as_of_us = zip(*self.rows, strict=True)
        writer.write_scores(
            self.users,
            np.array(probability, dtype=np.float32),
            band=[BANDS[code] for code in codes],
            model_version=list(versions),
            top_reason=[shorten(text) for text in texts],
            as_of_us=np.array(as_of_us, dtype=np.int64),
            fence=fence,
        )


@dataclass
class PendingScores:
    """The newest score of each user that is not in the online store."""

    _rows: dict[str, Row | None] = field(default_factory=dict)

    def users(self) -> int:
        """Return how many users wait."""
        return len(self._rows)

    def forget(self, users: list[str]) -> None:
        """Take note of users who were forgotten: the features worker deletes their rows, and a score must not make half a one anew."""
        self._rows.update(dict.fromkeys(users))

    def add(
        self,
        block: FeatureBlock,
        probability: Float64s,
        codes: npt.NDArray[np.int8],
        reasons: list[list[Reason]],
        version: str,
    ) -> None:
        """Take the scores of a block."""
        rows = zip(block.users, probability.tolist(), codes.tolist(), reasons, strict=True)
        self._rows.update((u, (p, c, version, why[0].text if why else "", block.as_of_us)) for u, p, c, why in rows)

    def take(self) -> ScoreRows:
        """Return and clear everything."""
        taken, self._rows = self._rows, {}
        rows = {user: row for user, row in taken.items() if row is not None}
        return ScoreRows(list(rows), list(rows.values()), [user for user in taken if user not in rows])

    def give_back(self, rows: ScoreRows) -> None:
        """Return rows that were not written; newer ones that came meanwhile stay."""
        self._rows = dict.fromkeys(rows.departed) | dict(zip(rows.users, rows.rows, strict=True)) | self._rows


@dataclass(frozen=True)
class Turn:
    """The time of one owner of a partition: its right to write, and the scores that are not written yet."""

    fence: tuple[str, int]
    pending: PendingScores = field(default_factory=PendingScores)


def shorten(text: str) -> str:
    """Return the text, if it is longer than 60 bytes of UTF-8 cut behind a word and marked as cut.

    >>> shorten("no lesson completed for 12 days, which is rather long (usually 2)")
    'no lesson completed for 12 days, which is rather long…'
    """
    raw = text.encode()
    if len(raw) <= MAX_REASON_BYTES:
        return text
    kept = raw[: MAX_REASON_BYTES - len(CUT.encode())].decode(errors="ignore")
    return (kept.rpartition(" ")[0] or kept) + CUT
