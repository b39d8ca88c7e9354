"""10,000 failures in 10 s: are all of them delivered, in how few messages, and how soon after the last?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import psycopg

from bench.environment import bench_environment
from bench.figures import Figure
from bench.latency_listen import listening
from bench.sink import Sink

FAILURES = 10_000
SECONDS = 10
_STEP = 0.1
_MANY = """
INSERT INTO public.jobs_log (job_name, started_at, completed_at, status, error_message)
SELECT 'bench-burst-' || n, clock_timestamp() - interval '10 seconds', clock_timestamp(), 'failed', 'cannot connect'
FROM generate_series(%s::int, %s::int) AS n
"""
_LEFT = "SELECT count(*) FROM airflow_jobmon.deliveries WHERE state <> 'sent'"
_DELIVERED = "SELECT count(DISTINCT job_name) FROM airflow_jobmon.deliveries WHERE state = 'sent'"


def measure(say: Callable[[str], None]) -> Sequence[Figure]:
    with bench_environment() as place, ExitStack() as running:
        sink, database = Sink(), place.create_database("ours")
        place.airflow("jobmon", "migrate", "--create-jobs-log", env=place.environment("ours"))
        running.enter_context(listening(place, sink))
        conn = running.enter_context(psycopg.connect(database, autocommit=True))
        say(f"{FAILURES} failures of as many jobs in {SECONDS} s")
        began = time.monotonic()
        each = int(FAILURES * _STEP / SECONDS)
        for step in range(FAILURES // each):
            conn.execute(_MANY, [step * each, (step + 1) * each - 1])
            time.sleep(max(began + (step + 1) * _STEP - time.monotonic(), 0))
        last = time.monotonic()
        say(f"all committed after {last - began:.1f} s; waiting until they are delivered")
        delivered, pending, drained = _drain(conn, last)
        return [
            Figure(
                f"{FAILURES} failures in {last - began:.0f} s: lost",
                "0",
                str(FAILURES - delivered + pending),
                holds=delivered == FAILURES and pending == 0,
            ),
            Figure("the same: messages", "<= 20", str(len(sink.messages)), holds=len(sink.messages) <= 20),
            Figure("the same: delivered after the last commit", "< 30 s", f"{drained:.1f} s", holds=drained < 30),
        ]


def _drain(conn: psycopg.Connection, last: float) -> tuple[int, int, float]:
    """Jobs delivered, deliveries left, and seconds from the last commit until nothing was left (at most 120)."""
    while True:
        delivered, left = (_number(conn, query) for query in (_DELIVERED, _LEFT))
        drained = time.monotonic() - last
        if (delivered == FAILURES and left == 0) or drained > 120:
            return delivered, left, drained
        time.sleep(0.2)


def _number(conn: psycopg.Connection, query: str) -> int:
    row = conn.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
