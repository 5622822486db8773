"""A person's wish for a training: a file that the keeper takes, so that it needs nobody to listen just now."""

import os
import uuid
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import structlog

from churn.errors import InputError
from churn.scores import to_us
from training.loop.triggers import Cause
from training.obstacles import refuse_for, unnamed

log = structlog.get_logger(__name__)


class Request(msgspec.Struct, frozen=True):
    """Who wants a training, and why."""

    who: str
    reason: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]


def ask(folder: Path, request: Request) -> str:
    """Write a request, whole or not at all; returns its key.

    Raises:
        InputError: the folder cannot be written.
    """
    key = uuid.uuid4().hex
    unfinished = folder / f".{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            file.write(msgspec.json.encode(request))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(folder / f"{key}.json")
    except OSError as error:
        raise InputError(
            f"{folder}: a request cannot be written there ({error.strerror}); nothing was asked for"
        ) from error
    return key


def asked(folder: Path) -> list[Cause]:
    """Return the requests that are there, the earliest first; what is none is set aside."""
    causes = []
    for path in folder.glob("*.json"):
        try:
            request = msgspec.json.decode(path.read_bytes(), type=Request)
            refuse_for(unnamed(request.who, request.reason))
        except FileNotFoundError:
            continue
        except (msgspec.MsgspecError, UnicodeError, InputError, OSError) as error:
            log.error("a request cannot be read and is set aside", file=path.name, error=str(error))
            with suppress(OSError):
                path.replace(path.with_suffix(".refused"))
            continue
        causes.append(
            Cause("manual", request.reason, {"request": path.stem}, to_us(request.at), request.who, path.stem)
        )
    return sorted(causes, key=lambda cause: (cause.at_us, cause.key))


def done(folder: Path, key: str) -> None:
    """Remove a request that was taken."""
    (folder / f"{key}.json").unlink(missing_ok=True)
