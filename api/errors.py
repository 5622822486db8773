"""What the API answers when something is wrong, and the errors that only a request can cause."""

import re

import msgspec

from churn.errors import ChurnError, InputError, OutageError, UnknownUserError

RETRY_AFTER_SECONDS = 1


class FeatureProblem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a feature map; `instance` is its position in the request."""

    instance: int
    feature: str
    problem: str


class ErrorAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Body of every answer that is not a success: a code for programs, a sentence for people."""

    error: str
    message: str
    problems: list[FeatureProblem] = []


class PredictionInputError(InputError):
    """A request for predictions cannot be used; `problems` names every feature that is wrong."""

    def __init__(self, message: str, problems: list[FeatureProblem] | None = None) -> None:
        super().__init__(message)
        self.problems = problems or []


class TooLargeError(InputError):
    """A request is larger than this service takes in one piece."""


class NoChampionError(OutageError):
    """No verified model is loaded, so nothing can be predicted or explained."""


def status_of(error: ChurnError) -> int:
    """Return the HTTP status that an error means.

    >>> status_of(OutageError("Redis is away")), status_of(UnknownUserError("who?")), status_of(InputError("no"))
    (503, 404, 422)
    """
    by_class = ((UnknownUserError, 404), (TooLargeError, 413), (InputError, 422), (OutageError, 503))
    return next((status for kind, status in by_class if isinstance(error, kind)), 500)


def code_of(error: ChurnError) -> str:
    """Return an error's code for programs.

    >>> code_of(UnknownUserError("who?"))
    'unknown_user'
    """
    name = type(error).__name__.removesuffix("Error")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def answer_of(error: ChurnError) -> ErrorAnswer:
    """Return the body that tells of an error."""
    problems = error.problems if isinstance(error, PredictionInputError) else []
    return ErrorAnswer(code_of(error), str(error), problems)
