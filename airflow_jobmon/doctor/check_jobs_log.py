"""Checks of the job log as we read it: the table, who may see its rows, the index, the words in it."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import errors

from airflow_jobmon.core.text import counted
from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, listed, not_checked, ok, quoted, reason, warning, wrong
from airflow_jobmon.postgres.migration_script import mapping_json

_MIGRATE = "run `airflow jobmon migrate` as the table's owner"


def job_log(patient: Patient) -> Iterator[Diagnosis]:
    columns, words = mapping_json(patient.settings)
    given = patient.settings.jobs_log_table
    found = patient.ask_one("job_log", table=given, columns=columns, words=words)
    patient.log = found.log
    if found.log is None:
        yield wrong(
            f"the view airflow_jobmon.runs is gone, as happens when {found.installed} is dropped with CASCADE: "
            "no run can be read",
            f"see that {given} exists, then {_MIGRATE}",
        )
    elif found.configured is None:
        yield wrong(
            f"[jobmon] jobs_log_table names {given}, which does not exist; watched is {found.log_name}",
            f"correct jobs_log_table, or {_MIGRATE} after creating the table",
        )
    elif found.configured_oid != found.log:
        yield wrong(
            f"watched is {found.log_name}, but [jobmon] jobs_log_table names another table, {found.configured} "
            "(was it renamed and replaced?): runs logged there are not seen",
            f"{_MIGRATE}, or correct jobs_log_table",
        )
    elif not (found.same_columns and found.same_words):
        changed = listed(
            name
            for name, same in (("jobs_log_columns", found.same_columns), ("status_words", found.same_words))
            if not same
        )
        yield warning(
            f"{changed} in section [jobmon] here is not what the database was migrated with, and has no effect yet",
            f"{_MIGRATE}, or give every Airflow component the same configuration",
        )
    else:
        yield ok(f"{found.log_name}, as configured")


def rights(patient: Patient) -> Iterator[Diagnosis]:
    role = patient.ask_one("server").role
    try:
        patient.ask("read_log")
        readable = True
    except errors.InsufficientPrivilege as error:
        readable = False
        yield wrong(
            f"the job log cannot be read: {reason(error)} (the view airflow_jobmon.runs reads it as the view's owner)",
            "GRANT SELECT on that table to the owner of the view airflow_jobmon.runs",
        )
    lacking = patient.ask("rights")
    if lacking:
        tables = listed((f"{row.relation} ({row.lacking})" for row in lacking), most=4)
        yield wrong(
            f"role {role!r} lacks rights in schema airflow_jobmon: {tables}",
            f"run sql/psql/grants.sql as the schema's owner, then GRANT jobmon_operator TO {quoted(role)}",
        )
    elif readable:
        yield ok(f"role {role!r} may read the job log and write what watching and delivering need")


def row_security(patient: Patient) -> Iterator[Diagnosis]:
    hidden = patient.ask("row_security")
    if not hidden:
        yield ok("no row level security hides rows from us")
    for row in hidden:
        why = "even from its owner (FORCE)" if row.forced else "from it, which neither owns the table nor has BYPASSRLS"
        policies = f"all but what these policies let through: {row.policies}" if row.policies else "all of them"
        yield wrong(
            f"{row.relation} is read by role {row.role!r}, and row level security hides rows {why}: {policies}",
            f"as a superuser, ALTER ROLE {quoted(row.role)} BYPASSRLS; or CREATE POLICY jobmon ON {row.relation} "
            + (
                f"FOR SELECT TO {quoted(row.role)} USING (true)"
                if row.is_log
                else f"TO {quoted(row.role)} USING (true)"
            ),
        )


def index(patient: Patient) -> Iterator[Diagnosis]:
    found = patient.ask_one("index")
    size = f" (about {counted(found.about_rows, 'row')})" if found.about_rows is not None else ""
    if found.serving:
        yield ok(f"{found.serving} answers questions about a job")
    elif not found.can:
        yield warning(
            "job_name is of a type that no index of ours can serve: each look reads the whole table",
            "make the column text or varchar",
        )
    elif found.unfinished:
        yield wrong(
            f"index {found.unfinished} is invalid, as an interrupted build leaves it: each look reads the whole "
            f"table{size}",
            f"{_MIGRATE}: it builds the index anew without stopping the jobs",
        )
    else:
        yield wrong(
            f"no index on (job_name, started_at DESC): each look reads the whole table{size}",
            f"{_MIGRATE}: it builds the index without stopping the jobs",
        )


def status_words(patient: Patient) -> Iterator[Diagnosis]:
    try:
        found = patient.ask("unknown_words")
    except errors.QueryCanceled:
        yield not_checked("reading the newest runs took too long (is the index there?)")
        return
    if not found:
        yield ok("the newest runs have no word but running, success and failed, as mapped")
        return
    words = listed(f"{row.word!r} ({counted(row.jobs, 'job')}, e.g. {row.job_name!r})" for row in found)
    yield wrong(
        f"nothing says what these status words mean: {words}. A failure logged so alerts nobody",
        "map each in [jobmon] status_words (like failed=error|aborted, success=ok), then run `airflow jobmon migrate`",
    )
