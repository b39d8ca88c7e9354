"""Stored counts of days always equal a plain count of the log, whatever happens to the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.day_stats import days, seal_days
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.moments import noon
from tests.support.trigger_events import Conn

PLAIN = """
SELECT job_name, (started_at AT TIME ZONE 'UTC')::date, count(*), count(*) FILTER (WHERE status = 'success'),
    count(*) FILTER (WHERE status = 'failed'), sum(records_updated) FILTER (WHERE status = 'success'),
    max(extract(epoch FROM completed_at - started_at)::float8) FILTER (WHERE status = 'success'),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY CASE WHEN status = 'success'
        THEN extract(epoch FROM completed_at - started_at)::float8 END)
FROM airflow_jobmon.history WHERE NOT drill GROUP BY 1, 2 ORDER BY 1, 2
"""
DAYS = """
SELECT job_name, day, total_runs, successful_runs, failed_runs, records_sum, duration_max, duration_median
FROM airflow_jobmon.days ORDER BY 1, 2
"""
WINDOWS = """
SELECT job, edge, finished, succeeded
FROM (SELECT DISTINCT job_name FROM airflow_jobmon.runs) AS jobs (job),
    generate_series(now() - interval '12 days 1 hour', now(), interval '19 hours') AS edge, LATERAL ({}) counted
