"""Checks of the job log: the table, privileges, row level security, the index, and the status words."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import errors

from airflow_jobmon.core.text import counted
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, error_text, listed, not_checked, ok, quote_name, warning, wrong
from airflow_jobmon.postgres.migration_script import mapping_json

_MIGRATE = "run `airflow jobmon migrate` as the table's owner"


def job_log(installation: CheckedInstallation) -> Iterator[CheckResult]:
    columns, words = mapping_json(installation.settings)
    given = installation.settings.jobs_log_table
    found = installation.fetch_one("job_log", table=given, columns=columns, words=words)
    installation.log = found.log
    if found.log is None:
        yield wrong(
            f"the view airflow_jobmon.runs is missing, which happens when {found.installed} is dropped with CASCADE: "
            "no run can be read",
            f"make sure that {given} exists, then {_MIGRATE}",
        )
    elif found.configured is None:
        yield wrong(
            f"[jobmon] jobs_log_table names {given}, which does not exist; the watched table is {found.log_name}",
            f"correct jobs_log_table, or {_MIGRATE} after creating the table",
        )
    elif found.configured_oid != found.log:
        yield wrong(
            f"the watched table is {found.log_name}, but [jobmon] jobs_log_table names another one, {found.configured} "
            "(was the table renamed and replaced?): runs logged there are not seen",
            f"{_MIGRATE}, or correct jobs_log_table",
        )
    elif not (found.same_columns and found.same_words):
        changed = listed(
            name
            for name, same in (("jobs_log_columns", found.same_columns), ("status_words", found.same_words))
            if not same
        )
        yield warning(
            f"{changed} in section [jobmon] differs from what the database was migrated with, and has no effect yet",
            f"{_MIGRATE}, or give every Airflow component the same configuration",
        )
    else:
        yield ok(f"{found.log_name}, as configured")


def rights(installation: CheckedInstallation) -> Iterator[CheckResult]:
    role = installation.fetch_one("server").role
    try:
        installation.fetch_all("read_log")
        readable = True
    except errors.InsufficientPrivilege as error:
        readable = False
        yield wrong(
            f"the job log cannot be read: {error_text(error)} (the view airflow_jobmon.runs reads it as its owner)",
            "GRANT SELECT on that table to the owner of the view airflow_jobmon.runs",
        )
    lacking = installation.fetch_all("rights")
    if lacking:
        tables = listed((f"{row.relation} ({row.lacking})" for row in lacking), most=4)
        yield wrong(
            f"role {role!r} lacks privileges in schema airflow_jobmon: {tables}",
            f"run sql/psql/grants.sql as the schema's owner, then GRANT jobmon_operator TO {quote_name(role)}",
        )
    elif readable:
        yield ok(f"role {role!r} may read the job log and write our tables")


def row_security(installation: CheckedInstallation) -> Iterator[CheckResult]:
    hidden = installation.fetch_all("row_security")
    if not hidden:
        yield ok("row level security hides no rows from us")
    for row in hidden:
        why = "even from its owner (FORCE)" if row.forced else "because it neither owns the table nor has BYPASSRLS"
        policies = f"all but those allowed by these policies: {row.policies}" if row.policies else "all of them"
        yield wrong(
            f"{row.relation} is read by role {row.role!r}, and row level security hides rows {why}: {policies}",
            f"as a superuser, ALTER ROLE {quote_name(row.role)} BYPASSRLS; or CREATE POLICY jobmon ON {row.relation} "
            + (
                f"FOR SELECT TO {quote_name(row.role)} USING (true)"
                if row.is_log
                else f"TO {quote_name(row.role)} USING (true)"
            ),
        )


def index(installation: CheckedInstallation) -> Iterator[CheckResult]:
    found = installation.fetch_one("index")
    size = f" (about {counted(found.about_rows, 'row')})" if found.about_rows is not None else ""
    if found.serving:
        yield ok(f"{found.serving} serves the queries for one job")
    elif not found.can:
        yield warning(
            "job_name has a type that our index does not support: each query reads the whole table",
            "change the column to text or varchar",
        )
    elif found.unfinished:
        yield wrong(
            f"index {found.unfinished} is invalid, probably from an interrupted build: each query reads the whole "
            f"table{size}",
            f"{_MIGRATE}: it rebuilds the index without blocking the jobs",
        )
    else:
        yield wrong(
            f"no index on (job_name, started_at DESC): each query reads the whole table{size}",
            f"{_MIGRATE}: it builds the index without blocking the jobs",
        )


def status_words(installation: CheckedInstallation) -> Iterator[CheckResult]:
    try:
        found = installation.fetch_all("unmapped_status_words")
    except errors.QueryCanceled:
        yield not_checked("reading the newest runs took too long; see the check `index`")
        return
    if not found:
        yield ok("the newest runs have only status words that map to running, success or failed")
        return
    words = listed(f"{row.word!r} ({counted(row.jobs, 'job')}, e.g. {row.job_name!r})" for row in found)
    yield wrong(
        f"these status words are not mapped: {words}. A failure logged with one of them raises no alert",
        "map each in [jobmon] status_words (like failed=error|aborted, success=ok), then run `airflow jobmon migrate`",
    )
