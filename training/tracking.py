"""Reaching MLflow: importing it quietly, its database's driver, its SQLite file's folder. Importing it takes 3 s."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from churn.errors import InputError

POSTGRES_DRIVERS = ("psycopg", "psycopg2")


def client_of(uri: str) -> Any:
    """Return MLflow's client of a tracking address.

    Raises:
        InputError: the address is a database whose driver is not installed.
    """
    # Set before the import, which reads them: no usage data leaves this machine, no bars and migration notes
    # stand between our own lines, errors and warnings still do.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    _require_driver(uri)
    with third_party_noise():
        from mlflow import MlflowClient

        # Its database module tells of every new table at INFO, whatever the variable above says.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        _make_folder_of(uri)
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


@contextmanager
def third_party_noise() -> Iterator[None]:
    """Silence deprecation warnings inside MLflow and its dependencies, which nobody here can act on; errors pass."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        yield


def with_driver(uri: str) -> str:
    """Return the address with the PostgreSQL driver that is installed: one that names none would mean psycopg2.

    >>> with_driver("postgresql://mlflow@db/mlflow")
    'postgresql+psycopg://mlflow@db/mlflow'
    """
    return uri.replace("postgresql://", "postgresql+psycopg://", 1) if uri.startswith("postgresql://") else uri


def _require_driver(uri: str) -> None:
    """Raise InputError when a PostgreSQL address is given and nothing here speaks to one."""
    if uri.startswith("postgres") and not any(find_spec(name) for name in POSTGRES_DRIVERS):
        raise InputError(
            "CHURN_MLFLOW_TRACKING_URI names a PostgreSQL database, and its driver is not installed here: add the package"
            " psycopg[binary], or name an MLflow server (http://...) that keeps its records there"
        )


def _make_folder_of(uri: str) -> None:
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
