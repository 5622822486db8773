"""The daily file of a road, and what it must say where the topic said a score."""

from datetime import datetime
from pathlib import Path

from churn.scores import Score
from compose.past_commands import loader
from compose.past_models import chosen_at, known
from feature_repo.champion import Serving, beside
from tests.stream_processors.road import Road
from training.batch import Manifest, score_snapshot
from training.day_snapshot import current
from training.score_rows import Bands


def daily_file(under: Road, midnight: datetime, root: Path) -> Manifest:
    """Score everybody from the archive, each by whom the records say that serves the user then."""
    settings, declaration = under.settings, under.declaration
    chosen, load = chosen_at(known(settings), midnight), loader(settings, declaration)
    assert chosen is not None
    assert chosen.lineup is not None
    found, left_out = beside(chosen.champion, chosen.lineup.challengers, load)
    assert not left_out
    return score_snapshot(
        current(midnight.date(), archive_dir=settings.archive_dir, snapshots_dir=root, declaration=declaration),
        predictions_dir=root / "predictions",
        declaration=declaration,
        serving=Serving(chosen.champion, load(chosen.champion), chosen.lineup, found),
        bands=Bands(settings.medium_risk, settings.high_risk),
    )


def row_of(score: Score) -> dict[str, object]:
    """Return the row of the daily file that says what a score says."""
    reasons = {
        f"{name}_{place}": value
        for place, reason in enumerate(score.reasons, 1)
        for name, value in zip(
            ("reason", "feature", "contribution"), (reason.text, reason.feature, reason.contribution), strict=True
        )
    }
    return {
        "user_id": score.user_id, "as_of": score.as_of, "churn_probability": round(score.probability, 6),
        "band": score.band, "model_version": score.model_version, "contribution_others": score.others, **reasons,
    }  # fmt: skip