ORDER BY 1, 2
"""
WINDOW = "SELECT * FROM airflow_jobmon.finished_since(job, edge)"
PLAIN_WINDOW = """
SELECT count(*) AS finished, count(*) FILTER (WHERE status = 'success') AS succeeded FROM airflow_jobmon.history r
WHERE r.job_name = job AND status IN ('success', 'failed') AND started_at > edge AND NOT drill
"""


def seal_all(conn: Conn, most: int = 2000) -> int:
    """Seal until there is nothing to do; the number of steps that did something."""
    for steps in range(most):
        if not conn.execute("SELECT airflow_jobmon.seal()").fetchone()[0]:
            return steps
    raise AssertionError(f"{most} steps were not enough")


def seal_some(conn: Conn, steps: int) -> None:
    for _ in range(steps):
        conn.execute("SELECT airflow_jobmon.seal()")


def sealed_through(conn: Conn) -> Any:
    return conn.execute("SELECT sealed_through FROM airflow_jobmon.sealed_range").fetchone()


def check(conn: Conn) -> None:
    """One snapshot for both."""
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert conn.execute(DAYS).fetchall() == conn.execute(PLAIN).fetchall()
        assert conn.execute(WINDOWS.format(WINDOW)).fetchall() == conn.execute(WINDOWS.format(PLAIN_WINDOW)).fetchall()


@pytest.fixture
def sealed(conn: Conn) -> Conn:
    """Two jobs over twelve days, all sealed that can be."""
    for job in ("sync", "load"):
        for ago in range(12):
            log_run(conn, job, "failed" if ago == 5 else "success", noon(ago), seconds=10 + ago, records_updated=ago)
    assert seal_all(conn) > 50
    return conn


def sealed_count(conn: Conn) -> int:
    return conn.execute("SELECT count(*) FROM airflow_jobmon.sealed_days").fetchone()[0]


def test_days_are_sealed_48_hours_after_they_began(sealed):
    assert sealed_through(sealed) == ((datetime.now(UTC) - timedelta(days=2)).date(),)
    assert sealed_count(sealed) == 20
    check(sealed)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("UPDATE public.jobs_log SET status = 'failed' WHERE started_at < current_date - 4", id="edit"),
        pytest.param("UPDATE public.jobs_log SET job_name = 'renamed' WHERE job_name = 'load'", id="rename"),
        pytest.param("UPDATE public.jobs_log SET started_at = started_at + interval '3 days'", id="move"),
        pytest.param("UPDATE public.jobs_log SET started_at = started_at - interval '999 d'", id="move out of reach"),
        pytest.param("DELETE FROM public.jobs_log WHERE started_at < now() - interval '6 days'", id="delete"),
        pytest.param("DELETE FROM public.jobs_log", id="delete all"),
        pytest.param("TRUNCATE public.jobs_log", id="truncate"),
        pytest.param(
            "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status) SELECT 'job ' || n % 250,"
            " now() - n * interval '1 hour', now(), 'success' FROM generate_series(1, 500) n",
            id="more than are marked one by one",
        ),
        pytest.param("INSERT INTO public.jobs_log (job_name, started_at, status) VALUES ('a', '-infinity', 'success'),"
                     " ('a', 'infinity', 'success'), ('a', '4000-01-01 BC', 'success')", id="moments that are no runs"),
    ],
)  # fmt: skip
def test_a_change_to_sealed_days_shows_at_once_and_after_the_days_are_counted_again(sealed, change):
    sealed.execute(change)
    check(sealed)
    seal_all(sealed)
    check(sealed)
    assert sealed.execute("SELECT count(*) FROM airflow_jobmon.dirty").fetchone() == (0,)


def test_a_day_that_was_counted_again_is_no_longer_read_from_the_log(sealed):
    sealed.execute("DELETE FROM public.jobs_log WHERE job_name = 'load'")
    assert sealed_count(sealed) == 10
    log_run(sealed, "sync", started_at=noon(4))
    assert sealed_count(sealed) == 9
    seal_all(sealed)
    assert sealed_count(sealed) == 10
    check(sealed)


def test_a_run_that_starts_and_ends_within_a_day_calls_no_function_of_ours(conn, database):
    run = log_run(conn, "sync", "running")
    conn.execute("UPDATE public.jobs_log SET status = 'success', completed_at = now() WHERE id::text = %s", [run])
    conn.execute("DELETE FROM public.jobs_log")
    calls = "SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions WHERE funcname = 'mark_days'"
    conn.execute("SELECT pg_stat_force_next_flush()")
    with connect(database) as other:
        assert other.execute(calls).fetchone() == (0,)


def test_one_transaction_writes_at_most_a_few_hundred_marks(sealed):
    sealed.execute(
        "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status) SELECT 'job ' || n % 300,"
        " now() - interval '1 day' * (1 + n % 9), now(), 'success' FROM generate_series(1, 20000) n"
    )
    assert sealed.execute("SELECT count(*) < 220 FROM airflow_jobmon.dirty").fetchone() == (True,)
    check(sealed)


def test_a_change_that_is_rolled_back_marks_nothing(sealed):
    with sealed.transaction():
        with sealed.transaction(force_rollback=True):
            log_run(sealed, "sync", started_at=noon(5))
        log_run(sealed, "load", started_at=noon(6))
    assert sealed.execute("SELECT job_name FROM airflow_jobmon.dirty").fetchall() == [("load",)]


def test_a_late_commit_shows_although_its_day_was_counted_again_before(sealed, database):
    with psycopg.connect(database) as writer:
        log_run(writer, "sync", started_at=noon(5))
        log_run(sealed, "sync", started_at=noon(5))
        seal_all(sealed)
        check(sealed)
        writer.commit()
    check(sealed)
    seal_all(sealed)
    check(sealed)


def test_no_day_is_sealed_while_a_transaction_is_open_that_may_have_written_to_it_unmarked(sealed, database):
    with psycopg.connect(database) as writer:
        log_run(writer, "sync", started_at=noon(0))
        sealed.execute(  # as if two days had passed since
            "CREATE OR REPLACE FUNCTION airflow_jobmon.last_cold_day() RETURNS date LANGUAGE sql VOLATILE AS"
            " $$ SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date $$"
        )
        before = sealed_through(sealed)
        seal_all(sealed)
        assert sealed_through(sealed) == before
        writer.commit()
    check(sealed)
    seal_all(sealed)
    assert sealed_through(sealed) == (datetime.now(UTC).date(),)
    check(sealed)


def test_all_days_are_counted_again_after_a_mark_could_not_be_written(sealed, database):
    with psycopg.connect(database) as holder:
        holder.execute("LOCK TABLE airflow_jobmon.dirty IN SHARE MODE")
        with psycopg.connect(database, autocommit=True) as job:
            job.execute("CREATE TEMP SEQUENCE own; SELECT nextval('own')")
            assert job.execute("UPDATE public.jobs_log SET status = 'failed'").rowcount == 24
            assert job.execute("SELECT lastval()").fetchone() == (1,)
    assert seal_all(sealed) > 50
    check(sealed)


def test_all_days_are_counted_again_after_the_mapping_changes(sealed):
    migrate(sealed, Settings(status_words={"success": ("failed",), "failed": ("success",)}))
    check(sealed)
    assert seal_all(sealed) > 50
    check(sealed)


def test_no_stored_count_is_used_while_a_trigger_is_disabled(sealed):
    sealed.execute("ALTER TABLE public.jobs_log DISABLE TRIGGER airflow_jobmon_days_delete")
    seal_all(sealed)
    assert sealed_count(sealed) == 0
    sealed.execute("DELETE FROM public.jobs_log WHERE job_name = 'load'")
    check(sealed)
    sealed.execute("ALTER TABLE public.jobs_log ENABLE TRIGGER airflow_jobmon_days_delete")
    seal_all(sealed)
    assert sealed_count(sealed) == 10
    check(sealed)


def test_all_days_are_counted_again_after_a_trigger_was_dropped_and_created_again(sealed):
    sealed.execute("DROP TRIGGER airflow_jobmon_days_delete ON public.jobs_log")
    sealed.execute("DELETE FROM public.jobs_log WHERE job_name = 'load'")
    migrate(sealed, Settings())
    check(sealed)
    seal_all(sealed)
    check(sealed)


def test_a_window_is_counted_to_the_microsecond(sealed):
    sealed.execute("DELETE FROM public.jobs_log WHERE (started_at AT TIME ZONE 'UTC')::date = %s", [noon(4).date()])
    for ago in range(12):
        for edge in (-1, 0, 1):
            since = noon(ago) + timedelta(microseconds=edge)
            counts = [
                sealed.execute(
                    f"SELECT * FROM (SELECT 'sync' AS job, %s::timestamptz AS edge) x, LATERAL ({count}) y", [since]
                )
                for count in (WINDOW, PLAIN_WINDOW)
            ]
            assert counts[0].fetchone() == counts[1].fetchone()
    rate = sealed.execute(
        "SELECT total_runs, failed_runs FROM airflow_jobmon.success_rate ORDER BY job_name"
    ).fetchall()
    assert rate == [(11, 1), (11, 1)]


def test_days_are_read_as_values_from_a_day_on(sealed):
    sealed.execute("UPDATE public.jobs_log SET records_updated = NULL WHERE job_name = 'sync' AND records_updated = 4")
    read = days(sealed, ["sync", "unknown"], noon(5).date())
    assert read["unknown"] == []
    assert [(day.day, day.success_rate, day.records_sum) for day in read["sync"]] == [
        (noon(5).date(), 0.0, None),
        (noon(4).date(), 100.0, None),
        (noon(3).date(), 100.0, 3),
        (noon(2).date(), 100.0, 2),
        (noon(1).date(), 100.0, 1),
        (noon(0).date(), 100.0, 0),
    ]
    assert (read["sync"][1].duration_median, read["sync"][1].duration_mean, read["sync"][1].timed_runs) == (14, 14, 1)


def test_sealing_ends_by_itself(sealed):
    log_run(sealed, "sync", started_at=noon(5))
    assert seal_days(sealed, most=timedelta(minutes=1)) == 1
    assert seal_days(sealed, most=timedelta(0)) == 0


def test_only_one_session_seals_at_a_time_and_the_other_does_not_wait(sealed, database):
    log_run(sealed, "sync", started_at=noon(5))
    with psycopg.connect(database) as other:
        assert other.execute("SELECT airflow_jobmon.seal()").fetchone() == (True,)
        assert seal_all(sealed) == 0


def test_sealing_refuses_a_snapshot_older_than_its_lock(sealed):
    sealed.execute("SET default_transaction_isolation = 'repeatable read'")
    with pytest.raises(psycopg.errors.RaiseException, match="READ COMMITTED"):
        sealed.execute("SELECT airflow_jobmon.seal()")
    assert seal_days(sealed, most=timedelta(0)) == 0


def test_a_frozen_day_outlives_its_runs(sealed):
    day = noon(6).date()
    before = sealed.execute(DAYS).fetchall()
    finished = "SELECT * FROM airflow_jobmon.finished_since('sync', now() - interval '11 days')"
    window = sealed.execute(finished).fetchone()
    with sealed.transaction():
        sealed.execute("SET LOCAL airflow_jobmon.archiving = on")
        sealed.execute("SELECT airflow_jobmon.freeze_days(%s, %s)", [["sync", "sync", "load"], [day, day, day]])
        sealed.execute("DELETE FROM public.jobs_log WHERE (started_at AT TIME ZONE 'UTC')::date = %s", [day])
    assert sealed.execute("SELECT count(*) FROM airflow_jobmon.dirty").fetchone() == (0,)
    log_run(sealed, "sync", started_at=noon(6))
    for change in ("SELECT", "INSERT INTO airflow_jobmon.dirty DEFAULT VALUES"):
        sealed.execute(change)
        assert sealed.execute(DAYS).fetchall() == before
        assert sealed.execute(finished).fetchone() == window
        seal_all(sealed)
        assert sealed.execute(DAYS).fetchall() == before
        assert sealed.execute(finished).fetchone() == window


ARCHIVE = """
WITH moved AS (DELETE FROM public.jobs_log WHERE started_at < now() - interval '5 days' RETURNING *)
INSERT INTO airflow_jobmon.jobs_log_archive (id, job_name, started_at, completed_at, records_updated, status, "row")
SELECT id::text, job_name, started_at, completed_at, records_updated, status, '{}' FROM moved
"""


def test_archived_runs_still_count_until_the_archive_loses_them(sealed):
    with sealed.transaction():
        sealed.execute("SET LOCAL airflow_jobmon.archiving = on")
        sealed.execute(ARCHIVE)
    assert sealed.execute("SELECT count(*) FROM airflow_jobmon.dirty").fetchone() == (0,)
    check(sealed)
    sealed.execute("DELETE FROM airflow_jobmon.jobs_log_archive WHERE job_name = 'load'")
    check(sealed)
    seal_all(sealed)
    check(sealed)
    sealed.execute("TRUNCATE airflow_jobmon.jobs_log_archive")
    check(sealed)


def test_a_day_that_may_still_grow_is_not_frozen(sealed):
    with pytest.raises(psycopg.errors.RaiseException, match="can be frozen"):
        sealed.execute("SELECT airflow_jobmon.freeze_days(%s, %s)", [["sync"], [noon(1).date()]])


PARTITIONS = """
CREATE TABLE public.jobs_log (id int GENERATED ALWAYS AS IDENTITY, job_name text, started_at timestamptz,
    completed_at timestamptz, records_updated int, status text, error_message text) PARTITION BY LIST (job_name);
