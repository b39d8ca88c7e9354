"""The doctor's checks of privileges and row level security."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from airflow_jobmon.doctor.result import CheckState
from airflow_jobmon.postgres.connect import connect
from tests.support.doctor_checks import NOT_OK_IN_TESTS, run_database_checks
from tests.support.logged_runs import log_run
from tests.support.postgres_server import Postgres


@pytest.fixture
def role(postgres: Postgres) -> Iterator[str]:
    """A role that may log in and nothing else."""
    name = f"limited-{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        yield name
        # Its database, and with it what it owned and was granted there, is gone by now.
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def limited(role: str, database: str) -> Iterator[str]:
    """Conninfo of that role to a migrated database where it has been granted nothing yet."""
    yield database.replace("user=postgres", f"user={role}")
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(sql.SQL("REASSIGN OWNED BY {} TO postgres").format(sql.Identifier(role)))
        owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))


def grant_operator(conn: psycopg.Connection, role: str) -> None:
    name = sql.Identifier(role)
    for statement in (
        "GRANT USAGE ON SCHEMA airflow_jobmon TO {}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA airflow_jobmon TO {}",
    ):
        conn.execute(sql.SQL(statement).format(name))


def test_a_role_with_the_operators_privileges_is_ok(conn, limited, role):
    grant_operator(conn, role)
    log_run(conn, "load")
    assert run_database_checks(limited).not_ok() == NOT_OK_IN_TESTS


def test_a_role_without_any_privilege(limited, role):
    seen = run_database_checks(limited)
    assert seen.not_ok() == {"schema"}
    assert f"role {role!r} may not read the schema" in seen.only("schema").seen


def test_a_role_that_lacks_some_privileges(conn, limited, role):
    grant_operator(conn, role)
    name = sql.Identifier(role)
    conn.execute(sql.SQL("REVOKE UPDATE, DELETE ON airflow_jobmon.deliveries FROM {}").format(name))
    conn.execute(sql.SQL("REVOKE SELECT ON airflow_jobmon.events FROM {}").format(name))
    seen = run_database_checks(limited)
    assert seen.only("rights").state is CheckState.WRONG
    assert "deliveries (UPDATE, DELETE), events (SELECT)" in seen.only("rights").seen
    assert role in seen.only("rights").advice
    assert "could not be checked: permission denied for table events" in seen.only("events").seen
    assert seen.only("deliveries").state is CheckState.OK


def test_a_view_whose_owner_may_not_read_the_log(conn, limited, role):
    grant_operator(conn, role)
    conn.execute(sql.SQL("GRANT CREATE ON SCHEMA airflow_jobmon TO {}").format(sql.Identifier(role)))
    conn.execute(sql.SQL("ALTER VIEW airflow_jobmon.runs OWNER TO {}").format(sql.Identifier(role)))
    rights = run_database_checks(limited).only("rights")
    assert rights.state is CheckState.WRONG
    assert "permission denied for table jobs_log" in rights.seen


# Row level security


@pytest.fixture
def owned(conn, limited, role) -> str:
    """The log and our schema as a role owns them that is no superuser, as on Supabase or RDS."""
    name = sql.Identifier(role)
    for statement in (
        "GRANT CREATE ON SCHEMA public, airflow_jobmon TO {}",
        "ALTER TABLE public.jobs_log OWNER TO {}",
        "ALTER VIEW airflow_jobmon.runs OWNER TO {}",
    ):
        conn.execute(sql.SQL(statement).format(name))
    grant_operator(conn, role)
    return limited


def secure(conn: psycopg.Connection, *more: str) -> None:
    for statement in ("ALTER TABLE public.jobs_log ENABLE ROW LEVEL SECURITY", *more):
        conn.execute(statement)


def test_row_level_security_does_not_apply_to_the_owner(conn, owned):
    secure(conn)
    assert run_database_checks(owned).only("row security").state is CheckState.OK


def test_forced_row_level_security_hides_rows_even_from_the_owner(conn, owned, role):
    log_run(conn, "load")
    secure(conn, "ALTER TABLE public.jobs_log FORCE ROW LEVEL SECURITY")
    with connect(owned) as as_owner:
        assert as_owner.execute("SELECT count(*) FROM airflow_jobmon.runs").fetchone() == (0,)
    found = run_database_checks(owned).only("row security")
    assert found.state is CheckState.WRONG
    assert f"public.jobs_log is read by role {role!r}" in found.seen
    assert "even from its owner (FORCE): all of them" in found.seen
    # The advice helps.
    conn.execute(found.advice.partition("; or ")[2])
    with connect(owned) as as_owner:
        assert as_owner.execute("SELECT count(*) FROM airflow_jobmon.runs").fetchone() == (1,)
    assert run_database_checks(owned).only("row security").state is CheckState.OK


def test_row_level_security_applies_to_a_view_owner_without_bypassrls(conn, owned, role):
    secure(conn, "ALTER TABLE public.jobs_log OWNER TO postgres")
    conn.execute(sql.SQL("GRANT SELECT ON public.jobs_log TO {}").format(sql.Identifier(role)))
    found = run_database_checks(owned).only("row security")
    assert found.state is CheckState.WRONG
    assert "neither owns the table nor has BYPASSRLS: all of them" in found.seen
    conn.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(sql.Identifier(role)))
    assert run_database_checks(owned).only("row security").state is CheckState.OK


@pytest.mark.parametrize(
    ("policy", "hides"),
    [
        pytest.param("CREATE POLICY p ON public.jobs_log USING (true)", None, id="all rows for all roles"),
        pytest.param(
            "CREATE POLICY p ON public.jobs_log FOR SELECT TO {} USING (true)", None, id="all rows for our role"
        ),
        pytest.param("CREATE POLICY p ON public.jobs_log TO pg_monitor USING (true)", "all of them", id="for others"),
        pytest.param(
            "CREATE POLICY p ON public.jobs_log FOR INSERT WITH CHECK (true)", "all of them", id="only to write"
        ),
        pytest.param(
            "CREATE POLICY p ON public.jobs_log USING (job_name LIKE 'a%')",
            "all but those allowed by these policies: p USING ((job_name ~~ 'a%'::text))",
            id="some",
        ),
        pytest.param(
            "CREATE POLICY p ON public.jobs_log USING (true); "
            "CREATE POLICY q ON public.jobs_log AS RESTRICTIVE USING (job_name LIKE 'a%')",
            "p USING (true), q USING",
            id="a restrictive one too",
        ),
    ],
)
def test_every_policy_but_one_that_allows_all_rows_hides_rows(conn, owned, role, policy, hides):
    secure(conn, "ALTER TABLE public.jobs_log FORCE ROW LEVEL SECURITY")
    conn.execute(policy.replace("{}", f'"{role}"'))
    found = run_database_checks(owned).only("row security")
    assert found.state is (CheckState.WRONG if hides else CheckState.OK)
    assert hides is None or hides in found.seen


def test_a_view_that_reads_the_log_as_its_caller(conn, limited, role):
    grant_operator(conn, role)
    conn.execute(sql.SQL("GRANT SELECT ON public.jobs_log TO {}").format(sql.Identifier(role)))
    secure(conn)
    assert run_database_checks(limited).only("row security").state is CheckState.OK
    conn.execute("ALTER VIEW airflow_jobmon.runs SET (security_invoker = on)")
    assert role in run_database_checks(limited).only("row security").seen


def test_row_level_security_on_our_own_tables(conn, limited, role):
    grant_operator(conn, role)
    conn.execute("ALTER TABLE airflow_jobmon.events ENABLE ROW LEVEL SECURITY")
    found = run_database_checks(limited).only("row security")
    assert found.state is CheckState.WRONG
    assert found.seen.startswith("airflow_jobmon.events is read by")
    conn.execute(found.advice.partition("; or ")[2])
    assert run_database_checks(limited).only("row security").state is CheckState.OK
