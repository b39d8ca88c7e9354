"""Tables of other shapes: partitions, ids of any type, odd names, other words and types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.trigger_events import Conn, notified_failures, stored_events

Made = Callable[..., Conn]

COLUMNS = "started_at timestamptz, completed_at timestamptz, records_updated int, status text, error_message text"


@pytest.fixture
def made(empty_database: str) -> Any:
    """Runs DDL in an empty database, migrates it with the settings given, and returns a connection."""
    with connect(empty_database) as conn:

        def make(ddl: str, **settings: Any) -> Conn:
            conn.execute(ddl)
            migrate(conn, Settings(**settings))
            return conn

        yield make


@pytest.mark.parametrize(
    ("id_type", "value", "sent"),
    [
        ("uuid", "11111111-2222-3333-4444-555555555555", "11111111-2222-3333-4444-555555555555"),
        ("text", "run/1 'quoted'", "run/1 'quoted'"),
        ("bigint", "9007199254740993", 9007199254740993),
        ("integer", "7", 7),
    ],
)
def test_ids_of_any_type_are_stored_as_text_and_sent_in_their_own_type(made, empty_database, id_type, value, sent):
    conn = made(f"CREATE TABLE public.jobs_log (id {id_type}, job_name text, {COLUMNS})")
    with connect(empty_database) as listener:
        listener.execute("LISTEN job_failure")
        conn.execute(
            "INSERT INTO public.jobs_log (id, job_name, started_at, status) VALUES (%s, 'a', now(), 'failed')", (value,)
        )
        assert conn.execute("SELECT run_id FROM airflow_jobmon.events").fetchall() == [(value,)]
        assert conn.execute("SELECT id FROM airflow_jobmon.runs").fetchall() == [(value,)]
        assert [failure["id"] for failure in notified_failures(listener)] == [sent]


def test_columns_named_like_keywords_of_pl_pgsql_are_read(made):
    names = {"job_name": "if", "started_at": "begin", "completed_at": "end", "status": "exception"}
    conn = made(
        'CREATE TABLE public.jobs_log (id serial, "if" text, "begin" timestamptz, "end" timestamptz, "exception" text)',
        jobs_log_columns=names,
    )
    conn.execute('INSERT INTO public.jobs_log ("if", "begin", "exception") VALUES (\'a\', now(), \'failed\')')
    assert conn.execute("SELECT job_name, run_id FROM airflow_jobmon.events").fetchall() == [("a", "1")]


def partitioned(conn: Conn) -> None:
    conn.execute(
        "CREATE TABLE public.old PARTITION OF public.jobs_log FOR VALUES FROM ('2020-01-01') TO ('2026-01-01');"
        "CREATE TABLE public.now PARTITION OF public.jobs_log FOR VALUES FROM ('2026-01-01') TO ('2099-01-01')"
        " PARTITION BY LIST (status);"
        "CREATE TABLE public.now_failed PARTITION OF public.now FOR VALUES IN ('failed');"
        "CREATE TABLE public.now_others PARTITION OF public.now DEFAULT;"
    )


PARTITIONED = f"CREATE TABLE public.jobs_log (id int, job_name text, {COLUMNS}) PARTITION BY RANGE (started_at)"
FAILED = "(job_name, id, started_at, status) VALUES ('{}', 1, now(), 'failed')"


def test_failures_are_stored_whether_written_to_the_table_or_directly_to_a_partition(made):
    conn = made(PARTITIONED)
    partitioned(conn)
    conn.execute("INSERT INTO public.jobs_log " + FAILED.format("through the table"))
    conn.execute("INSERT INTO public.now " + FAILED.format("into a partitioned partition"))
    conn.execute("INSERT INTO public.now_failed " + FAILED.format("into a partition"))
    assert [name for name, _ in stored_events(conn)] == [
        "through the table",
        "into a partitioned partition",
        "into a partition",
    ]


def test_failures_are_stored_from_existing_partitions_and_from_those_attached_later(made):
    conn = made(PARTITIONED + "; CREATE TABLE public.now PARTITION OF public.jobs_log DEFAULT")
    conn.execute("CREATE TABLE public.later (LIKE public.jobs_log)")
    conn.execute(
        "ALTER TABLE public.jobs_log ATTACH PARTITION public.later FOR VALUES FROM ('2098-01-01') TO ('2099-01-01')"
    )
    conn.execute("INSERT INTO public.now " + FAILED.format("before"))
    conn.execute(
        "INSERT INTO public.later (job_name, id, started_at, status) VALUES ('later', 1, '2098-06-01', 'failed')"
    )
    assert [name for name, _ in stored_events(conn)] == ["before", "later"]


def test_a_run_that_moves_to_another_partition_as_it_fails_is_stored(made):
    conn = made(PARTITIONED)
    partitioned(conn)
    conn.execute("INSERT INTO public.jobs_log (job_name, id, started_at, status) VALUES ('mover', 1, now(), 'running')")
    conn.execute("UPDATE public.jobs_log SET status = 'failed'")
    assert [name for name, _ in stored_events(conn)] == ["mover"]


ODD = {
    "id": 'the "id"',
    "job_name": "Job % Name",
    "started_at": "select",
    "completed_at": "ended; drop table x",
    "records_updated": "%1$s.n",
    "status": "Zustand-ö",
    "error_message": "$body$'",
}


def test_odd_names_of_table_and_columns_work_throughout(made, empty_database):
    quoted = {ours: '"' + theirs.replace('"', '""') + '"' for ours, theirs in ODD.items()}
    types = ["int", "text", "timestamptz", "timestamptz", "int", "text", "text"]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(quoted.values(), types, strict=True))
    table = '"My Schema"."Jobs-Log; drop ""table"""'
    conn = made(
        f'CREATE SCHEMA "My Schema"; CREATE TABLE {table} ({columns})', jobs_log_table=table, jobs_log_columns=ODD
    )
    with connect(empty_database) as listener:
        listener.execute("LISTEN job_failure")
        conn.execute(
            f"INSERT INTO {table} VALUES (1, 'sync', now(), now(), 3, 'failed', 'boom'),"
            " (2, 'sync', now(), now(), 4, 'success', NULL)"
        )
        assert [sent["error_message"] for sent in notified_failures(listener)] == ["boom"]
    assert stored_events(conn) == [("sync", "boom")]
    assert conn.execute(
        "SELECT id, job_name, records_updated, status, error_message, drill FROM airflow_jobmon.runs ORDER BY id"
    ).fetchall() == [("1", "sync", 3, "failed", "boom", False), ("2", "sync", 4, "success", None, False)]


