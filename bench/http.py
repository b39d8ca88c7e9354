"""The data routes over 10,000 jobs, asked over HTTP, against the client library and the procedures' own queries."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from airflow_jobmon.judging import check_and_record
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.days import seal_days
from airflow_jobmon.prometheus import gauges
from airflow_jobmon.settings import Settings
from bench.figures import Figure, milliseconds
from bench.ground import BenchFailed, Ground, ground
from demo.ports import free_port

JOBS, RUNS = 10_000, 40
TOKEN = "a-token-for-this-measurement"

_LOAD = """
INSERT INTO public.jobs_log (job_name, started_at, completed_at, records_updated, status)
SELECT 'job-' || job, at, at + interval '12 seconds', 40, CASE WHEN random() < 0.01 THEN 'failed' ELSE 'success' END
FROM generate_series(1, %(runs)s::int) AS n, generate_series(1, %(jobs)s::int) AS job,
    LATERAL (SELECT clock_timestamp() - n * interval '1 day' + interval '1 hour') AS moment (at)
"""
_PANELS = (
    (
        "SELECT date(started_at), round(100.0 * count(*) FILTER (WHERE status = 'success') / count(*), 2)"
        " FROM public.jobs_log WHERE job_name = %s AND started_at > now() - interval '30 days' GROUP BY 1 ORDER BY 1"
    ),
    (
        "SELECT started_at, extract(epoch FROM completed_at - started_at)"
        " FROM public.jobs_log WHERE job_name = %s AND status = 'success' ORDER BY 1"
    ),
    (
        "SELECT date(started_at), sum(records_updated)"
        " FROM public.jobs_log WHERE job_name = %s AND status = 'success' GROUP BY 1 ORDER BY 1"
    ),
)
"""The procedures' three panels, which one answer of job-metrics holds."""


def measure(say: Callable[[str], None]) -> Sequence[Figure]:
    with ground() as place:
        conninfo = _prepared(place, say)
        port = free_port()
        serve: list[str | Path] = [
            sys.executable,
            "-m",
            "uvicorn",
            "--factory",
            "airflow_jobmon.web.app:make_app",
            "--port",
            str(port),
        ]
        env = place.environment("ours", AIRFLOW__JOBMON__API_TOKEN=TOKEN)
        with place.running("uvicorn", serve, env), _client(port) as client, closing(connect(conninfo)) as conn:
            _wait(client)
            say("asking")
            scrape = _median(lambda: _get(client, "/metrics"), 15)
            of_one = _median(lambda: _get(client, "/job-metrics?job_name=job-77"), 50)
            health = _median(lambda: _get(client, "/check-job-health?job_name=job-77"), 50)
            all_jobs = _median(lambda: _get(client, "/check-job-health"), 10)
            library = _median(lambda: generate_latest(_Collector(conn)), 3)
            panels = _median(lambda: [conn.execute(panel, ["job-77"]).fetchall() for panel in _PANELS], 50)
    return [
        Figure(
            f"GET /jobmon/metrics, {JOBS} jobs", "< 300 ms", milliseconds(scrape),
            f"{milliseconds(library)} (prometheus_client)", f"{library / scrape:.1f} x faster", scrape < 0.3,
        ),
        Figure(
            "GET /jobmon/job-metrics, one job", "< 30 ms", milliseconds(of_one),
            f"{milliseconds(panels)} (three panels, open connection)", f"{of_one / panels:.1f} x", of_one < 0.03,
        ),
        Figure("GET /jobmon/check-job-health, one job", "reported", milliseconds(health)),
        Figure(f"GET /jobmon/check-job-health, {JOBS} jobs", "reported", milliseconds(all_jobs)),
    ]  # fmt: skip


def _prepared(place: Ground, say: Callable[[str], None]) -> str:
    conninfo = place.create_database("ours")
    place.airflow("jobmon", "migrate", "--create-jobs-log", env=place.environment("ours"))
    say(f"loading {JOBS} jobs with {RUNS} runs each")
    with closing(connect(conninfo)) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(_LOAD, {"runs": RUNS, "jobs": JOBS})
        conn.execute("RESET session_replication_role")
        conn.execute("INSERT INTO airflow_jobmon.dirty DEFAULT VALUES")
        conn.execute("VACUUM ANALYZE public.jobs_log")
        say("counting days, and checking all jobs once")
        while seal_days(conn, most=timedelta(0)):
            pass
        check_and_record(conn, Settings())
        conn.execute("VACUUM ANALYZE airflow_jobmon.job_state")
    return conninfo


def _client(port: int) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60, trust_env=False
    )


def _wait(client: httpx.Client) -> None:
    for _ in range(600):
        try:
            if client.get("/metrics").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise BenchFailed("the app does not answer in a minute")


def _get(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    if answer.status_code not in {200, 503}:
        raise BenchFailed(f"{path}: {answer.status_code} {answer.text[:200]}")


class _Collector:
    """The same figures by the client library's own objects."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn

    def collect(self) -> Sequence[Metric]:
        families: list[Metric] = []
        for family in gauges(self._conn):
            made = GaugeMetricFamily(family.name, family.meaning, labels=["labels"])
            for labels, value in family.samples:
                made.add_metric([labels], value)
            families.append(made)
        return families


def _median(work: Callable[[], object], times: int) -> float:
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)
