"""Users per second of the daily scoring: archive in, Parquet, CSV and manifest out."""

import time
from datetime import UTC, datetime
from typing import Any

from compose.bench.served import Served


def measure(served: Served) -> dict[str, Any]:
    """Score everybody as of today's midnight; the time counts from the first file read to the manifest written."""
    from training.batch import Bands, score_all

    settings, began = served.settings, time.perf_counter()
    manifest = score_all(
        datetime.now(UTC).date(),
        archive_dir=settings.archive_dir,
        predictions_dir=settings.predictions_dir,
        declaration=served.declaration,
        scorer=served.scorer,
        bands=Bands(settings.medium_risk, settings.high_risk),
    )
    seconds = time.perf_counter() - began
    served.bench.say(f"batch scoring: {manifest.rows / seconds:,.0f} users/s")
    return {
        "users": manifest.rows,
        "events": manifest.events,
        "seconds": round(seconds, 2),
        "users_per_second": round(manifest.rows / seconds),
    }
