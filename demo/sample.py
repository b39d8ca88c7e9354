"""The sample system: agencies, their students' installments, and jobs that log themselves in jobs_log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]

SQL = Path(__file__).with_name("sql")
INSTALLMENTS, REMINDERS, BANK_SYNC = "update-installment-statuses", "send-payment-reminders", "sync-bank-transactions"

PROCEDURES = {INSTALLMENTS: "update_installment_statuses", REMINDERS: "send_payment_reminders"}
"""The jobs with a procedure; the others only have rows in the log."""


def create(conn: Connection, now: datetime | None = None) -> int:
    """Make the tables and procedures, the agencies and 90 days of runs up to `now`; returns how many runs.

    The same `now` gives the same rows. `conn` must be in autocommit mode; nothing is left behind by a failure.
    """
    with conn.transaction():
        conn.execute((SQL / "system.sql").read_text())
        moment = (now or datetime.now(UTC)).isoformat()
        conn.execute("SELECT set_config('sample.now', %s, true)", [moment])
        conn.execute((SQL / "people.sql").read_text())
        loaded = conn.execute((SQL / "history.sql").read_text()).rowcount
    conn.execute("ANALYZE")
    return loaded


def run_job(conn: Connection, name: str) -> str | None:
    """Run a job that is a procedure, as pg_cron would; returns its error, None when it succeeded.

    Outside of any transaction block: the procedure commits its running row before it works.
    """
    try:
        conn.execute(f"CALL public.{PROCEDURES[name]}()")
    except psycopg.Error as error:
        return error.diag.message_primary or str(error)
    return None


def bank_answers(conn: Connection, answers: bool) -> None:
    """Let the bank answer or not; update-installment-statuses cannot work without it."""
    conn.execute("UPDATE public.bank_gateway SET answers = %s", [answers])


def move_agency(conn: Connection, name: str, time_zone: str) -> None:
    """Write a time zone to an agency; one with a typo in it breaks send-payment-reminders."""
    conn.execute("UPDATE public.agencies SET time_zone = %s WHERE name = %s", [time_zone, name])


def add_past_due(conn: Connection, count: int) -> None:
    """Give `count` plans one more pending installment that fell due three days ago: the next run has work."""
    conn.execute(
        """
        INSERT INTO public.installments (payment_plan_id, amount, student_due_date)
        SELECT id, 100, (clock_timestamp() AT TIME ZONE 'UTC')::date - 3 FROM public.payment_plans ORDER BY id LIMIT %s
        """,
        [count],
    )


def count_installments(conn: Connection, status: str) -> int:
    row = conn.execute("SELECT count(*) FROM public.installments WHERE status = %s", [status]).fetchone()
    return int(row[0]) if row else 0


def count_past_due(conn: Connection) -> int:
    """Pending installments whose due date has passed where their agency is."""
    row = conn.execute(
        """
        SELECT count(*) FROM public.installments i JOIN public.payment_plans p ON p.id = i.payment_plan_id
        JOIN public.agencies a ON a.id = p.agency_id
        WHERE i.status = 'pending' AND i.student_due_date < public.agency_today(a.time_zone, clock_timestamp())
        """
    ).fetchone()
    return int(row[0]) if row else 0


def last_started(conn: Connection, name: str) -> datetime | None:
    row = conn.execute("SELECT max(started_at) FROM public.jobs_log WHERE job_name = %s", [name]).fetchone()
    return row[0] if row else None


def log_success(conn: Connection, name: str) -> None:
    """Log a run that began and ended well just now, with as many records as the one before."""
    conn.execute(
        """
        INSERT INTO public.jobs_log (job_name, completed_at, status, records_updated)
        SELECT %(name)s, clock_timestamp(), 'success', (
            SELECT records_updated FROM public.jobs_log WHERE job_name = %(name)s ORDER BY started_at DESC LIMIT 1
        )
        """,
        {"name": name},
    )


def last_ended(conn: Connection, name: str) -> datetime:
    """When the newest run of `name` ended."""
    row = conn.execute(
        "SELECT completed_at FROM public.jobs_log WHERE job_name = %s ORDER BY started_at DESC LIMIT 1", [name]
    ).fetchone()
    if row is None or row[0] is None:
        raise LookupError(f"the sample's log has no finished run of {name}")
    ended: datetime = row[0]
    return ended.astimezone(UTC)


def backdate_last_run(conn: Connection, name: str, started_at: datetime) -> None:
    """Leave `name` with its newest run at `started_at`, as if none had run since.

    It saves the demo from waiting 25 minutes for a job that comes every 20.
    """
    with conn.transaction():
        conn.execute("DELETE FROM public.jobs_log WHERE job_name = %s AND started_at > %s", [name, started_at])
        conn.execute(
            "INSERT INTO public.jobs_log (job_name, started_at, completed_at, records_updated, status)"
            " VALUES (%s, %s, %s + interval '6 seconds', 21, 'success')",
            [name, started_at, started_at],
        )
