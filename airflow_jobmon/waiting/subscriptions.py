"""The subscriptions of a poller: to one run (sensors), and to every success of a job (success assets)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.successes import RecentSuccesses, SuccessLookup, SuccessMark, advanced, new_successes
from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.errors import JobmonError
from airflow_jobmon.waiting.run_queries import RunQueries

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.AsyncConnection[Any]


class RunSubscriptions:
    """The waits for one run each; equal waits are looked up once."""

    def __init__(self) -> None:
        self._waits: dict[Wait, set[asyncio.Future[Run]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waits)

    def add(self, wait: Wait) -> asyncio.Future[Run]:
        future: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self._waits.setdefault(wait, set()).add(future)
        return future

    def remove(self, wait: Wait, future: asyncio.Future[Run]) -> None:
        futures = self._waits.get(wait, set())
        futures.discard(future)
        if not futures:
            self._waits.pop(wait, None)

    async def poll(self, conn: Connection, queries: RunQueries) -> None:
        if not self._waits:
            return
        for wait, found in (await queries.finished_runs(conn, list(self._waits))).items():
            for future in self._waits.pop(wait, ()):
                if isinstance(found, JobmonError):
                    _set_exception(future, found)
                elif not future.done():
                    future.set_result(found)

    def fail(self, error: Exception) -> None:
        """End every wait with this error; the poller has stopped."""
        for futures in self._waits.values():
            for future in futures:
                _set_exception(future, error)
        self._waits.clear()


@dataclass(frozen=True, slots=True)
class NewSuccesses:
    """The successes of a job since the previous notification: how many, and the newest."""

    newest: Run
    count: int


class SuccessSubscription:
    """One subscription to the successes of a job; `mark` is None until it is read from the database."""

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name
        self.mark: SuccessMark | None = None
        self.fingerprint: int | None = None
        self.quiet_until = 0.0
        self.mark_unsaved = False
        self._notifications: asyncio.Queue[NewSuccesses | Exception] = asyncio.Queue()

    @property
    def floor(self) -> datetime | None:
        return None if self.mark is None else self.mark.floor

    def update(self, fingerprint: int, recent: RecentSuccesses, *, quiet_until: float) -> None:
        """Notify of the new successes; for a job without a mark, the existing ones are not new."""
        first = self.mark is None
        mark = self.mark or SuccessMark()
        new = [] if first else new_successes(recent, mark)
        if new:
            self._notifications.put_nowait(NewSuccesses(new[0], len(new)))
            self.quiet_until = quiet_until
        self.mark, self.fingerprint = advanced(mark, recent), fingerprint
        self.mark_unsaved = self.mark_unsaved or self.mark != mark or first

    def fail(self, error: Exception) -> None:
        self._notifications.put_nowait(error)

    async def next(self) -> NewSuccesses:
        notification = await self._notifications.get()
        if isinstance(notification, Exception):
            raise notification
        return notification


class SuccessSubscriptions:
    """The subscriptions to successes, and their marks in the database.

    quiet: seconds between two notifications of one job. Airflow takes some 24 ms to write one event, so a busy job must
    not fill its queue. After these seconds the event has left this process, so only then is its mark saved: a process
    killed before that notifies again after its restart.
    """

    def __init__(self, quiet: float) -> None:
        self._quiet = quiet
        self._subscriptions: list[SuccessSubscription] = []

    def __bool__(self) -> bool:
        return bool(self._subscriptions)

    def add(self, job_name: str) -> SuccessSubscription:
        subscription = SuccessSubscription(job_name)
        self._subscriptions.append(subscription)
        return subscription

    def remove(self, subscription: SuccessSubscription) -> None:
        with suppress(ValueError):
            self._subscriptions.remove(subscription)

    async def poll(self, conn: Connection, queries: RunQueries, now: float) -> None:
        due = [subscription for subscription in self._subscriptions if subscription.quiet_until <= now]
        if not due:
            return
        await _read_marks(due, conn, queries)
        await _save_marks(due, conn, queries)
        lookups = [
            SuccessLookup(subscription.job_name, subscription.floor, subscription.fingerprint) for subscription in due
        ]
        for position, (fingerprint, recent) in (await queries.changed_successes(conn, lookups)).items():
            due[position].update(fingerprint, recent, quiet_until=now + self._quiet)
        # Those just notified save their mark after their quiet time; the others save it now.
        await _save_marks([subscription for subscription in due if subscription.quiet_until <= now], conn, queries)

    def fail(self, error: Exception) -> None:
        """End every subscription with this error; the poller has stopped."""
        for subscription in self._subscriptions:
            subscription.fail(error)
        self._subscriptions.clear()


async def _read_marks(subscriptions: Sequence[SuccessSubscription], conn: Connection, queries: RunQueries) -> None:
    unread = [subscription for subscription in subscriptions if subscription.mark is None]
    if unread:
        marks = await queries.read_marks(conn, [subscription.job_name for subscription in unread])
        for subscription in unread:
            subscription.mark = marks.get(subscription.job_name)


async def _save_marks(subscriptions: Sequence[SuccessSubscription], conn: Connection, queries: RunQueries) -> None:
    for subscription in subscriptions:
        if subscription.mark_unsaved and subscription.mark is not None:
            await queries.write_mark(conn, subscription.job_name, subscription.mark)
            subscription.mark_unsaved = False


def _set_exception(future: asyncio.Future[Run], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
