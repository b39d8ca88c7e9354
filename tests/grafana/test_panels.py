"""Every panel's SQL on a real Postgres, as Grafana sends it, by a read-only role."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg.rows import dict_row

from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres import schema
from airflow_jobmon.settings import Settings
from tests.support.database_rows import add_alert
from tests.support.grafana_macros import PANELS, View, every_query, expand, link_of, sql_of
from tests.support.hostile_alerts import NASTY
from tests.support.logged_runs import log_run

NOW = datetime.now(UTC)
YESTERDAY = (NOW - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
HOSTILE = [
    *(name for name in NASTY if "\x00" not in name and "\ud800" not in name),
    "it's",
    "'; DROP TABLE public.jobs_log; --",
    "back\\slash'",
    "$__timeFilter(started_at)",
    "$job ${job:raw} $__interval",
    "$unknown(1)",
    "$$",
    "All",
    "$__all",
]


@pytest.fixture
def reader(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """The connection; after `SET ROLE` it has the privileges of jobmon_reader only."""
    conn.execute(schema.grants())
    return conn


def ask(conn: psycopg.Connection[Any], sql: str, view: View) -> list[dict[str, Any]]:
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SET LOCAL ROLE jobmon_reader")
        cursor.execute("SET TRANSACTION READ ONLY")
        return cursor.execute(expand(sql, view).encode()).fetchall()


def panel(conn: psycopg.Connection[Any], title: str, view: View | None = None) -> list[dict[str, Any]]:
    return ask(conn, sql_of(PANELS[title]), view or View())


def by_day(rows: list[dict[str, Any]]) -> dict[date, Any]:
    return {row["time"].astimezone(UTC).date(): row["value"] for row in rows}


@pytest.fixture
def full(reader: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Ten days of a healthy job and of a job that failed and whose alert was sent."""
    for days in range(10):
        started = YESTERDAY - timedelta(days=days)
        log_run(reader, "load", started_at=started, seconds=10 + days, records_updated=days)
        log_run(reader, "sync", "failed" if days < 2 else "success", started, seconds=4, error_message="boom")
    log_run(reader, "sync", "success", YESTERDAY - timedelta(hours=2), seconds=4)
    log_run(reader, "load", "running", NOW - timedelta(minutes=1))
    check_and_record(reader, Settings(channels=("slack", "mail")))
    add_alert(reader, "sync", "slack", "mail")
    log_run(reader, "load", "failed", NOW - timedelta(hours=1), error_message="TEST ALERT - ignore")
    reader.execute("UPDATE airflow_jobmon.deliveries SET state = 'sent', sent_at = now() WHERE channel = 'slack'")
    reader.execute("UPDATE airflow_jobmon.deliveries SET state = 'dead', last_error = '550' WHERE channel = 'mail'")
    return reader


@pytest.mark.parametrize("days", [pytest.param(0.01, id="minutes"), pytest.param(400, id="all history")])
@pytest.mark.parametrize(("name", "sql"), [pytest.param(*query, id=query[0]) for query in every_query()])
def test_each_query_runs_on_an_empty_log(reader, name, sql, days):
    found = ask(reader, sql, View(days=days))
    if name == "Now":
        assert set(found[0].values()) == {0}
    else:
        assert found == []


def test_each_query_returns_rows_on_a_log_with_runs(full):
    for name, sql in every_query():
        for jobs in (None, ["sync"], ["load", "sync"]):
            assert ask(full, sql, View(jobs)), f"{name} for {jobs}"


def test_charts_query_time_metric_and_value(full):
    charts = [one for one in PANELS.values() if one["targets"][0]["format"] == "time_series"]
    assert len(charts) == 4
    for chart in charts:
        rows = ask(full, sql_of(chart), View())
        assert [*rows[0]] == ["time", "metric", "value"]
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def test_the_success_rate_is_shown_per_day(full):
    rates = by_day(panel(full, "Job Success Rate", View(["sync"])))
    assert rates[YESTERDAY.date()] == 50.0
    assert rates[YESTERDAY.date() - timedelta(days=1)] == 0.0
    assert rates[YESTERDAY.date() - timedelta(days=5)] == 100.0


def test_durations_average_successes_per_interval(full):
    by_hour = panel(full, "Execution Duration Trend", View(["load"]))
    assert [float(row["value"]) for row in by_hour] == [float(10 + days) for days in reversed(range(10))]
    (together,) = panel(full, "Execution Duration Trend", View(["load"], interval="500d"))[-1:]
    assert float(together["value"]) == 14.5


