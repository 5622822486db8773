"""Historical features are what the system computed, as it stood at the asked time."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore

from churn.declaration import Declaration
from feature_repo.offline import scores_folder, vectors_folder, write_scores, write_vectors

DAY_US = 86_400_000_000
# Feast joins with dask, which fills object columns with pandas in a way that pandas will change.
pytestmark = pytest.mark.filterwarnings("ignore:Downcasting object dtype arrays:FutureWarning")

JAN_5_US = 1_767_607_200_000_000  # 2026-01-05 10:00 UTC


@pytest.fixture
def written(shop: Declaration, shop_data: Path, store: FeatureStore) -> FeatureStore:
    """Return the store with three vectors of u1, one of u2, and one score of u1."""
    times = np.array([JAN_5_US, JAN_5_US + DAY_US, JAN_5_US + 2 * DAY_US, JAN_5_US], np.int64)
    matrix = np.array([[1, 2, 3, np.nan], [10, 20, 30, 40], [100, 200, 300, 400], [5, 6, 7, 8]], np.float32)
    users, names = ["u1", "u1", "u1", "u2"], shop.feature_names
    write_vectors(vectors_folder(shop_data), "0-17", users, matrix, as_of_us=times, feature_names=names)
    reasons, probability = ["quiet"], np.array([0.75], np.float32)
    write_scores(
        scores_folder(shop_data), "0-17", ["u1"], probability,
        band=["high"], model_version="3", top_reason=reasons, as_of_us=JAN_5_US,
    )  # fmt: skip
    return store


def history(store: FeatureStore, user: str, *days: tuple[int, int]) -> pd.DataFrame:
    times = [datetime(2026, 1, day, hour, tzinfo=UTC) for day, hour in days]
    asked = pd.DataFrame({"user_id": [user] * len(times), "event_timestamp": times})
    job = store.get_historical_features(asked, store.get_feature_service("churn_v1"))
    return job.to_df().sort_values("event_timestamp").reset_index(drop=True)


def test_row_is_the_latest_one_not_after_the_asked_time(written: FeatureStore) -> None:
    answer = history(written, "u1", (5, 10), (6, 9), (6, 10), (7, 11))
    assert answer["purchases_7d"].tolist() == [1.0, 1.0, 10.0, 100.0]


def test_before_its_first_vector_a_user_has_no_row(written: FeatureStore) -> None:
    # Feast's file engine leaves such a row out; what matters is that the future never fills it.
    assert history(written, "u1", (5, 9), (5, 10))["purchases_7d"].tolist() == [1.0]


def test_old_row_still_holds_because_rows_are_written_when_they_change(written: FeatureStore) -> None:
    assert history(written, "u2", (31, 0))["days_since_last"].tolist() == [8.0]


def test_scores_stand_beside_the_features(written: FeatureStore) -> None:
    row = history(written, "u1", (8, 0)).iloc[0]
    assert (row["probability"], row["band"], row["model_version"], row["top_reason"]) == (0.75, "high", "3", "quiet")


def test_files_lie_in_folders_of_utc_days(tmp_path: Path) -> None:
    times = np.array([JAN_5_US, JAN_5_US + DAY_US], np.int64)
    files = write_vectors(tmp_path, "p", ["u1", "u2"], np.ones((2, 1), np.float32), as_of_us=times, feature_names=["a"])
    assert [str(f.relative_to(tmp_path)) for f in files] == ["day=2026-01-05/p.parquet", "day=2026-01-06/p.parquet"]


def test_missing_value_is_null_and_writing_again_replaces(tmp_path: Path) -> None:
    for value in (1.0, np.nan):
        rows = np.full((1, 1), value, np.float32)
        write_vectors(tmp_path, "p", ["u1"], rows, as_of_us=JAN_5_US, feature_names=["a"])
    assert pq.read_table(tmp_path).column("a").to_pylist() == [None]
