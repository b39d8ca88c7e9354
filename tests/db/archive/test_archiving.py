"""Moving runs into the archive: which runs, how, and that health and statistics stay the same."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from airflow_jobmon.archive.archiving import archive_runs
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.errors import ArchiveProblem, ConfigurationError, UnknownJob
from airflow_jobmon.monitoring.checks import assess_jobs, check_and_record
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.hostile_alerts import NASTY
from tests.support.logged_runs import log_run
from tests.support.moments import ago
from tests.support.trigger_events import Conn

COLUMNS = "id, job_name, started_at, completed_at, records_updated, status, error_message"


def log_days(conn: Conn, job_name: str, *days: float, status: str = "success", **fields: Any) -> list[str]:
    return [log_run(conn, job_name, status, ago(days=day), **fields) for day in days]


def live(conn: Conn) -> list[tuple[Any, ...]]:
    return conn.execute(f"SELECT {COLUMNS} FROM airflow_jobmon.runs ORDER BY 1, 2, 3").fetchall()


def archived(conn: Conn) -> list[tuple[Any, ...]]:
    return conn.execute(f"SELECT {COLUMNS} FROM airflow_jobmon.jobs_log_archive ORDER BY 1, 2, 3").fetchall()


def live_ids(conn: Conn) -> set[str]:
    return {row[0] for row in live(conn)}


def healths(conn: Conn, at: datetime | None = None) -> list[dict[str, Any]]:
    """The health of every job, without the figures that change as time passes."""
    found = [job.as_json() for job in assess_jobs(conn, Settings(), at=at)]
    for job in found:
        del job["hours_since_last_run"]
        for finding in job["findings"]:
            del finding["observed"]
    return found


def test_runs_older_than_the_cut_off_are_moved_whole_and_the_others_stay(conn):
    before = live(conn) if log_days(conn, "sync", 200, 91, 89, 1, records_updated=5) else []
    rows = {row[0]: row for row in conn.execute("SELECT id::text, to_jsonb(l) FROM public.jobs_log l").fetchall()}
    report = archive_runs(conn, "90d")
    assert (report.runs, report.jobs) == (2, {"sync": 2})
    assert sorted(live(conn) + archived(conn)) == before
    assert [row[2] for row in live(conn)] == [row[2] for row in before if row[2] > ago(days=90)]
    kept = conn.execute("SELECT id, row FROM airflow_jobmon.jobs_log_archive").fetchall()
    assert {key: row for key, row in kept} == {key: rows[key][1] for key, _ in kept}  # noqa: C416
    assert archive_runs(conn, timedelta(days=90)).runs == 0


def test_a_dry_run_counts_what_would_be_moved_and_changes_nothing(conn):
    log_days(conn, "sync", 200, 100, 1)
    log_days(conn, "load", 300, 95)
    log_run(conn, "load", "running", ago(days=150))
    before = live(conn)
    dry = archive_runs(conn, "90d", dry_run=True)
    assert dry.jobs == {"sync": 2, "load": 1}
    assert dry.stay == {"still running": 1, "the newest of their job, or of an open incident": 1}
    assert (live(conn), archived(conn)) == (before, [])
    assert archive_runs(conn, "90d").jobs == dry.jobs


def test_one_job_is_archived_and_the_others_are_left(conn):
    log_days(conn, "sync", 200, 1)
    log_days(conn, "load", 200, 1)
    assert archive_runs(conn, "90d", job="sync").jobs == {"sync": 1}
    assert {row[1] for row in archived(conn)} == {"sync"}
    with pytest.raises(UnknownJob, match="job 'snyc' has no run in the job log"):
        archive_runs(conn, "90d", job="snyc")


@pytest.mark.parametrize(
    ("older_than", "complaint"),
    [
        pytest.param("0d", "those of the last 1d are still counted", id="zero"),
        pytest.param(timedelta(days=-1), "runs older than -1d cannot be archived", id="negative"),
        pytest.param("-5d", "'-5d' is not a valid duration", id="negative as text"),
        pytest.param("23h", "runs older than 23h cannot be archived", id="less than a day"),
        pytest.param("90", "'90' is not a valid duration; write it like", id="without a unit"),
        pytest.param("9999999d", "no run is older than 9999999d", id="before the calendar"),
        pytest.param("", "'' is not a valid duration", id="empty"),
    ],
)
def test_an_invalid_age_is_refused_and_nothing_is_moved(conn, older_than, complaint):
    log_days(conn, "sync", 200, 100)
    with pytest.raises(ConfigurationError, match=complaint):
        archive_runs(conn, older_than)
    assert archived(conn) == []


def test_an_empty_log_and_one_without_old_runs_are_archived(conn):
    assert archive_runs(conn, "90d").runs == 0
    log_days(conn, "sync", 3, 2, 1)
    assert archive_runs(conn, "90d").runs == 0
    assert archive_runs(conn, "90d", dry_run=True).as_json()["jobs"] == {}


def test_runs_that_an_evaluation_needs_stay_at_any_age(conn):
    log_days(conn, "monthly", 400, 370)
    kept = log_days(conn, "monthly", 340)
    log_days(conn, "failing", 500, 490)
    log_days(conn, "failing", 480, status="failed")
    kept += log_days(conn, "failing", 470)
    kept += log_days(conn, "failing", 460, 450, status="failed")
    kept += log_days(conn, "never good", 300, 290, status="failed")
    kept += log_days(conn, "hanging", 310)
    kept += log_days(conn, "hanging", 305, status="running")
    moments = [None, *(ago(days=days) for days in (1, 295, 333, 457, 495))]
    before = [healths(conn, at) for at in moments]
    assert archive_runs(conn, "90d").runs == 5
    assert live_ids(conn) == set(kept)
    assert [healths(conn, at) for at in moments] == before


def test_a_run_of_an_unknown_status_is_moved_once_it_has_an_end(conn):
    log_days(conn, "sync", 200, status="cancelled")
    [open_end] = [log_run(conn, "sync", "running", ago(days=210))]
    conn.execute("UPDATE public.jobs_log SET status = 'in progress' WHERE id::text = %s", [open_end])
    log_days(conn, "sync", 1)
    dry = archive_runs(conn, "90d", dry_run=True)
    assert (dry.jobs, dry.stay) == ({"sync": 1}, {"of an unknown status and without an end": 1})
    archive_runs(conn, "90d")
    assert open_end in live_ids(conn)
    assert [row[5] for row in archived(conn)] == ["cancelled"]


def test_runs_of_an_open_incident_stay_until_it_is_resolved(conn):
    apply_jobs(conn, [MonitoredJob(name="sync", every="365d")], source="test")
    log_days(conn, "sync", 300)
    failed = log_days(conn, "sync", 200, status="failed")
    check_and_record(conn, Settings())
    later = log_days(conn, "sync", 150, 100, 1)
    assert archive_runs(conn, "90d").runs == 1
    assert live_ids(conn) == {*failed, *later}
    check_and_record(conn, Settings())
    assert archive_runs(conn, "90d").runs == 3
    assert live_ids(conn) == {later[-1]}


def test_old_drills_are_archived_and_stay_drills(conn):
    log_days(conn, "sync", 200, status="failed", error_message="TEST ALERT - ignore")
    log_days(conn, "only drills", 200, status="failed", error_message="TEST ALERT - ignore")
    log_days(conn, "sync", 1)
    assert archive_runs(conn, "90d").runs == 2
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.history WHERE drill").fetchone() == (2,)


@pytest.mark.parametrize(
    "name", [*[text for text in NASTY if "\x00" not in text and "\ud800" not in text], "", "é" * 2000]
)
def test_hostile_names_are_moved_unchanged(conn, name):
    log_days(conn, name, 200, 100, 1)
    assert archive_runs(conn, "90d", job=name).jobs == {name: 2}
    assert {row[1] for row in archived(conn)} == {name}


def test_a_locked_row_is_skipped_without_waiting_and_moved_the_next_time(conn, database):
    held, _ = log_days(conn, "sync", 200, 190)
    log_days(conn, "sync", 1)
    with psycopg.connect(database) as job:
        job.execute("UPDATE public.jobs_log SET records_updated = 7 WHERE id::text = %s", [held])
        assert archive_runs(conn, "90d").runs == 1
        assert held in live_ids(conn)
    assert archive_runs(conn, "90d").runs == 1
    assert {row[4] for row in archived(conn)} == {7, None}


def test_a_locked_table_is_waited_for(conn, database):
    log_days(conn, "sync", 200, 1)
    said: list[str] = []
    with psycopg.connect(database) as holder:
        holder.execute("LOCK TABLE public.jobs_log IN SHARE MODE")

        def hear(text: str) -> None:
            said.append(text)
            holder.rollback()

        assert archive_runs(conn, "90d", progress=hear).runs == 1
    assert said[0] == "public.jobs_log is locked; retrying in 0.1 s"


def test_several_archivers_at_once_move_every_row_once(conn, database):
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status)"
        " SELECT 'job ' || n % 7, now() - interval '200 days' + n * interval '1 second', now(), 'success'"
        " FROM generate_series(1, 30000) n"
    )
    before = live(conn)
    counts: list[int] = []

    def work() -> None:
        with connect(database) as own:
            counts.append(archive_runs(own, "90d").runs)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(50):
        log_run(conn, "job 1", started_at=ago(days=150 + number))
        conn.execute(
            "UPDATE public.jobs_log SET records_updated = 1 WHERE id IN (SELECT id FROM public.jobs_log LIMIT 5)"
        )
    for thread in threads:
        thread.join()
    archive_runs(conn, "90d")
    everywhere = [row[:4] for row in live(conn) + archived(conn)]
    assert len(everywhere) == len(set(everywhere)) == len(before) + 50
    assert {row[:4] for row in before} <= set(everywhere)
    assert len(live(conn)) == 7


def test_statistics_and_health_are_the_same_before_and_after(conn):
    for day in range(1, 60):
        log_days(conn, "sync", day, status="failed" if day % 9 == 0 else "success", seconds=day, records_updated=day)
    views = ["recent_executions", "success_rate", "failed_jobs", "performance_metrics", "daily_metrics"]

    def shown() -> Any:
        figures = [sorted(conn.execute(f"SELECT * FROM airflow_jobmon.{view}").fetchall(), key=str) for view in views]
        return figures, healths(conn), healths(conn, ago(days=30))

    before = shown()
    assert archive_runs(conn, "2d").runs == 58
    assert shown() == before


def test_a_role_without_permission_to_delete_gets_a_clear_error(conn, database):
    log_days(conn, "sync", 200, 1)
    conn.execute("CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA airflow_jobmon TO reader")
    conn.execute(
        "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA airflow_jobmon TO reader;"
        " GRANT SELECT ON public.jobs_log TO reader"
    )
    try:
        with connect(f"{database} user=reader") as other:
            assert archive_runs(other, "90d", dry_run=True).runs == 1
            with pytest.raises(
                ArchiveProblem, match="role 'reader' lacks permission to archive: permission denied for "
            ):
                archive_runs(other, "90d")
    finally:
        conn.execute("DROP OWNED BY reader; DROP ROLE reader")
    assert archived(conn) == []


def test_rows_that_another_table_refers_to_stay_and_that_table_is_unchanged(conn):
    refused, cascading, free = log_days(conn, "sync", 200, 190, 180)
    log_days(conn, "sync", 1)
    conn.execute("CREATE TABLE public.notes (run uuid REFERENCES public.jobs_log)")
    conn.execute("CREATE TABLE public.more (run uuid REFERENCES public.jobs_log ON DELETE CASCADE)")
    conn.execute("INSERT INTO public.notes VALUES (%s)", [refused])
    conn.execute("INSERT INTO public.more VALUES (%s)", [cascading])
    dry = archive_runs(conn, "90d", dry_run=True)
    assert (dry.runs, dry.stay) == (1, {"referred to by another table, or this role lacks permission to move them": 2})
    assert archive_runs(conn, "90d").runs == 1
    assert [row[0] for row in archived(conn)] == [free]
    assert conn.execute("SELECT count(*) FROM public.more").fetchone() == (1,)


def test_a_row_that_a_trigger_protects_is_skipped_and_reported(conn):
    ids = log_days(conn, "sync", *range(200, 100, -1))
    log_days(conn, "sync", 1)
    conn.execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF OLD.records_updated = 1 THEN RAISE EXCEPTION 'keep %', OLD.job_name USING ERRCODE = %s; END IF;"
        " IF OLD.records_updated = 2 THEN RETURN NULL; END IF; RETURN OLD; END $$".replace("%s", "'MY001'")
    )
    conn.execute("CREATE TRIGGER refuse BEFORE DELETE ON public.jobs_log FOR EACH ROW EXECUTE FUNCTION public.refuse()")
    conn.execute("UPDATE public.jobs_log SET records_updated = 1 WHERE id = ANY (%s::uuid[])", [ids[10:70:20]])
    conn.execute("UPDATE public.jobs_log SET records_updated = 2 WHERE id::text = %s", [ids[50 + 1]])
    report = archive_runs(conn, "90d")
    assert report.runs == 96
    assert report.refused == {"keep sync": 3, "a trigger of the table kept them": 1}
    assert len(archived(conn)) == 96


def test_a_log_that_refuses_every_row_ends_the_archiving(conn):
    log_days(conn, "sync", *range(400, 100, -1))
    conn.execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'the log is append only'; END $$"
    )
    conn.execute("CREATE TRIGGER refuse BEFORE DELETE ON public.jobs_log FOR EACH ROW EXECUTE FUNCTION public.refuse()")
    with pytest.raises(ArchiveProblem, match=r"100 runs in a row could not leave .*: the log is append only"):
        archive_runs(conn, "90d")


def test_the_users_own_delete_triggers_run_as_usual(conn):
    conn.execute("CREATE TABLE public.gone (id uuid)")
    conn.execute(
        "CREATE FUNCTION public.remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO gone VALUES (OLD.id); RETURN NULL; END $$"
    )
    conn.execute("CREATE TRIGGER remember AFTER DELETE ON public.jobs_log FOR EACH ROW EXECUTE FUNCTION remember()")
    log_days(conn, "sync", 200, 190, 1)
    archive_runs(conn, "90d")
    assert conn.execute("SELECT count(*) FROM public.gone").fetchone() == (2,)


def test_row_level_security_hides_rows_from_being_moved(conn, database):
    log_days(conn, "mine", 200, 1)
    log_days(conn, "yours", 200, 1)
    conn.execute("CREATE ROLE tenant LOGIN; GRANT USAGE ON SCHEMA airflow_jobmon TO tenant")
    conn.execute("GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA airflow_jobmon, public TO tenant")
    conn.execute("GRANT UPDATE ON public.jobs_log TO tenant; ALTER TABLE public.jobs_log ENABLE ROW LEVEL SECURITY")
    conn.execute("CREATE POLICY mine ON public.jobs_log TO tenant USING (job_name = 'mine')")
    try:
        with connect(f"{database} user=tenant") as other:
            assert archive_runs(other, "90d").jobs == {"mine": 1}
    finally:
        conn.execute("DROP POLICY mine ON public.jobs_log; DROP OWNED BY tenant; DROP ROLE tenant")


RICH = """
CREATE EXTENSION IF NOT EXISTS hstore;
CREATE TYPE public.mood AS ENUM ('fine', 'bad');
CREATE TYPE public.pair AS (a int, b text);
CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);
CREATE TABLE public."Job %s Log" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "the ""name"" %" varchar(80), log timestamptz,
    completed_at timestamptz, state public.mood, error_message text, f float8, n numeric, by bytea, arr int[],
    txt text[], m money, i interval, r tstzrange, h hstore, p public.pair, d public.positive, j json, jb jsonb,
    t timestamp, dt date,
    net inet, b bit(3), "row" int, dropped int, doubled float8 GENERATED ALWAYS AS (f * 2) STORED
);
ALTER TABLE public."Job %s Log" DROP dropped;
INSERT INTO public."Job %s Log"
    ("the ""name"" %", log, completed_at, state, error_message, f, n, by, arr, txt,
     m, i, r, h, p, d, j, jb, t, dt, net, b, "row")
