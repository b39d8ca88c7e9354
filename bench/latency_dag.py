"""From a failed row's COMMIT to Slack's `ok` through a running Airflow: triggerer, asset event, DAG `jobmon_alerts`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

import psycopg

from bench.environment import BenchEnvironment, bench_environment
from bench.figures import Figure, percentile
from bench.latency_listen import FAILED
from bench.sink import Sink
from demo.ports import free_port
from demo.standalone import Standalone, environment

ALERTS = 100
WARM_UP = 10
_PAUSE = (0.5, 2.5)
"""Seconds from one alert's acceptance to the next failure: each is an event and a DAG run of its own."""


def measure(say: Callable[[str], None]) -> Sequence[Figure]:
    with bench_environment() as place:
        database, sink = place.create_database("ours"), Sink()
        place.airflow("jobmon", "migrate", "--create-jobs-log", env=place.environment("ours"))
        place.create_database("airflow")
        airflow = _start(place, sink)
        try:
            say("starting Airflow")
            airflow.wait_until_healthy(240, lambda part: say(f"{part} is healthy"))
            with psycopg.connect(database, autocommit=True) as conn:
                say("waiting for the watcher in the triggerer")
                airflow.wait_for(lambda: _watched(conn), 120, lambda: "a watcher in the triggerer")
                say(f"{WARM_UP} alerts to warm up, then {ALERTS}")
                _series(conn, sink, "warm", WARM_UP)
                seconds = _series(conn, sink, "quiet", ALERTS)
        finally:
            airflow.program.stop()
    p50, p95 = percentile(seconds, 0.5), percentile(seconds, 0.95)
    return [
        Figure("commit to Slack accepted, triggerer and DAG, warm: p50", "< 2.5 s", f"{p50:.2f} s", holds=p50 < 2.5),
        Figure("the same: p95 (max)", "< 6 s", f"{p95:.2f} s ({max(seconds):.2f} s)", holds=p95 < 6),
    ]


def _start(place: BenchEnvironment, sink: Sink) -> Standalone:
    host, _ = sink.url.rsplit("/", 1)
    env = environment(
        place.directory / "airflow-home",
        port=free_port(),
        metadata_uri=place.server.uri("airflow").replace("postgres://", "postgresql+psycopg2://"),
        jobs_uri=place.server.uri("ours"),
        webhook_host=host,
        smtp_port=0,
    )
    ours = place.environment("ours", sink.url)
    env |= {name: ours[name] for name in ours if "JOBMON" in name or name.startswith("AIRFLOW_CONN_")}
    env["AIRFLOW__JOBMON__SWEEP_INTERVAL"] = "30s"
    return Standalone(env, place.directory / "standalone.log")


def _watched(conn: psycopg.Connection) -> bool:
    return conn.execute("SELECT FROM airflow_jobmon.watchers WHERE kind = 'trigger'").fetchone() is not None


def _series(conn: psycopg.Connection, sink: Sink, series: str, count: int) -> list[float]:
    seconds = []
    for number in range(count):
        name = f"bench-{series}-{number}"
        conn.execute(FAILED, [name])
        committed = time.monotonic()
        sink.wait_for(name, timeout=60)
        seconds.append(sink.accepted[name] - committed)
        time.sleep(random.uniform(*_PAUSE))
    return seconds
