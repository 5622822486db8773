"""One tree of errors: whose fault it is decides what happens next.

=============  =====================  ====================================
class          fault                  answer
=============  =====================  ====================================
InputError     the caller's           HTTP 422, dead letter, exit code 2
DefectError    ours                   HTTP 500, the batch is retried
OutageError    a dependency is away   HTTP 503 with Retry-After, back off
=============  =====================  ====================================
"""


class ChurnError(Exception):
    """Root of every error that this system raises on purpose."""


class InputError(ChurnError):
    """The caller gave something that cannot be used; the message says what, where and what to do."""


class ContractError(InputError):
    """An event breaks the contract; `reason` is the short code a dead letter carries."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class DeclarationError(InputError):
    """A feature declaration contradicts itself or names something unknown."""


class SettingsError(InputError):
    """A setting is unknown or has a value that cannot be used."""


class UnknownUserError(InputError):
    """Nothing is known about this user."""


class DataError(InputError):
    """Data at rest (an archive, an import, a model bundle) is missing or not what it should be."""


class DefectError(ChurnError):
    """Our own fault: an invariant does not hold."""


class OutageError(ChurnError):
    """A dependency does not answer; nothing is lost, try again later."""
