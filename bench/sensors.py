"""1,000 waits for outside jobs in one event loop, as 1,000 deferred sensors make in a triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import psycopg

from airflow_jobmon.core.model.waits import Wait
from airflow_jobmon.waiting.run_poller import wait_for_run
from bench.environment import bench_environment
from bench.figures import Figure, milliseconds, percentile

WAITS = 1000
_DONE = """
INSERT INTO public.jobs_log (job_name, started_at, completed_at, status)
SELECT 'job-' || n, clock_timestamp() - interval '1 second', clock_timestamp(), 'success'
FROM generate_series(1, %s::int) AS n
"""
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'ours' AND pid <> pg_backend_pid()"


def measure(say: Callable[[str], None]) -> Sequence[Figure]:
    with bench_environment() as place:
        conninfo = place.create_database("ours")
        place.airflow("jobmon", "migrate", "--create-jobs-log", env=place.environment("ours"))
        say(f"{WAITS} waits in one loop")
        connections, woken = asyncio.run(_wait_and_wake(conninfo))
    last = max(woken)
    return [
        Figure(
            f"{WAITS} deferred waits: connections", "1", str(connections), f"{WAITS} (one each)", holds=connections == 1
        ),
        Figure(
            "the same: commit of all their runs to the last woken (p50)",
            "< 1 s",
            f"{milliseconds(last)} ({milliseconds(percentile(woken, 0.5))})",
            holds=last < 1,
        ),
    ]


async def _wait_and_wake(conninfo: str) -> tuple[int, list[float]]:
    """Connections in use while all wait, and for each wait the seconds from commit to wake-up."""

    async def resolve(conn_id: str) -> str:  # noqa: ARG001 - the signature that the poller calls
        return conninfo

    async def woken_at(job: int) -> float:
        wait = Wait(f"job-{job}", datetime.now(UTC) - timedelta(minutes=5), good_only=False, min_records=None)
        await wait_for_run(wait, conn_id="jobmon_default", resolve=resolve)
        return time.monotonic()

    tasks = [asyncio.create_task(woken_at(job)) for job in range(1, WAITS + 1)]
    await asyncio.sleep(3)  # all joined, and looked up several times
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
        row = await (await conn.execute(_CONNECTIONS)).fetchone()
        await conn.execute(_DONE, [WAITS])
        committed = time.monotonic()
    woken = await asyncio.gather(*tasks)
    return (row[0] if row else 0), [at - committed for at in woken]
