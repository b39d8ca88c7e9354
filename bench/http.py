"""Airflow's API server with our routes and page over 500 and 10,000 jobs, against the procedures' own queries."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import httpx
import psycopg
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from airflow_jobmon.metrics.prometheus import gauges
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.day_stats import seal_days
from airflow_jobmon.settings import Settings
from bench.environment import BenchEnvironment, BenchFailed, airflow_program, bench_environment
from bench.figures import Figure, milliseconds
from demo.ports import free_port

JOBS, FEW, RUNS = 10_000, 500, 40
"""FEW is also what one page shows."""
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
    with bench_environment() as place:
        place.airflow("db", "migrate", env=place.environment("ours"))
        return [*_many_jobs(place, say), *_page(place, say, FEW)]


def _many_jobs(place: BenchEnvironment, say: Callable[[str], None]) -> list[Figure]:
    conninfo = _prepared(place, say, JOBS)
    with _served(place, JOBS, say) as server, closing(connect(conninfo)) as conn:
        client = server.machine
        scrape = _median(lambda: _get(client, "/metrics"), 15)
        of_one = _median(lambda: _get(client, "/job-metrics?job_name=job-77"), 50)
        health = _median(lambda: _get(client, "/check-job-health?job_name=job-77"), 50)
        all_jobs = _median(lambda: _get(client, "/check-job-health"), 10)
        library = _median(lambda: generate_latest(_Collector(conn)), 3)
        panels = _median(lambda: _ask_panels(conn, ["job-77"]), 50)
        page = _page_figure(server, conn, JOBS)
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
        page,
    ]  # fmt: skip


def _page(place: BenchEnvironment, say: Callable[[str], None], jobs: int) -> list[Figure]:
    conninfo = _prepared(place, say, jobs)
    with _served(place, jobs, say) as server, closing(connect(conninfo)) as conn:
        return [_page_figure(server, conn, jobs)]


def _page_figure(server: _Server, conn: psycopg.Connection, jobs: int) -> Figure:
    """The first page, beside the procedures' panels for as many jobs as it shows."""
    took = _median(lambda: _get(server.person, "/"), 10)
    shown = [f"job-{number}" for number in range(1, min(jobs, FEW) + 1)]
    panels = _median(lambda: _ask_panels(conn, shown), 3)
    return Figure(
        f"the page, {jobs} jobs", "< 1 s", milliseconds(took),
        f"{milliseconds(panels)} (three panels for {len(shown)} jobs)", f"{panels / took:.1f} x faster", took < 1,
    )  # fmt: skip


def _ask_panels(conn: psycopg.Connection, jobs: Sequence[str]) -> None:
    for job in jobs:
        for panel in _PANELS:
            conn.execute(panel, [job]).fetchall()


def _prepared(place: BenchEnvironment, say: Callable[[str], None], jobs: int) -> str:
    name = _database(jobs)
    conninfo = place.create_database(name)
    place.airflow("jobmon", "migrate", "--create-jobs-log", env=place.environment(name))
    say(f"loading {jobs} jobs with {RUNS} runs each")
    with closing(connect(conninfo)) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(_LOAD, {"runs": RUNS, "jobs": jobs})
        conn.execute("RESET session_replication_role")
        conn.execute("INSERT INTO airflow_jobmon.dirty DEFAULT VALUES")
        conn.execute("VACUUM ANALYZE public.jobs_log")
        say("counting days, and checking all jobs once")
        while seal_days(conn, most=timedelta(0)):
            pass
        check_and_record(conn, Settings())
        conn.execute("VACUUM ANALYZE airflow_jobmon.job_state")
    return conninfo


def _database(jobs: int) -> str:
    return f"jobs_{jobs}"


class _Server(NamedTuple):
    """Two clients of one API server: by the machine token, and by a signed-in user's."""

    machine: httpx.Client
    person: httpx.Client


@contextmanager
def _served(place: BenchEnvironment, jobs: int, say: Callable[[str], None]) -> Iterator[_Server]:
    """Airflow's own API server, one worker, with a database of so many jobs."""
    port = free_port()
    env = place.environment(
        _database(jobs),
        AIRFLOW__JOBMON__API_TOKEN=TOKEN,
        AIRFLOW__API__HOST="127.0.0.1",
        AIRFLOW__API__PORT=str(port),
        AIRFLOW__API__WORKERS="1",
        AIRFLOW__API_AUTH__JWT_SECRET=TOKEN * 3,
        AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
    )
    serve: list[str | Path] = [airflow_program(), "api-server"]
    with place.running(f"api-server-{jobs}", serve, env), _client(port) as machine, _client(port) as person:
        _wait(machine)
        signed_in = person.get(f"http://127.0.0.1:{port}/auth/token").raise_for_status().json()
        person.headers = httpx.Headers({"Authorization": f"Bearer {signed_in['access_token']}", "Accept": "text/html"})
        say(f"asking, {jobs} jobs")
        yield _Server(machine, person)


def _client(port: int) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}/jobmon",
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=60,
        trust_env=False,
    )


def _wait(client: httpx.Client) -> None:
    for _ in range(1200):
        with suppress(httpx.TransportError):
            if client.get("/metrics").status_code == 200:
                return
        time.sleep(0.1)
    raise BenchFailed("the API server does not answer in two minutes")


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
