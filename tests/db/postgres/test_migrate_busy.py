"""`migrate` while others work: jobs that write, other migrations, and builds that were interrupted."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from threading import Event, Thread

import psycopg
import pytest

from airflow_jobmon.errors import SchemaProblem
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import check_schema, migrate
from airflow_jobmon.settings import Settings

JOBS_LOG = (
    "CREATE TABLE public.jobs_log (id int, job_name text, started_at timestamptz, completed_at timestamptz,"
    " records_updated int, status text, error_message text)"
)


@pytest.fixture
def fresh(empty_database: str) -> Iterator[psycopg.Connection]:
    with connect(empty_database) as conn:
        conn.execute(JOBS_LOG)
        yield conn


MIGRATE = """
import sys
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
sys.stdin.readline()
with connect(sys.argv[1]) as conn:
    print(*migrate(conn, Settings(), progress=lambda line: print(line, file=sys.stderr)).actions, sep="\\n")
"""


def test_many_processes_may_migrate_at_once(fresh, empty_database):
    fresh.execute("INSERT INTO public.jobs_log SELECT n, 'job ' || n % 50, now() FROM generate_series(1, 20000) n")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, empty_database],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    for process in processes:  # all have imported and wait: let go at the same moment
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, results
    assert "".join(out for out, _ in results).count("failed_insert created on") == 1
    check_schema(fresh)
    assert fresh.execute("SELECT count(*) FROM airflow_jobmon.index_statements()").fetchone() == (0,)
    assert fresh.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone() == (0,)
    assert fresh.execute("SELECT count(*) FROM airflow_jobmon.installation").fetchone() == (1,)


def test_migrate_waits_for_a_busy_table_and_names_the_session_that_holds_it(fresh, empty_database):
    waiting = Event()
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if line.startswith("waiting"):
            waiting.set()

    with psycopg.connect(empty_database, application_name="nightly-load") as job:
        job.execute("INSERT INTO public.jobs_log (job_name) VALUES ('a')")

        def let_go() -> None:
            waiting.wait(60)
            job.commit()

        thread = Thread(target=let_go)
        thread.start()
        report = migrate(fresh, Settings(), progress=hear)
        thread.join()
    assert report.changed
    line = next(line for line in said if line.startswith("waiting"))
    assert "public.jobs_log is held by pid" in line
    assert "nightly-load, idle in transaction" in line


def test_while_it_waits_the_jobs_go_on_writing(fresh, empty_database):
    """Each attempt waits for the lock for at most two seconds, so a writer behind it waits no longer than that."""
    with psycopg.connect(empty_database) as blocker, psycopg.connect(empty_database, autocommit=True) as writer:
        blocker.execute("INSERT INTO public.jobs_log (job_name) VALUES ('a')")
        writer.execute("SET lock_timeout = '10s'")
        waited = Event()
        thread = Thread(target=_migrate_quietly, args=(empty_database, waited))
        thread.start()
        waited.wait(60)
        for number in range(20):
            writer.execute("INSERT INTO public.jobs_log (job_name) VALUES (%s)", (str(number),))
        blocker.rollback()
        thread.join()
    check_schema(fresh)


def _migrate_quietly(conninfo: str, waited: Event) -> None:
    with connect(conninfo) as conn:
        migrate(conn, Settings(), progress=lambda line: waited.set() if line.startswith("waiting") else None)


def test_migrate_gives_up_and_names_the_session_that_holds_the_table(fresh, empty_database):
    with psycopg.connect(empty_database) as job:
        job.execute("LOCK TABLE public.jobs_log")
        with pytest.raises(SchemaProblem, match=r"gave up after .* public\.jobs_log is held by pid \d+") as caught:
            migrate(fresh, Settings(), patience=timedelta(seconds=1))
        job.rollback()
    assert "\n" not in str(caught.value)


def test_migrate_names_another_migration_that_is_running(fresh, empty_database):
    with psycopg.connect(empty_database) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (int.from_bytes(b"jobmon", "big"),))
        with pytest.raises(SchemaProblem, match="another migrate is running by pid"):
            migrate(fresh, Settings(), patience=timedelta(seconds=1))
        other.rollback()


def index_names(conn: psycopg.Connection) -> list[tuple[str, bool]]:
    return conn.execute(
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = 'public.jobs_log'::regclass ORDER BY 1"
    ).fetchall()


@pytest.mark.parametrize(
    ("index", "serves"),
    [
        pytest.param("(job_name, started_at DESC)", True, id="exactly it"),
        pytest.param("(job_name, started_at)", True, id="read backwards"),
        pytest.param("(job_name DESC, started_at DESC, status)", True, id="with more behind"),
        pytest.param("(job_name, started_at) INCLUDE (status)", True, id="covering"),
        pytest.param("(job_name)", False, id="name only"),
        pytest.param("(started_at, job_name)", False, id="wrong order"),
        pytest.param("(job_name, started_at DESC NULLS LAST)", False, id="nulls elsewhere"),
        pytest.param("(job_name, started_at) WHERE status = 'failed'", False, id="partial"),
        pytest.param("(job_name text_pattern_ops, started_at)", False, id="for LIKE only"),
        pytest.param("(lower(job_name), started_at)", False, id="another expression"),
        pytest.param('(job_name COLLATE "C", started_at)', False, id="another collation"),
    ],
)
def test_an_index_is_built_only_if_none_serves(fresh, index, serves):
    fresh.execute(f"CREATE INDEX theirs ON public.jobs_log {index}")
    report = migrate(fresh, Settings())
    assert any("INDEX" in action for action in report.actions) is not serves
    assert len(index_names(fresh)) == (1 if serves else 2)


def test_an_invalid_index_that_an_interrupted_build_left_is_built_again(fresh, empty_database):
    migrate(fresh, Settings())
    ((name, _),) = index_names(fresh)
    fresh.execute(f"DROP INDEX public.{name}")
    with psycopg.connect(empty_database) as old:
        old.execute("INSERT INTO public.jobs_log (job_name) VALUES ('a')")
        fresh.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            fresh.execute(f"CREATE INDEX CONCURRENTLY {name} ON public.jobs_log (job_name, started_at DESC)")
        fresh.execute("RESET lock_timeout")
        old.rollback()
    assert index_names(fresh) == [(name, False)]
    migrate(fresh, Settings())
    assert index_names(fresh) == [(name, True)]


def test_an_index_on_a_column_that_is_no_longer_mapped_is_replaced(fresh):
    migrate(fresh, Settings())
    fresh.execute("ALTER TABLE public.jobs_log ADD began timestamptz")
    migrate(fresh, Settings(jobs_log_columns={"started_at": "began"}))
    assert len(index_names(fresh)) == 1
    assert fresh.execute("SELECT count(*) FROM airflow_jobmon.index_statements()").fetchone() == (0,)


def sorts(plan: str) -> bool:
    return re.search(r"(^|-> +)(Incremental )?Sort *$", plan, re.MULTILINE) is not None


SHAPES = [
    pytest.param("job_name text", "started_at timestamptz", id="plain"),
    pytest.param("job_name varchar(50)", "started_at timestamptz", id="varchar"),
    pytest.param("job_name text", "started_at timestamp", id="without zone"),
    pytest.param("job_name text", "started_at date", id="day only"),
    pytest.param("job_name text", '"Started (at)" timestamp', id="odd name"),
]


@pytest.mark.parametrize(("job_name", "started_at"), SHAPES)
@pytest.mark.parametrize("kind", ["plain", "partitioned"])
def test_the_newest_run_of_a_job_is_found_by_the_index_whatever_the_types(empty_database, job_name, started_at, kind):
    column = started_at.rsplit(" ", 1)[0].strip('"')
    settings = Settings(jobs_log_columns={"started_at": column})
    with connect(empty_database) as conn:
        conn.execute(
            f"CREATE TABLE public.jobs_log (id int, {job_name}, {started_at}, completed_at timestamptz, status text)"
            + (" PARTITION BY HASH (id)" if kind == "partitioned" else "")
        )
        if kind == "partitioned":
            for part in range(2):
                conn.execute(
                    f"CREATE TABLE public.part{part} PARTITION OF public.jobs_log"
                    f" FOR VALUES WITH (MODULUS 2, REMAINDER {part})"
                )
        conn.execute(
            "INSERT INTO public.jobs_log SELECT n, 'job ' || n % 100, now() - n * interval '1 hour', NULL, 'success'"
            " FROM generate_series(1, 5000) n"
        )
        conn.execute("ANALYZE public.jobs_log")
        migrate(conn, settings)
        assert conn.execute("SELECT count(*) FROM airflow_jobmon.index_statements()").fetchone() == (0,)
        assert not migrate(conn, settings).changed
        plan = "\n".join(
            line
            for (line,) in conn.execute(
                "EXPLAIN (COSTS OFF) SELECT id FROM airflow_jobmon.runs WHERE job_name = 'job 7'"
                " ORDER BY started_at DESC LIMIT 1"
            )
        )
        assert "Index Scan" in plan, plan
        assert not sorts(plan), plan
        names = "\n".join(
            line
            for (line,) in conn.execute(
                "EXPLAIN (COSTS OFF) SELECT job_name FROM airflow_jobmon.runs WHERE job_name > 'job 7'"
                " ORDER BY job_name LIMIT 1"
            )
        )
        assert "Index" in names, names
        assert not sorts(names), names


def test_partitions_get_their_index_one_by_one_and_new_ones_have_it_from_the_start(empty_database):
    with connect(empty_database) as conn:
        conn.execute(
            JOBS_LOG + " PARTITION BY RANGE (started_at);"
            "CREATE TABLE public.y25 PARTITION OF public.jobs_log FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');"
            "CREATE TABLE public.y26 PARTITION OF public.jobs_log FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')"
            " PARTITION BY LIST (status);"
            "CREATE TABLE public.y26_all PARTITION OF public.y26 DEFAULT;"
            "CREATE INDEX theirs ON public.y25 (job_name, started_at)"
        )
        report = migrate(conn, Settings())
        built = [action for action in report.actions if action.startswith("CREATE INDEX")]
        assert [("CONCURRENTLY" in action, "ONLY" in action) for action in built] == [
            (False, True), (False, True), (True, False),
        ]  # fmt: skip
        invalid = conn.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone()
        assert invalid == (0,)
        conn.execute(
            "CREATE TABLE public.y27 PARTITION OF public.jobs_log FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')"
        )
        assert migrate(conn, Settings()).actions == ("trigger airflow_jobmon_days_truncate created on public.y27",)
        count = conn.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'y27'").fetchone()
        assert count == (1,)


def test_an_index_that_cannot_be_built_is_a_note_and_not_a_failure(empty_database):
    with connect(empty_database) as conn:
        conn.execute(
            "DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
            f"{JOBS_LOG}; GRANT SELECT, TRIGGER ON public.jobs_log TO guest;"
            f"GRANT CREATE ON DATABASE {conn.info.dbname} TO guest"
        )
        with connect(empty_database.replace("user=postgres", "user=guest")) as guest:
            report = migrate(guest, Settings())
        assert any("must be owner of table jobs_log" in note and "CREATE INDEX" in note for note in report.notes)
        conn.execute("INSERT INTO public.jobs_log (id, job_name, started_at, status) VALUES (1, 'a', now(), 'failed')")
        assert conn.execute("SELECT count(*) FROM airflow_jobmon.events").fetchone() == (1,)


def test_a_run_that_fails_while_migrate_runs_is_stored(fresh, empty_database):
    migrate(fresh, Settings())
    with psycopg.connect(empty_database) as job:
        job.execute("INSERT INTO public.jobs_log (id, job_name, started_at, status) VALUES (1, 'a', now(), 'running')")
        migrate(fresh, Settings())
        job.execute("UPDATE public.jobs_log SET status = 'failed'")
        job.commit()
    assert fresh.execute("SELECT count(*) FROM airflow_jobmon.events").fetchone() == (1,)
