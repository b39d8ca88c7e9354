"""The view `history`: runs of the job log and of the archive as one, whatever the user's table is like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.trigger_events import Conn

NOON = datetime(2025, 11, 13, 12, tzinfo=UTC)
COLUMNS = "id, job_name, started_at, completed_at, records_updated, status, error_message"


def archive_all(conn: Conn) -> None:
    conn.execute(
        f"INSERT INTO airflow_jobmon.jobs_log_archive ({COLUMNS}, row)"
        f" SELECT {COLUMNS}, '{{}}' FROM airflow_jobmon.runs"
    )
    conn.execute("DELETE FROM public.jobs_log")


def history(conn: Conn, columns: str = "*") -> list[tuple[Any, ...]]:
    return conn.execute(f"SELECT {columns} FROM airflow_jobmon.history ORDER BY started_at, id").fetchall()


def test_a_run_looks_the_same_before_and_after_it_is_archived(conn):
    log_run(conn, "sync", started_at=NOON, records_updated=5)
    log_run(conn, "sync", "failed", NOON + timedelta(hours=1), error_message="boom")
    log_run(conn, "sync", "failed", NOON + timedelta(hours=2), error_message="TEST ALERT - ignore")
    log_run(conn, "sync", "failed", NOON + timedelta(hours=3))
    live = conn.execute("SELECT * FROM airflow_jobmon.runs ORDER BY started_at").fetchall()
    assert history(conn) == live
    archive_all(conn)
    assert history(conn) == live
    assert [drill for (drill,) in history(conn, "drill")] == [False, False, True, False]


@pytest.mark.parametrize(
    "mapping",
    [
        pytest.param("", id="plain text"),
        pytest.param('COLLATE "C"', id="another collation"),
    ],
)
def test_one_job_is_read_by_an_index_in_the_log_and_in_the_archive(empty_database, mapping):
    with connect(empty_database) as conn:
        conn.execute(
            f"CREATE TABLE public.jobs_log (id text {mapping} PRIMARY KEY, job_name varchar {mapping},"
            f" started_at timestamptz, completed_at timestamptz, status text {mapping}, error_message text {mapping})"
        )
        migrate(conn, Settings())
        conn.execute(
            "INSERT INTO public.jobs_log SELECT n, 'job ' || n % 200, now() - n * interval '1 minute', now(), 'success'"
            " FROM generate_series(1, 20000) n"
        )
        archive_all(conn)
        conn.execute(
            "INSERT INTO public.jobs_log (id, job_name, started_at, status)"
            " SELECT -n, 'job ' || n % 200, now(), 'failed' FROM generate_series(1, 20000) n"
        )
        conn.execute("ANALYZE")
        query = "SELECT id FROM airflow_jobmon.history WHERE job_name = 'job 7' ORDER BY started_at LIMIT 1"
        plan = "\n".join(line for (line,) in conn.execute(f"EXPLAIN {query}"))
        assert "Merge Append" in plan
        assert "Seq Scan" not in plan
        assert "Sort  " not in plan
        assert conn.execute(query).fetchall() == [("19807",)]


def test_the_history_follows_a_changed_mapping(conn):
    conn.execute(
        "CREATE TABLE public.other (id int, name text, started_at timestamptz, completed_at timestamptz, status text)"
    )
    conn.execute("INSERT INTO public.other VALUES (1, 'nightly', now(), now(), 'broken')")
    log_run(conn, "sync", started_at=NOON)
    archive_all(conn)
    words = {"failed": ("broken",)}
    migrate(conn, Settings(jobs_log_table="public.other", jobs_log_columns={"job_name": "name"}, status_words=words))
    assert history(conn, "job_name, status") == [("sync", "success"), ("nightly", "failed")]


def test_archiving_does_not_change_the_views_and_their_figures(conn):
    for day in range(5):
        log_run(conn, "sync", "failed" if day == 2 else "success", datetime.now(UTC) - timedelta(days=day + 1))
    views = ["recent_executions", "success_rate", "failed_jobs", "performance_metrics", "daily_metrics"]
    before = [sorted(conn.execute(f"SELECT * FROM airflow_jobmon.{view}").fetchall(), key=str) for view in views]
    archive_all(conn)
    assert [
        sorted(conn.execute(f"SELECT * FROM airflow_jobmon.{view}").fetchall(), key=str) for view in views
    ] == before
    assert all(before)