SELECT 'sync', now() - days * interval '1 day', now(), 'fine',
    E'a "b"\\r\\n,\\\\ é', 0.1 + days / 3.0, 'NaN', '\\x00ff',
    '{{1,NULL},{3,4}}', '{NULL,"NULL","","a,b"}', 12.5, '1 mon -2 days 03:04:05.678', '[2025-01-01,)',
    'a=>"1, 2", b=>NULL', ROW(7, 'x "y"')::public.pair, 5, '{"a": [null], "b": 1.10}', '{"z": 1e3}',
    '2025-01-01 00:00:00.123456', 'infinity', '10.0.0.0/8', b'101', days
FROM generate_series(100, 110) AS days;
"""


def rich(conn: Conn) -> list[str]:
    return [row for (row,) in conn.execute(b'SELECT l::text FROM public."Job %s Log" l ORDER BY id')]


@pytest.fixture
def rich_log(empty_database):
    with connect(empty_database) as conn:
        conn.execute(RICH.encode())
        columns = {"job_name": 'the "name" %', "started_at": "log", "status": "state"}
        words = {"success": ("fine",), "failed": ("bad",)}
        migrate(conn, Settings(jobs_log_table='public."Job %s Log"', jobs_log_columns=columns, status_words=words))
        yield conn


def test_a_row_of_any_types_is_kept_whole_and_restored_unchanged(rich_log):
    before = rich(rich_log)
    rich_log.execute("SET extra_float_digits = -5; SET IntervalStyle = 'sql_standard'; SET bytea_output = 'escape'")
    assert archive_runs(rich_log, "90d").runs == 10
    rich_log.execute("RESET extra_float_digits; RESET IntervalStyle; RESET bytea_output")
    assert len(rich(rich_log)) == 1
    restored = rich_log.execute("SELECT airflow_jobmon.restore_runs('sync', '-infinity', 'infinity')").fetchone()
    assert restored == (10,)
    assert rich(rich_log) == before
    assert archived(rich_log) == []


def test_a_row_with_a_value_that_the_archive_cannot_hold_stays_in_the_log(conn):
    conn.execute("ALTER TABLE public.jobs_log ADD detail json")
    _, bad, _ = log_days(conn, "sync", 200, 190, 180)
    log_days(conn, "sync", 1)
    conn.execute("""UPDATE public.jobs_log SET detail = '{"a": "\\u0000"}' WHERE id::text = %s""", [bad])
    report = archive_runs(conn, "90d")
    assert (report.runs, report.refused) == (2, {"unsupported Unicode escape sequence": 1})
    assert bad in live_ids(conn)


_COLUMNS = "id int, extra text, job_name text, started_at timestamptz, completed_at timestamptz, status text"
PARTITIONED = f"""
CREATE TABLE public.jobs_log ({_COLUMNS}) PARTITION BY RANGE (started_at);
CREATE TABLE public.recent PARTITION OF public.jobs_log FOR VALUES FROM ('2020-01-01') TO (MAXVALUE)
    PARTITION BY LIST (job_name);
