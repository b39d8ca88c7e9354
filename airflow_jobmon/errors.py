"""Every error this package raises on purpose: one line that names the thing and says what to do."""

from __future__ import annotations


class JobmonError(Exception):
    """Base of all; its text is shown to people as it is, without a traceback."""


class ConfigurationError(JobmonError):
    """A setting, registry entry or argument that cannot work."""


class ConnectionProblem(JobmonError):
    """A connection that is missing, of the wrong type, or refused by the server behind it."""


class DatabaseAway(ConnectionProblem):
    """A server that does not answer now and may later."""


class SchemaProblem(JobmonError):
    """The database is not migrated, is newer than this package, or jobs_log lacks what we need."""


class UnknownJob(JobmonError):
    """A job name that neither the registry nor the log knows."""


class JobNotEvaluated(JobmonError):
    """A job that is known but that nobody judges: disabled, ignored, or too new."""


class BusyProblem(JobmonError):
    """An answer that others, or a long piece of work, have kept from being made in time."""


class UnknownSilence(JobmonError):
    """A name that was never silenced."""


class UnknownIncident(JobmonError):
    """An incident that is not there, or nothing open where something open is needed."""


class ArchiveProblem(JobmonError):
    """Runs that cannot leave the job log, or a target that does not take them; what was not moved is where it was."""


class StorageProblem(JobmonError):
    """A folder or file that cannot be opened, written, read or removed. `untouched`: it was not even begun."""

    def __init__(self, message: str, *, untouched: bool = False) -> None:
        super().__init__(message)
        self.untouched = untouched


class DeliveryError(JobmonError):
    """A channel did not take a message.

    `rejected` is true when the channel has definitely not taken it (an answer said so, or nothing was sent),
    false when it may have (a time-out or a lost connection after sending). `retry_after` is in seconds.
    """

    permanent = False

    def __init__(self, message: str, *, rejected: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.rejected = rejected
        self.retry_after = retry_after


class PermanentDeliveryError(DeliveryError):
    """An answer that cannot get better by trying again: unknown webhook, invalid token, refused mailbox."""

    permanent = True

    def __init__(self, message: str) -> None:
        super().__init__(message, rejected=True)