WORDS = {"failed": ("error", "it's 100% \\broken"), "success": ("ok", "failed"), "running": ("started",)}


@pytest.mark.parametrize(
    ("theirs", "ours", "is_stored"),
    [
        ("error", "failed", True),
        ("it's 100% \\broken", "failed", True),
        ("ok", "success", False),
        ("failed", "success", False),
        ("started", "running", False),
        ("success", "success", False),
        ("cancelled", "cancelled", False),
        (None, "(none)", False),
    ],
)
def test_the_view_and_the_trigger_read_the_configured_status_words(made, theirs, ours, is_stored):
    conn = made(f"CREATE TABLE public.jobs_log (id int, job_name text, {COLUMNS})", status_words=WORDS)
    conn.execute("INSERT INTO public.jobs_log VALUES (1, 'a', now(), NULL, 0, %s, 'x')", (theirs,))
    assert conn.execute("SELECT status FROM airflow_jobmon.runs").fetchall() == [(ours,)]
    assert bool(stored_events(conn)) is is_stored
    conn.execute("DELETE FROM airflow_jobmon.events")
    conn.execute("INSERT INTO public.jobs_log VALUES (2, 'a', now(), NULL, 0, 'started', 'x')")
    conn.execute("UPDATE public.jobs_log SET status = %s WHERE id = 2", (theirs,))
    assert bool(stored_events(conn)) is is_stored