CREATE TABLE public.recent_sync (
    status text, job_name text, id int, extra text, completed_at timestamptz, started_at timestamptz);
ALTER TABLE public.recent ATTACH PARTITION public.recent_sync FOR VALUES IN ('sync');
CREATE TABLE public.recent_rest PARTITION OF public.recent DEFAULT;
CREATE TABLE public.ancient PARTITION OF public.jobs_log DEFAULT;
"""
INHERITED = f"""
CREATE TABLE public.jobs_log ({_COLUMNS});
CREATE TABLE public.child (more int DEFAULT 5) INHERITS (public.jobs_log);
"""


@pytest.mark.parametrize(
    ("tables", "into"),
    [
        pytest.param(PARTITIONED, "jobs_log", id="partitioned at two levels"),
        pytest.param(INHERITED, "child", id="inherited"),
    ],
)
def test_a_log_in_several_tables_is_archived_and_restored(empty_database, tables, into):
    with connect(empty_database) as conn:
        conn.execute(tables)
        migrate(conn, Settings())
        conn.execute(
            f"INSERT INTO public.{into} (id, extra, job_name, started_at, completed_at, status)"
            " SELECT n, 'x' || n, CASE WHEN n % 2 = 0 THEN 'sync' ELSE 'load' END, at, at, 'success'"
            " FROM generate_series(1, 100) n, LATERAL (SELECT now() - n * interval '30 days' AS at) m"
        )
        query = "SELECT to_jsonb(l) - 'more' FROM public.jobs_log l ORDER BY id"
        before = conn.execute(query).fetchall()
        assert archive_runs(conn, "100d").jobs == {"sync": 49, "load": 48}
        assert conn.execute("SELECT count(*) FROM public.jobs_log").fetchone() == (3,)
        assert conn.execute("SELECT airflow_jobmon.restore_runs(NULL, '-infinity', 'infinity')").fetchone() == (97,)
        assert conn.execute(query).fetchall() == before
