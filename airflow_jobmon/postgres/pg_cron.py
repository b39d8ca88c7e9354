"""Removes the schedule of a job from pg_cron, and restores it exactly as it was, apart from its number."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from psycopg import Connection, Error
from psycopg.rows import class_row

from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.queries import load_queries


@dataclass(frozen=True, slots=True)
class CronJob:
    """One row of cron.job; jobname is None for one that was scheduled without a name."""

    jobid: int
    jobname: str | None
    schedule: str
    command: str
    database: str
    username: str
    active: bool

    def __str__(self) -> str:
        return f"{self.jobname or f'number {self.jobid}'} ({self.schedule})"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def find_cron_job(conn: Connection[Any], job_name: str, named: str | None) -> CronJob:
    """The schedule of a job: the one `named` (name or number), else the only one that mentions the job.

    Raises ConfigurationError where there is none, where there are several, or where this database has no pg_cron.
    """
    queries = load_queries("pg_cron")
    installed, database = conn.execute(queries["is_installed"]).fetchone() or (False, "?")
    if not installed:
        raise ConfigurationError(
            f"database {database!r} has no table cron.job, so pg_cron is not installed in it; leave out --unschedule"
        )
    with conn.cursor(row_factory=class_row(CronJob)) as cursor:
        found = cursor.execute(queries["find"], {"job_name": job_name, "named": named}).fetchall()
    if len(found) == 1:
        return found[0]
    if named is not None:
        raise ConfigurationError(f"cron.job has {len(found) or 'no'} job(s) called {named[:60]!r}; see its names there")
    if found:
        raise ConfigurationError(
            f"several jobs in cron.job mention {job_name[:60]!r}: {', '.join(map(str, found))[:300]}; "
            "select one with --cron-job"
        )
    raise ConfigurationError(
        f"no job in cron.job mentions {job_name[:60]!r} (another drill may have removed it for now); "
        "select it with --cron-job"
    )


def unschedule(conn: Connection[Any], job: CronJob) -> bool:
    """Remove the schedule, in the caller's transaction; False where another session removed it meanwhile.

    First checks that it can be restored. Raises ConfigurationError, and changes nothing, where it cannot.
    """
    queries = load_queries("pg_cron")
    conn.execute(queries["lock"], job.as_json())
    if not is_scheduled(conn, job):
        return False
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(queries["unschedule"], job.as_json())
            put_back(conn, job)
            if not is_scheduled(conn, job):
                raise ConfigurationError(f"pg_cron did not restore {job} as it was; nothing was changed")
    except Error as error:
        raise ConfigurationError(
            f"role {conn.info.user!r} could not remove {job} from pg_cron and restore it: "
            f"{error.diag.message_primary or error}; nothing was changed; leave out --unschedule, or connect as "
            f"{job.username!r} or a superuser"
        ) from None
    conn.execute(queries["unschedule"], job.as_json())
    return True


def put_back(conn: Connection[Any], job: CronJob) -> bool:
    """Restore the schedule; False where it is back already, or where another job has its name now."""
    queries, given = load_queries("pg_cron"), job.as_json()
    with conn.transaction():
        conn.execute(queries["lock"], given)
        if is_scheduled(conn, job) or _value(conn, "taken_name", given) is not None:
            return False
        ours = bool(_value(conn, "is_default", given))
        if job.jobname is None:
            given["jobid"] = _value(conn, "schedule_unnamed", given)
            if not ours:
                conn.execute(queries["alter_any"], given)
        elif not ours:
            conn.execute(queries["schedule_any"], given)
        else:
            # This takes no more rights than scheduling; the other functions are for superusers and those they allow.
            given["jobid"] = _value(conn, "schedule_own", given)
        if ours and not job.active:
            conn.execute(queries["alter_active"], given)
    return True


def is_scheduled(conn: Connection[Any], job: CronJob) -> bool:
    return _value(conn, "same", job.as_json()) is not None


def _value(conn: Connection[Any], query: str, given: dict[str, Any]) -> Any:
    row = conn.execute(load_queries("pg_cron")[query], given).fetchone()
    return row[0] if row else None
