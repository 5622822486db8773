"""Reaching MLflow: importing it quietly, its database's driver, its SQLite file's folder. Importing it takes 3 s."""

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from churn.errors import InputError, OutageError

PASSWORD = re.compile(r"//[^/@\s]*@")
POSTGRES_DRIVERS = ("psycopg", "psycopg2")


def client_of(uri: str) -> Any:
    """Return MLflow's client of a tracking address.

    Raises:
        InputError: the address is a database whose driver is not installed.
    """
    _silence()
    _require_driver(uri)
    with third_party_noise():
        from mlflow import MlflowClient

        # Its database module tells of every new table at INFO, whatever the variable above says.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        _make_folder_of(uri)
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _silence() -> None:
    """Set what the import reads: no usage data leaves this machine, no bars and migration notes stand between our lines."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")


@contextmanager
def third_party_noise() -> Iterator[None]:
    """Silence deprecation warnings inside MLflow and its dependencies, which nobody here can act on; errors pass."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        yield


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Work with MLflow quietly; what it cannot do is told in a sentence.

    Raises:
        OutageError: its server, its database or its files do not answer.
    """
    _silence()
    with third_party_noise():
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

    try:
        with third_party_noise():
            yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        seen = str(error).strip().partition("\n")[0] or type(error).__name__
        said = f"the model registry {uri} does not answer ({seen[:300]}); see that CHURN_MLFLOW_TRACKING_URI is right"
        raise OutageError(f"{PASSWORD.sub('//', said)} and what it names is there, then try again") from error


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
