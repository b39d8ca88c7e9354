"""A time limit for a whole request, whatever the server does: socket timeouts only bound each single wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from airflow_jobmon.errors import DeliveryError

T = TypeVar("T")

THREAD_NAME = "jobmon-send"


class Closable(Protocol):
    """Ends a blocked read when called from another thread."""

    def __call__(self) -> object: ...


class Deadline:
    """When a request must be over, and whether its message was already on the way by then.

    The worker calls `begin` right before the first byte of the message. Once the deadline has passed, `begin` raises,
    so an attempt that was abandoned before it began can never deliver later.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._ends = time.monotonic() + timeout
        self._lock = threading.Lock()
        self._over = False
        self._closers: list[Closable] = []
        self.begun = False

    @property
    def remaining(self) -> float:
        """Seconds left, always positive: sockets take 0 for "do not wait" and refuse negative values."""
        return max(self._ends - time.monotonic(), 0.001)

    @property
    def passed(self) -> bool:
        return self._over or time.monotonic() >= self._ends

    def on_end(self, close: Closable) -> None:
        """Call `close` when the time is up, to wake a worker that is stuck in a read."""
        with self._lock:
            self._closers.append(close)

    def begin(self) -> None:
        with self._lock:
            if self._over:
                raise TimeoutError
            self.begun = True

    def end(self) -> None:
        with self._lock:
            self._over = True
            closers = tuple(self._closers)
        for close in closers:
            try:
                close()
            except (OSError, ValueError, AttributeError):  # the worker has closed it meanwhile
                continue


def within(timeout: float, work: Callable[[Deadline], T], *, where: str) -> T:
    """Return or raise what `work` does, or raise DeliveryError once `timeout` seconds have passed.

    The work runs in its own thread, since neither a slow name server nor a server that sends one byte a second can be
    bounded from within. `where` names the server in the error.
    """
    deadline = Deadline(timeout)
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work(deadline))
        except BaseException as error:  # noqa: BLE001 - handed to the caller, whatever it is
            failure.append(error)

    worker = threading.Thread(target=run, name=THREAD_NAME, daemon=True)
    worker.start()
    worker.join(timeout)
    if worker.is_alive():
        deadline.end()  # ignore what the worker makes of the closed connection
    elif outcome:
        return outcome[0]
    elif not isinstance(failure[0], TimeoutError):
        raise failure[0]
    if deadline.begun:
        raise DeliveryError(f"{where} did not respond within {timeout:g} s; it may have the message")
    raise DeliveryError(f"{where} could not be reached within {timeout:g} s", rejected=True)
