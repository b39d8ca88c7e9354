"""Bounding a sending as a whole, whatever the server does: time-outs of sockets only bound each single wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from airflow_jobmon.errors import DeliveryError

T = TypeVar("T")

THREAD_NAME = "jobmon-send"


class Closable(Protocol):
    """What ends a blocked read when it is called from another thread."""

    def __call__(self) -> object: ...


class Deadline:
    """When a sending must be over, and whether the message was already on its way by then.

    The worker calls `begin` right before the first byte of the message. After the end `begin` raises, so an attempt
    that was given up before it began can never deliver later.
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
        """Seconds left, never 0 or less: sockets read 0 as `do not wait` and refuse less."""
        return max(self._ends - time.monotonic(), 0.001)

    @property
    def passed(self) -> bool:
        return self._over or time.monotonic() >= self._ends

    def on_end(self, close: Closable) -> None:
        """What to call when the time is up, to wake a worker that is stuck in a read."""
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
            except (OSError, ValueError, AttributeError):  # closed meanwhile by the worker itself
                continue


def within(timeout: float, work: Callable[[Deadline], T], *, where: str) -> T:
    """What `work` returns or raises, or a DeliveryError once `timeout` seconds have passed.

    The work runs in a thread of its own, since neither a slow name server nor a server that drips one byte a second
    can be bounded from within. `where` names the server in the error.
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
        deadline.end()  # what the worker makes of a connection we shut is no answer
    elif outcome:
        return outcome[0]
    elif not isinstance(failure[0], TimeoutError):
        raise failure[0]
    if deadline.begun:
        raise DeliveryError(f"{where} did not answer within {timeout:g} s; it may have the message")
    raise DeliveryError(f"{where} could not be reached within {timeout:g} s", rejected=True)