def test_records_are_summed_per_day(full):
    records = by_day(panel(full, "Records Updated per Day", View(["load"])))
    assert records[YESTERDAY.date() - timedelta(days=3)] == 3


def test_a_day_is_green_yellow_or_red_on_the_strip(full):
    strip = by_day(panel(full, "Last 30 days", View(["sync"])))
    assert [strip[YESTERDAY.date() - timedelta(days=days)] for days in (0, 1, 2)] == [1, 2, 0]


def test_the_first_row_shows_the_current_counts(full):
    (now,) = panel(full, "Now")
    assert now["Critical"] == 1
    assert now["Open incidents"] >= 1
    assert now["Alerts refused"] >= 1
    assert now["Watchers"] == 0
    (chosen,) = panel(full, "Now", View(["load"]))
    assert (chosen["Critical"], chosen["Open incidents"], chosen["Alerts refused"]) == (0, 0, 0)


def test_the_worst_job_comes_first_and_its_incident_shows_which_channels_were_notified(full):
    assert [row["Job"] for row in panel(full, "Jobs")] == ["sync", "load"]
    (incident,) = panel(full, "Open incidents")
    assert (incident["Job"], incident["Kind"]) == ("sync", "failed")
    assert incident["Notified"] in {"no one", "mail: dead, slack: sent"}


def test_runs_include_running_ones_and_no_drills(full):
    since_yesterday = (datetime.now(UTC) - YESTERDAY) / timedelta(days=1)
    runs = panel(full, "Recent runs", View(["load"], days=since_yesterday + 0.25))
    assert [row["Status"] for row in runs] == ["running", "success"]
    assert len(panel(full, "Recent runs")) == 22


def test_each_delivery_shows_how_it_ended(full):
    states = {row["Channel"]: (row["State"], row["Error"]) for row in panel(full, "Alerts and deliveries")}
    assert states == {"slack": ("sent", None), "mail": ("dead", "550")}


@pytest.fixture
def hostile(reader: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    for name in HOSTILE:
        log_run(reader, name, started_at=YESTERDAY, records_updated=1)
    check_and_record(reader, Settings())
    return reader


def test_a_job_with_any_name_can_be_chosen(hostile):
    options = [row["replace"] for row in ask(hostile, dict(every_query())["variable job"], View())]
    assert len(options) == len(HOSTILE)
    found = [
        [row["Job"] for row in panel(hostile, "Jobs", View([option]))]
        + [row["metric"] for row in panel(hostile, "Job Success Rate", View([option]))]
        for option in options
    ]
    assert sorted(found) == sorted([name, name] for name in HOSTILE)


@pytest.mark.parametrize("title", ["Jobs", "Open incidents", "Recent runs", "Alerts and deliveries"])
def test_the_link_beside_a_job_chooses_a_job_with_any_name(reader, title):
    for name in HOSTILE:
        log_run(reader, name, "failed", YESTERDAY)
    check_and_record(reader, Settings(channels=("slack",)))
    for name in HOSTILE:
        add_alert(reader, name, "slack")
    options = [row["replace"] for row in ask(reader, dict(every_query())["variable job"], View())]
    rows = panel(reader, title)
    assert {row["Job"] for row in rows} == set(HOSTILE)
    for row in rows:
        (chosen,) = parse_qs(urlsplit(link_of(PANELS[title], "Job", row)).query, strict_parsing=True)["var-job"]
        assert chosen in options
        assert {shown["Job"] for shown in panel(reader, title, View([chosen]))} == {row["Job"]}


def test_choosing_every_job_is_the_same_as_choosing_all(hostile):
    options = [row["replace"] for row in ask(hostile, dict(every_query())["variable job"], View())]
    for name, sql in every_query():
        assert ask(hostile, sql, View(options, NOW)) == ask(hostile, sql, View(None, NOW)), name


def test_no_query_needs_more_than_the_reader_may_see(reader):
    with reader.transaction():
        reader.execute("SET LOCAL ROLE jobmon_reader")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), reader.transaction():
            reader.execute("SELECT FROM public.jobs_log")


def test_the_runs_of_a_few_jobs_are_found_by_index(conn):
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status)"
        " SELECT 'job ' || n % 200, now() - n * interval '1 minute', now(), 'success' FROM generate_series(1, 10000) n"
    )
    check_and_record(conn, Settings())
    conn.execute("ANALYZE")
    for title in ("Recent runs", "Execution Duration Trend"):
        sql = expand(sql_of(PANELS[title]), View(["job 7", "job 8"], days=1))
        plan = conn.execute(f"EXPLAIN {sql}".encode()).fetchall()
        assert not any("Seq Scan on jobs_log " in line for (line,) in plan), plan