TYPES = [
    pytest.param("status varchar(20)", "", id="varchar status"),
    pytest.param("status public.state", "CREATE TYPE public.state AS ENUM ('success', 'failed');", id="enum status"),
    pytest.param("status public.state", "CREATE DOMAIN public.state AS varchar(10);", id="domain status"),
    pytest.param("job_name varchar(80)", "", id="varchar job_name"),
    pytest.param("started_at timestamp, completed_at timestamp", "", id="timestamps without zone"),
    pytest.param("started_at public.moment", "CREATE DOMAIN public.moment AS timestamptz NOT NULL;", id="domain"),
    pytest.param("records_updated numeric", "", id="numeric records"),
    pytest.param("records_updated bigint", "", id="bigint records"),
    pytest.param("error_message jsonb", "", id="json error"),
    pytest.param("id uuid", "", id="uuid"),
]  # fmt: skip


@pytest.mark.parametrize(("instead", "before"), TYPES)
def test_columns_of_related_types_are_read_and_stored(made, instead, before):
    types = {
        "id": "int", "job_name": "text", "started_at": "timestamptz", "completed_at": "timestamptz",
        "records_updated": "int", "status": "text", "error_message": "text",
    }  # fmt: skip
    types |= dict(part.strip().split(" ", 1) for part in instead.split(","))
    conn = made(
        f"{before} CREATE TABLE public.jobs_log ({', '.join(f'{name} {kind}' for name, kind in types.items())})"
    )
    ident = "11111111-2222-3333-4444-555555555555" if types["id"] == "uuid" else "1"
    conn.execute("SET TimeZone = 'UTC'")
    conn.execute(
        "INSERT INTO public.jobs_log (id, job_name, started_at, completed_at, records_updated, status, error_message)"
        " VALUES (%s, 'sync', date_trunc('hour', now()), now(), 5, 'failed', '\"boom\"')",
        (ident,),
    )
    assert stored_events(conn) == [("sync", '"boom"')]
    assert conn.execute(
        "SELECT job_name, records_updated, status, error_message, started_at = date_trunc('hour', now()),"
        " pg_typeof(started_at)::text FROM airflow_jobmon.runs"
    ).fetchall() == [("sync", 5, "failed", '"boom"', True, "timestamp with time zone")]


def test_times_and_counts_out_of_range_hide_only_themselves(made):
    conn = made(
        "CREATE TABLE public.jobs_log (id int, job_name text, started_at timestamptz, completed_at timestamptz,"
        " records_updated numeric, status text, error_message text)"
    )
    conn.execute(
        "INSERT INTO public.jobs_log VALUES (1, 'a', 'infinity', NULL, 1, 'success'),"
        " (2, 'a', '4000-01-01 BC', NULL, 1, 'success'),"
        " (3, 'a', '2025-01-01', 'infinity', 'NaN', 'success'), (4, 'a', '2025-01-01', '2025-01-02', 1e30, 'success'),"
        " (5, NULL, '2025-01-01', NULL, 1, 'success'), (6, 'a', NULL, NULL, 1, 'failed')"
    )
    rows = conn.execute(
        "SELECT id, completed_at IS NULL, records_updated FROM airflow_jobmon.runs ORDER BY id"
    ).fetchall()
    assert rows == [("3", True, None), ("4", False, None)]


def test_columns_that_are_optional_may_be_absent(made):
    conn = made(
        "CREATE TABLE public.jobs_log"
        " (id int, job_name text, started_at timestamptz, completed_at timestamptz, status text)"
    )
    conn.execute("INSERT INTO public.jobs_log VALUES (1, 'sync', now(), now(), 'failed')")
    assert stored_events(conn) == [("sync", None)]
    assert conn.execute("SELECT records_updated, error_message, drill FROM airflow_jobmon.runs").fetchall() == [
        (None, None, False)
    ]


@pytest.mark.parametrize(
    ("status", "error", "drill"),
    [
        ("failed", "TEST ALERT - Please ignore this", True),
        ("failed", "TEST ALER", False),
        ("failed", "a TEST ALERT", False),
        ("failed", None, False),
        ("success", "TEST ALERT", False),
        (None, "TEST ALERT", False),
    ],
)
def test_a_failed_run_whose_error_says_test_alert_is_a_drill(made, status, error, drill):
    conn = made(f"CREATE TABLE public.jobs_log (id int, job_name text, {COLUMNS})")
    conn.execute("INSERT INTO public.jobs_log VALUES (1, 'a', now(), now(), 0, %s, %s)", (status, error))
    assert conn.execute("SELECT drill FROM airflow_jobmon.runs").fetchall() == [(drill,)]