CREATE TABLE public.sync PARTITION OF public.jobs_log FOR VALUES IN ('sync');
CREATE TABLE public.load PARTITION OF public.jobs_log FOR VALUES IN ('load');
"""


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM public.sync",
        "TRUNCATE public.sync",
        "UPDATE public.jobs_log SET job_name = 'load'",
        "INSERT INTO public.sync (job_name, started_at, status) VALUES ('sync', now() - interval '5 days', 'failed')",
    ],
)
def test_a_change_to_a_partition_shows_at_once(empty_database, change):
    with partitioned(empty_database) as conn:
        conn.execute(change)
        check(conn)
        seal_all(conn)
        check(conn)


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE public.jobs_log DETACH PARTITION public.sync",
        "DROP TABLE public.load",
        """CREATE TABLE public.more (LIKE public.jobs_log);
        INSERT INTO public.more (id, job_name, started_at, status) VALUES (1, 'm', now() - interval '5 days', 'failed');
        ALTER TABLE public.jobs_log ATTACH PARTITION public.more FOR VALUES IN ('m')""",
    ],
)
def test_sealing_detects_partitions_that_are_attached_with_rows_or_detached(empty_database, change):
    with partitioned(empty_database) as conn:
        conn.execute(change)
        assert seal_all(conn) > 50
        check(conn)


def test_a_new_empty_partition_changes_nothing(empty_database):
    with partitioned(empty_database) as conn:
        conn.execute("CREATE TABLE public.more PARTITION OF public.jobs_log FOR VALUES IN ('more')")
        assert seal_all(conn) == 0


def partitioned(conninfo: str) -> Conn:
    conn = connect(conninfo)
    conn.execute(PARTITIONS)
    migrate(conn, Settings())
    for job in ("sync", "load"):
        for ago in range(9):
            log_run(conn, job, started_at=noon(ago))
    seal_all(conn)
    check(conn)
    return conn


JOBS = st.sampled_from(["a", "b", "c"])
AGES = st.integers(0, 9)
STATUSES = st.sampled_from(["success", "failed", "running", "odd"])
ACTIONS = st.one_of(
    st.tuples(st.just("insert"), JOBS, AGES, STATUSES),
    st.tuples(st.just("update"), JOBS, AGES, STATUSES),
    st.tuples(st.just("move"), JOBS, AGES, AGES),
    st.tuples(st.just("delete"), JOBS, AGES),
    st.tuples(st.just("drill"), JOBS, AGES),
    st.tuples(st.just("truncate")),
    st.tuples(st.just("commit")),
    st.tuples(st.just("rollback")),
    st.tuples(st.just("seal"), st.integers(1, 8)),
)
SQL = {
    "insert": "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status, records_updated)"
    " VALUES (%s, current_date - %s + time '11:00', current_date + time '11:01', %s, 7)",
    "update": "UPDATE public.jobs_log SET status = %(2)s WHERE job_name = %(0)s"
    " AND (started_at AT TIME ZONE 'UTC')::date = current_date - %(1)s",
    "move": "UPDATE public.jobs_log SET started_at = current_date - %(2)s + time '10:00' WHERE job_name = %(0)s"
    " AND (started_at AT TIME ZONE 'UTC')::date = current_date - %(1)s",
    "delete": "DELETE FROM public.jobs_log WHERE job_name = %(0)s"
    " AND (started_at AT TIME ZONE 'UTC')::date = current_date - %(1)s",
    "drill": "INSERT INTO public.jobs_log (job_name, started_at, status, error_message)"
    " VALUES (%s, current_date - %s + time '11:00', 'failed', 'TEST ALERT')",
    "truncate": "TRUNCATE public.jobs_log",
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.booleans(), ACTIONS), min_size=5, max_size=30))
def test_days_equal_a_plain_count_after_any_sequence_of_changes_commits_and_seals(database, actions):
    """Two writers, one of them in transactions; what would wait for the other's lock is left out."""
    with connect(database) as conn, psycopg.connect(database, options="-c lock_timeout=1ms -c timezone=UTC") as late:
        conn.execute("SET lock_timeout = '1ms'; SET timezone = 'UTC'; TRUNCATE public.jobs_log")
        for n in range(20):
            conn.execute(SQL["insert"], ["abc"[n % 3], n % 10, "success"])
        seal_some(conn, 8)
        for in_late, (what, *args) in actions:
            writer = late if in_late else conn
            try:
                if what == "seal":
                    seal_some(conn, args[0])
                elif what in {"commit", "rollback"}:
                    getattr(late, what)()
                elif what in SQL and not (
                    what == "truncate" and in_late
                ):  # its lock blocks every reader until it commits
                    named = "%(" in SQL[what]
                    writer.execute(SQL[what], {str(n): arg for n, arg in enumerate(args)} if named else args)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.InFailedSqlTransaction):
                late.rollback()
            check(conn)
        late.commit()
        check(conn)
