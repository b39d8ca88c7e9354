"""What is asked of a hub: waits for one run, and watches over the successes of a job."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.successes import Mark, Seen, moved, news
from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.errors import JobmonError


class RunBoard:
    """Who waits for a run; equal waits are looked up once."""

    def __init__(self) -> None:
        self._waits: dict[Wait, set[asyncio.Future[Run]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waits)

    def join(self, wait: Wait) -> asyncio.Future[Run]:
        answer: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        self._waits.setdefault(wait, set()).add(answer)
        return answer

    def leave(self, wait: Wait, answer: asyncio.Future[Run]) -> None:
        answers = self._waits.get(wait, set())
        answers.discard(answer)
        if not answers:
            self._waits.pop(wait, None)

    async def look(self, conn: Any, database: Any) -> None:
        if not self._waits:
            return
        for wait, found in (await database.finished_runs(conn, list(self._waits))).items():
            for answer in self._waits.pop(wait, ()):
                if isinstance(found, JobmonError):
                    _refuse(answer, found)
                elif not answer.done():
                    answer.set_result(found)

    def fail(self, error: Exception) -> None:
        """Nobody looks any more: everyone gets the error."""
        for answers in self._waits.values():
            for answer in answers:
                _refuse(answer, error)
        self._waits.clear()


@dataclass(frozen=True, slots=True)
class Announcement:
    """The newest of `successes` that came since the last announcement."""

    run: Run
    successes: int


class Watch:
    """One watch over the successes of a job; `mark` is None until what was announced before has been read."""

    def __init__(self, job_name: str) -> None:
        self.job_name = job_name
        self.mark: Mark | None = None
        self.fingerprint: int | None = None
        self.quiet_until = 0.0
        self.unwritten = False
        self._told: asyncio.Queue[Announcement | Exception] = asyncio.Queue()

    def see(self, fingerprint: int, seen: Seen, *, quiet_until: float) -> None:
        """Take in what the log shows; a job that was never watched before begins with what is there, untold."""
        first = self.mark is None
        mark = self.mark or Mark()
        fresh = [] if first else news(seen, mark)
        if fresh:
            self._told.put_nowait(Announcement(fresh[0], len(fresh)))
            self.quiet_until = quiet_until
        self.mark, self.fingerprint = moved(mark, seen), fingerprint
        self.unwritten = self.unwritten or self.mark != mark or first

    def fail(self, error: Exception) -> None:
        self._told.put_nowait(error)

    async def next(self) -> Announcement:
        told = await self._told.get()
        if isinstance(told, Exception):
            raise told
        return told


class SuccessBoard:
    """The watches of a hub, and what the database remembers of them.

    quiet: seconds between two announcements of one job. Airflow takes some 24 ms to write one event, so a busy job must
    not fill its queue; and at the end of it the event has left this process, so only then is it marked as announced: a
    process killed before announces it again.
    """

    def __init__(self, quiet: float) -> None:
        self._quiet = quiet
        self._watches: list[Watch] = []

    def __bool__(self) -> bool:
        return bool(self._watches)

    def join(self, job_name: str) -> Watch:
        watch = Watch(job_name)
        self._watches.append(watch)
        return watch

    def leave(self, watch: Watch) -> None:
        with suppress(ValueError):
            self._watches.remove(watch)

    async def look(self, conn: Any, database: Any, now: float) -> None:
        watches = [watch for watch in self._watches if watch.quiet_until <= now]
        if not watches:
            return
        await self._read_marks([watch for watch in watches if watch.mark is None], conn, database)
        await self._write_marks(watches, conn, database)
        asked = [
            database.SuccessesLookedFor(watch.job_name, watch.mark and watch.mark.floor, watch.fingerprint)
            for watch in watches
        ]
        for position, (fingerprint, seen) in (await database.changed_successes(conn, asked)).items():
            watches[position].see(fingerprint, seen, quiet_until=now + self._quiet)
        # What was told is marked when its quiet time is over; what needed no telling, now.
        await self._write_marks([watch for watch in watches if watch.quiet_until <= now], conn, database)

    async def _read_marks(self, watches: list[Watch], conn: Any, database: Any) -> None:
        if watches:
            marks = await database.read_marks(conn, [watch.job_name for watch in watches])
            for watch in watches:
                watch.mark = marks.get(watch.job_name)

    async def _write_marks(self, watches: list[Watch], conn: Any, database: Any) -> None:
        for watch in watches:
            if watch.unwritten and watch.mark is not None:
                await database.write_mark(conn, watch.job_name, watch.mark)
                watch.unwritten = False

    def fail(self, error: Exception) -> None:
        for watch in self._watches:
            watch.fail(error)
        self._watches.clear()


def _refuse(answer: asyncio.Future[Run], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
