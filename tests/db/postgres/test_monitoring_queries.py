"""Every query: by the package and by psql, over an empty log and a full one, for one job and for all."""

from __future__ import annotations

import csv
import io
import re
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from airflow_jobmon.core.rendering.csv_export import csv_text
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres import schema
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.monitoring_queries import bind_parameters, find_query, list_queries, plain_sql, run_query
from airflow_jobmon.postgres.queries import sql_directory
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.postgres_programs import find_bin
from tests.support.trigger_events import Conn

NAMES = [query.name for query in list_queries()]
QUERIES_FILE = Path(str(sql_directory() / "psql" / "queries.sql"))
HOSTILE = [
    pytest.param("it's", id="a quote"),
    pytest.param("x' OR '1'='1", id="an injection"),
    pytest.param('say "hi"', id="double quotes"),
    pytest.param("back\\slash\\", id="backslashes"),
    pytest.param(":'job_name'", id="a parameter"),
    pytest.param("%(job_name)s %s 100%", id="placeholders"),
    pytest.param("$$; DROP TABLE jobs_log; --", id="a statement"),
    pytest.param("two\nlines\tand a tab", id="two lines"),
    pytest.param("=1+1", id="a formula"),
    pytest.param("nächtlich 🚀", id="beyond ASCII"),
]


def psql(database: str, text: str, *options: str) -> str:
    done = subprocess.run(
        [str(find_bin() / "psql"), "-X", "-q", "--csv", "-v", "ON_ERROR_STOP=1", *options, "-f", "-", database],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={"PGTZ": "UTC", "PGCLIENTENCODING": "UTF8", "PGOPTIONS": "-c datestyle=ISO"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def alone(name: str) -> str:
    """queries.sql with this one query in it, as psql reads the file."""
    head, *parts = re.split(r"(?m)^(?=-- name:)", QUERIES_FILE.read_text(encoding="utf-8"))
    [part] = [part for part in parts if part.startswith(f"-- name: {name}\n")]
    return head + part


def by_psql(database: str, text: str, job_name: str | None) -> list[list[str]]:
    said = psql(database, text, *([] if job_name is None else ["-v", f"job_name={job_name}"]))
    return list(csv.reader(io.StringIO(said, newline="")))


def alike(written: str, value: Any) -> bool:
    """Whether psql's text is this value; values computed from the clock differ a little between the two."""
    if value is None or isinstance(value, str):
        return written == (value or "")
    if isinstance(value, datetime):
        return datetime.fromisoformat(written) == value
    if isinstance(value, date):
        return date.fromisoformat(written) == value
    return float(written) == pytest.approx(float(value), abs=0.02)


@pytest.fixture
def full(conn: Conn) -> Conn:
    """Forty days of three jobs with every kind of run; evaluated, with an open incident and an unsent alert."""
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, started_at, completed_at, records_updated, status, error_message)"
        " SELECT job, at, at + (10 + n % 7) * interval '1 second', nullif(n % 5, 4),"
        "   CASE WHEN n % 9 = 0 THEN 'failed' ELSE 'success' END,"
        "   CASE WHEN n % 9 = 0 THEN 'timeout after ' || n || ' s' END"
        " FROM generate_series(1, 80) n, unnest(ARRAY['sync', 'load', 'it''s']) job,"
        " LATERAL (SELECT now() - n * interval '12 hours' AS at) began"
    )
    log_run(conn, "load", "failed", error_message='=cmd|" /C calc"!A0')
    log_run(conn, "sync", "running")
    log_run(conn, "sync", "failed", error_message="TEST ALERT - please ignore")
    log_run(conn, "odd", "paused", datetime.now(UTC) + timedelta(days=2))
    check_and_record(conn, Settings(channels=("pager",)))
    return conn


@pytest.mark.parametrize("job_name", [None, "sync"])
def test_the_package_and_psql_run_every_query_on_an_empty_log(conn, database, job_name):
    for name in NAMES:
        columns, rows = run_query(conn, name, job_name)
        assert rows == []
        assert by_psql(database, alone(name), job_name) == [list(columns)]


@pytest.mark.parametrize("job_name", [None, "it's", "load"])
def test_the_package_and_psql_give_the_same_rows_on_a_full_log(full, database, job_name):
    for name in NAMES:
        columns, rows = run_query(full, name, job_name)
        header, *lines = by_psql(database, alone(name), job_name)
        assert (header, len(lines)) == (list(columns), len(rows))
        for line, row in zip(lines, rows, strict=True):
            assert all(alike(*pair) for pair in zip(line, row, strict=True)), (name, line, row)
        assert rows or job_name == "it's", f"{name} has nothing to compare"
        assert job_name is None or {row[columns.index("job_name")] for row in rows} <= {job_name}


def test_psql_runs_the_whole_file_at_once(full, database):
    for options in ([], ["-v", "job_name=sync"]):
        said = psql(database, QUERIES_FILE.read_text(encoding="utf-8"), *options)
        assert sum(",".join(run_query(full, name).columns) in said.splitlines() for name in NAMES) == len(NAMES)


@pytest.mark.parametrize("job_name", HOSTILE)
def test_a_hostile_name_is_only_a_name_to_the_package_to_psql_and_when_pasted(conn, database, job_name):
    log_run(conn, job_name, records_updated=7)
    log_run(conn, "other")
    ours = run_query(conn, "recent_executions", job_name)
    assert [(row[1], row[5]) for row in ours.rows] == [(job_name, 7)]
    assert [row[1] for row in by_psql(database, alone("recent_executions"), job_name)[1:]] == [job_name]
    pasted = conn.execute(plain_sql(find_query("recent_executions"), job_name).encode()).fetchall()
    assert [row[1] for row in pasted] == [job_name]
    [_, line] = list(csv.reader(io.StringIO(csv_text(*ours), newline="")))
    assert line[1] == ("'=1+1" if job_name == "=1+1" else job_name)


def test_each_query_is_plain_sql_for_any_editor(full):
    for name in NAMES:
        for job_name in (None, "it's"):
            pasted = full.execute(plain_sql(find_query(name), job_name).encode())
            ours = run_query(full, name, job_name)
            assert [column.name for column in pasted.description or ()] == list(ours.columns)
            assert len(pasted.fetchall()) == len(ours.rows)


def test_drills_appear_only_among_undelivered_alerts(full):
    found = [name for name in NAMES for row in run_query(full, name).rows if "test" in row or "TEST ALERT" in str(row)]
    assert set(found) == {"undelivered_alerts"}


def test_values_can_be_written_as_json_and_csv(full):
    for name in NAMES:
        for row in run_query(full, name).rows:
            assert {type(value) for value in row} <= {str, int, float, type(None), datetime, date}


def test_a_query_for_one_job_reads_only_that_job(conn):
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status)"
        " SELECT 'job ' || n % 200, now() - n * interval '1 minute', now(), 'failed' FROM generate_series(1, 10000) n"
    )
    conn.execute("ANALYZE public.jobs_log")
    for query in list_queries():
        asked = f"EXPLAIN {bind_parameters(query.statement)}".encode()
        plan = conn.execute(asked, {"job_name": "job 7"}).fetchall()
        assert not any("Seq Scan on jobs_log " in line for (line,) in plan), (query.name, plan)


def test_a_role_that_may_only_read_can_run_every_query(full, database):
    full.execute(schema.grants().encode())
    full.execute("DO $$ BEGIN CREATE ROLE dashboard LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    full.execute("GRANT jobmon_reader TO dashboard")
    with connect(make_conninfo(database, user="dashboard")) as reader:
        assert all(run_query(reader, name).rows for name in NAMES)
