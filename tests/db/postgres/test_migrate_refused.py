"""Bad input to `migrate` and `connect`: one line that says what to do, and nothing changed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from airflow_jobmon.errors import ConnectionProblem, SchemaProblem
from airflow_jobmon.postgres.connect import aconnect, connect
from airflow_jobmon.postgres.migrate import check_schema, migrate
from airflow_jobmon.settings import Settings
from demo.ports import free_port
from tests.support.postgres_server import Postgres, temporary_postgres

GOOD = {
    "id": "int", "job_name": "text", "started_at": "timestamptz", "completed_at": "timestamptz",
    "records_updated": "int", "status": "text", "error_message": "text",
}  # fmt: skip


def table(**changes: str | None) -> str:
    kept = {name: kind for name, kind in {**GOOD, **changes}.items() if kind}
    return f"CREATE TABLE public.jobs_log ({', '.join(f'{name} {kind}' for name, kind in kept.items())})"


REFUSED = [
    pytest.param("", {}, r"table public\.jobs_log does not exist; set \[jobmon\] jobs_log_table, or", id="no table"),
    pytest.param('CREATE TABLE public."Jobs_Log" ()', {}, r'did you mean public\."Jobs_Log"\?', id="another spelling"),
    pytest.param("CREATE TABLE public.job_logs ()", {}, r"did you mean public\.job_logs\?", id="a similar name"),
    pytest.param("", {"jobs_log_table": "Jobs-Log; drop"}, "is not a table name; write schema.table", id="no name"),
    pytest.param("", {"jobs_log_table": "a.b.c"}, "is not a table name", id="three parts"),
    pytest.param("", {"jobs_log_table": ""}, "is not a table name", id="empty"),
    pytest.param("", {"jobs_log_table": '"unclosed'}, "is not a table name", id="unclosed quote"),
    pytest.param("CREATE VIEW public.jobs_log AS SELECT 1", {}, "is a view, not a table; name the table", id="a view"),
    pytest.param(
        table(job_name=None, jobname="text"), {},
        r"has no column job_name .*did you mean jobname\?\); map it in \[jobmon\] jobs_log_columns: job_name=",
        id="no job_name",
    ),
    pytest.param(table(started_at=None), {}, "public.jobs_log has no column started_at", id="no started_at"),
    pytest.param(table(), {"jobs_log_columns": {"status": "state"}}, r"has no column state", id="mapped to nothing"),
    pytest.param(
        table(error_message=None), {"jobs_log_columns": {"error_message": "err"}}, "has no column err",
        id="optional but mapped",
    ),
    pytest.param(
        table(started_at="bigint"), {},
        "column started_at of public.jobs_log is of type bigint, which cannot be read as started_at", id="epoch",
    ),
    pytest.param(table(records_updated="text"), {}, "it must be a number", id="records as text"),
    pytest.param(table(completed_at="time"), {}, "it must be timestamp with time zone", id="time of day"),
]  # fmt: skip


@pytest.mark.parametrize(("ddl", "settings", "message"), REFUSED)
def test_a_table_that_does_not_fit_is_refused_in_one_line_before_anything_is_changed(
    empty_database: str, ddl: str, settings: dict[str, Any], message: str
):
    with connect(empty_database) as conn:
        if ddl:
            conn.execute(ddl)
        with pytest.raises(SchemaProblem, match=message) as caught:
            migrate(conn, Settings(**settings))
        assert "\n" not in str(caught.value)
        assert conn.execute("SELECT to_regnamespace('airflow_jobmon')").fetchone() == (None,)


def test_a_mapping_that_is_refused_keeps_the_previous_one(database):
    with connect(database) as conn:
        with pytest.raises(SchemaProblem):
            migrate(conn, Settings(jobs_log_columns={"status": "nowhere"}))
        assert conn.execute("SELECT jobs_log_columns FROM airflow_jobmon.installation").fetchone() == ({},)
        check_schema(conn)


def test_a_database_newer_than_the_package_is_refused(database):
    with connect(database) as conn:
        conn.execute("INSERT INTO airflow_jobmon.migrations VALUES (9999, 'from the future')")
        for act in (lambda: check_schema(conn), lambda: migrate(conn, Settings())):
            with pytest.raises(SchemaProblem, match=r"is at migration 9999, .*upgrade airflow-provider-jobmon"):
                act()


def test_a_database_that_was_never_migrated_is_refused(empty_database):
    with (
        connect(empty_database) as conn,
        pytest.raises(SchemaProblem, match="is not migrated; run `airflow jobmon migrate`"),
    ):
        check_schema(conn)


def test_an_error_names_the_permission_that_a_role_lacks(database, empty_database, conn):
    conn.execute("DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    with connect(database.replace("user=postgres", "user=stranger")) as stranger:
        with pytest.raises(SchemaProblem, match="role 'stranger' may not read the schema airflow_jobmon"):
            check_schema(stranger)
        with pytest.raises(SchemaProblem, match="role 'stranger' lacks permission to migrate: permission denied"):
            migrate(stranger, Settings())
    with (
        connect(empty_database.replace("user=postgres", "user=stranger")) as stranger,
        pytest.raises(SchemaProblem, match="role 'stranger' lacks permission to migrate: permission denied"),
    ):
        migrate(stranger, Settings())


def test_a_read_only_database_is_refused(empty_database):
    with connect(empty_database) as conn:
        conn.execute("SET default_transaction_read_only = on")
        with pytest.raises(SchemaProblem, match=r"is read-only .* migrate on the primary"):
            migrate(conn, Settings())


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server that asks for passwords."""
    with temporary_postgres() as server:
        with psycopg.connect(server.conninfo(), autocommit=True) as conn:
            conn.execute("CREATE ROLE careful LOGIN PASSWORD 'right'")
            (path,) = conn.execute("SHOW hba_file").fetchone() or ("",)
            hba = Path(path)
            hba.write_text(
                "host all careful 127.0.0.1/32 scram-sha-256\nhost template1 nobody_here all reject\n" + hba.read_text()
            )
            conn.execute("SELECT pg_reload_conf()")
        yield server


