"""From a failed row's COMMIT to Slack's `ok`: `airflow jobmon listen` beside the procedures' Node listener.

Both watch databases of the same server, each with its own trigger. Failures alternate between them, so that neither is
measured while the other works.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import psycopg

from bench.environment import BenchEnvironment, BenchFailed, airflow_program, bench_environment
from bench.figures import Figure, milliseconds, percentile
from bench.peer import node
from bench.sink import Sink

ALERTS = 200
_HISTORY = """
INSERT INTO public.jobs_log (job_name, started_at, completed_at, records_updated, status)
SELECT 'bench-' || series || '-' || n, at, at + interval '12 seconds', 40, 'success'
FROM generate_series(0, {last}) AS n,
    generate_series(clock_timestamp() - interval '90 days', clock_timestamp(), interval '1 day') AS at,
    unnest(ARRAY['quiet', 'busy', 'warm']) AS series
"""
FAILED = """
INSERT INTO public.jobs_log (job_name, started_at, completed_at, status, error_message)
VALUES (%s, clock_timestamp() - interval '10 seconds', clock_timestamp(), 'failed', 'connection to billing timed out')
"""


def measure(say: Callable[[str], None]) -> Sequence[Figure]:
    with bench_environment() as place, ExitStack() as running:
        ours, theirs = Sink(), Sink()
        our_database, their_database = place.create_database("ours"), node.prepare_database(place, "theirs")
        say("migrating, loading 90 days of history for 600 jobs")
        place.airflow("jobmon", "migrate", "--create-jobs-log", env=place.environment("ours"))
        for conninfo in (our_database, their_database):
            with psycopg.connect(conninfo, autocommit=True) as conn:
                conn.execute(_HISTORY.format(last=ALERTS).encode())
                conn.execute("VACUUM ANALYZE")
        say("starting both listeners")
        running.enter_context(listening(place, ours))
        running.enter_context(node.listening(place, "theirs", theirs))
        conns = [running.enter_context(psycopg.connect(it, autocommit=True)) for it in (our_database, their_database)]
        sides = list(zip(conns, (ours, theirs), strict=True))
        _series("warm", 20, sides, lambda: 0.02)
        figures: list[Figure] = []
        for series, words, pause in (
            ("quiet", "one after the other", lambda: 0.02),
            ("busy", "every 50 to 300 ms", lambda: random.uniform(0.05, 0.3)),
        ):
            say(f"{ALERTS} alerts each, {words}")
            figures += _figures(words, _series(series, ALERTS, sides, pause))
        return figures


@contextmanager
def listening(place: BenchEnvironment, sink: Sink, database: str = "ours") -> Iterator[None]:
    """`airflow jobmon listen`, watching, until the end of the block."""
    env = place.environment(database, sink.url)
    with place.running("listen", [airflow_program(), "jobmon", "listen"], env) as log:
        deadline = time.monotonic() + 60
        while "watching by LISTEN" not in log.read_text():
            if time.monotonic() > deadline:
                raise BenchFailed(f"`airflow jobmon listen` does not watch: {log.read_text()[-500:]}")
            time.sleep(0.05)
        yield


Side = tuple[psycopg.Connection, Sink]


def _series(
    series: str, count: int, sides: Sequence[Side], pause: Callable[[], float]
) -> list[tuple[list[float], list[float]]]:
    """For each side, seconds from COMMIT to the request received, and to its acceptance."""
    found: list[tuple[list[float], list[float]]] = [([], []) for _ in sides]
    for number in range(count):
        name = f"bench-{series}-{number}"
        for (conn, sink), (received, accepted) in zip(sides, found, strict=True):
            conn.execute(FAILED, [name])
            committed = time.monotonic()
            sink.wait_for(name)
            received.append(sink.received[name] - committed)
            accepted.append(sink.accepted[name] - committed)
            time.sleep(pause())
    return found


def _figures(words: str, found: Sequence[tuple[list[float], list[float]]]) -> Iterator[Figure]:
    (received, accepted), (_, their_accepted) = found
    p50, p95, their_p50 = percentile(accepted, 0.5), percentile(accepted, 0.95), percentile(their_accepted, 0.5)
    yield Figure(
        f"commit to Slack accepted, `listen`, {words}: p50",
        "< 10 ms, <= 3 x peer",
        milliseconds(p50),
        f"{milliseconds(their_p50)} (Node listener)",
        f"{p50 / their_p50:.2f}",
        p50 < 0.010 and p50 <= 3 * their_p50,
    )
    yield Figure(
        f"the same, {words}: p95",
        "< 30 ms",
        milliseconds(p95),
        milliseconds(percentile(their_accepted, 0.95)),
        f"{p95 / percentile(their_accepted, 0.95):.2f}",
        p95 < 0.030,
    )
    yield Figure(
        f"the same, {words}: max (received p50)",
        "",
        f"{milliseconds(max(accepted))} ({milliseconds(percentile(received, 0.5))})",
        milliseconds(max(their_accepted)),
    )
