"""The errors that this package raises: each message is one line that names the thing and says what to do."""

from __future__ import annotations


class JobmonError(Exception):
    """Base of all errors; users see the message as it is, without a traceback."""


class ConfigurationError(JobmonError):
    """A setting, registry entry or argument is invalid."""


class ConnectionProblem(JobmonError):
    """A connection is missing, has the wrong type, or is refused by its server."""


class DatabaseUnavailable(ConnectionProblem):
    """The database server does not respond now, but may later."""


class SchemaProblem(JobmonError):
    """The database is not migrated, is newer than this package, or jobs_log lacks something."""


class UnknownJob(JobmonError):
    """A job name is neither in the registry nor in the log."""


class JobNotEvaluated(JobmonError):
    """A job is known and not evaluated: it is disabled, ignored or too new."""


class BusyProblem(JobmonError):
    """Other requests, or a slow statement, held a request up for too long."""


class UnknownSilence(JobmonError):
    """A job name or glob has no silence."""


class UnknownIncident(JobmonError):
    """An incident does not exist, or none is open."""


class ArchiveProblem(JobmonError):
    """Runs cannot be moved out of the job log, or the target does not accept them; runs not moved stay in the log."""


class StorageProblem(JobmonError):
    """A folder or file cannot be opened, written, read or removed. `untouched`: the operation did not start."""

    def __init__(self, message: str, *, untouched: bool = False) -> None:
        super().__init__(message)
        self.untouched = untouched


class DeliveryError(JobmonError):
    """A channel did not accept a message.

    `rejected` is true when the channel has definitely not accepted it (its response said so, or nothing was sent),
    false when it may have (a timeout or a lost connection after sending). `retry_after` is in seconds.
    """

    permanent = False

    def __init__(self, message: str, *, rejected: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.rejected = rejected
        self.retry_after = retry_after


class PermanentDeliveryError(DeliveryError):
    """A failure that no retry can fix: unknown webhook, invalid token, refused mailbox."""

    permanent = True

    def __init__(self, message: str) -> None:
        super().__init__(message, rejected=True)