def refused(conninfo: str) -> str:
    with pytest.raises(ConnectionProblem) as caught:
        connect(conninfo).close()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_wrong_password_is_named_and_never_shown(locked):
    message = refused(locked.conninfo(user="careful", password="s3cr3t-wrong"))
    assert "password authentication failed" in message
    assert "correct the login and password" in message
    assert "s3cr3t" not in message
    with connect(locked.conninfo(user="careful", password="right")) as conn:
        assert conn.execute("SELECT current_user").fetchone() == ("careful",)


def test_a_missing_password_a_missing_database_and_a_missing_role_are_named(locked):
    assert "no password supplied" in refused(locked.conninfo(user="careful"))
    assert 'database "nowhere" does not exist; check the connection' in refused(locked.conninfo("nowhere"))
    assert 'role "noone" does not exist' in refused(locked.conninfo(user="noone"))


def test_a_server_that_does_not_exist_is_named():
    port = free_port()
    message = refused(f"host=127.0.0.1 port={port} user=me dbname=x password=s3cr3t")
    assert f"127.0.0.1:{port} as 'me'" in message
    assert "refused; is the server running there?" in message
    assert "s3cr3t" not in message


def test_connecting_to_a_silent_server_times_out():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = refused(f"host=127.0.0.1 port={silent.getsockname()[1]} user=me connect_timeout=2")
    assert "timeout" in message


@pytest.mark.parametrize("conninfo", ["password=s3cr3t host", "postgresql://me:s3cr3t@[bad/x", "hoost=s3cr3t"])
def test_a_connection_string_that_cannot_be_read_is_not_echoed(conninfo):
    message = refused(conninfo)
    assert "cannot be read" in message
    assert "s3cr3t" not in message


async def test_the_async_connection_raises_the_same_error():
    port = free_port()
    with pytest.raises(ConnectionProblem, match="refused; is the server running there"):
        await aconnect(f"host=127.0.0.1 port={port} user=me")


STATE = (
    "SELECT current_setting('TimeZone'), current_setting('transaction_isolation'), current_setting('application_name')"
)


def test_a_connection_is_in_the_same_state_whatever_the_defaults_are(database, conn):
    conn.execute(f"ALTER DATABASE {conn.info.dbname} SET TimeZone = 'Asia/Tokyo'")
    conn.execute(f"ALTER DATABASE {conn.info.dbname} SET default_transaction_isolation = 'serializable'")
    with connect(database) as ours:
        expected = ("UTC", "read committed", "airflow_jobmon")
        assert ours.execute(STATE).fetchone() == expected
        with ours.transaction():
            assert ours.execute(STATE).fetchone() == expected


async def test_an_async_connection_is_in_that_state_too(database, conn):
    conn.execute(f"ALTER DATABASE {conn.info.dbname} SET default_transaction_isolation = 'repeatable read'")
    async with await aconnect(database) as ours:
        found = await (await ours.execute(STATE)).fetchone()
        assert found == ("UTC", "read committed", "airflow_jobmon")
