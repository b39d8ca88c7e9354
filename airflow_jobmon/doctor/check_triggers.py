"""Checks of how a failed run gets noted: the triggers, their function, and what may silence them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.inactive_triggers import not_firing
from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, listed, ok, quoted, warning, wrong

_LATE = "failed runs are found only by the watchers' sweep"
_ORPHANED = timedelta(minutes=5)


def trigger(patient: Patient) -> Iterator[Diagnosis]:
    names = ("airflow_jobmon_failed_insert", "airflow_jobmon_failed_update")
    silent = list(not_firing(patient, names, function="note_failed_run", so=_LATE, say=wrong))
    yield from silent or [ok("both triggers are on the job log and enabled")]


def trigger_function(patient: Patient) -> Iterator[Diagnosis]:
    found = patient.ask("noting")
    if not found:
        yield wrong(f"the function airflow_jobmon.note_failed_run is gone; {_LATE}", "run `airflow jobmon migrate`")
        return
    [function] = found
    if not function.as_owner:
        yield wrong(
            "the function airflow_jobmon.note_failed_run has the rights of whoever logs a run (SECURITY INVOKER); "
            f"where those do not reach, {_LATE}",
            "run `airflow jobmon migrate`",
        )
    if function.lacking:
        yield wrong(
            f"the triggers note failed runs as role {function.role!r}, which lacks {listed(function.lacking)}; {_LATE}",
            f"grant that to {quoted(function.role)} again",
        )
    elif function.as_owner:
        yield ok(f"notes failed runs as role {function.role!r}, which has the rights")


def replication(patient: Patient) -> Iterator[Diagnosis]:
    feeding = patient.ask("subscriptions")
    skipped = [row for row in feeding if row.fire < 2]
    for row in skipped:
        yield wrong(
            f"subscription {row.name} writes to {row.relation} by logical replication, for which the triggers do not "
            f"fire; {_LATE}",
            f"ALTER TABLE {row.relation} ENABLE ALWAYS TRIGGER airflow_jobmon_failed_insert, "
            "ENABLE ALWAYS TRIGGER airflow_jobmon_failed_update",
        )
    replicas = patient.ask("replica_sessions")
    if replicas:
        yield wrong(
            f"session_replication_role is replica for {listed(row.who for row in replicas)}: no ordinary trigger fires "
            f"for what is logged so; {_LATE}",
            "reset it there (ALTER ROLE or DATABASE ... RESET session_replication_role), or make both triggers "
            "ENABLE ALWAYS",
        )
    if not skipped and not replicas:
        yield ok("fed by replication, and the triggers fire for it" if feeding else "no replication skips the triggers")


def prepared_transactions(patient: Patient, *, orphaned_after: timedelta = _ORPHANED) -> Iterator[Diagnosis]:
    orphans = patient.ask("prepared", older_than=orphaned_after)
    for row in orphans:
        seen = f"transaction {row.gid!r} of role {row.owner!r} was prepared {roughly(row.age)} ago and never ended"
        advice = (
            f"in this database, COMMIT PREPARED or ROLLBACK PREPARED {_literal(row.gid)}, whichever its owner meant"
        )
        if row.in_the_way:
            yield wrong(f"{seen}; it holds locks on the job log or our tables, and its runs are invisible", advice)
        else:
            yield warning(f"{seen}; it keeps vacuum from cleaning up, which slows everything down", advice)
    found = patient.ask_one("two_phase")
    if found.allowed and not found.notify_off:
        of_roles = f" (it is for {found.roles_off})" if found.roles_off else ""
        seen = (
            f"max_prepared_transactions is {found.allowed} and airflow_jobmon.notify is not off{of_roles}: a "
            "transaction that logs a failed run cannot PREPARE TRANSACTION"
        )
        advice = (
            "where jobs use two-phase commit: ALTER ROLE <their role> SET airflow_jobmon.notify = off (their failures "
            "are then found by the sweep)"
        )
        if found.prepared and not found.roles_off:
            yield wrong(f"{seen}; and some are prepared at this moment", advice)
        else:
            yield warning(seen, advice)
    elif not orphans:
        yield ok(
            "airflow_jobmon.notify is off, so failed runs may be prepared; they are found by the sweep"
            if found.allowed
            else "the server allows none"
        )


def notification_queue(patient: Patient) -> Iterator[Diagnosis]:
    found = patient.ask_one("notification_queue")
    seen = f"the server's notification queue is {found.used:.0%} full"
    advice = "end the session that listens but never finishes its transaction: it holds the queue"
    if found.pid is not None:
        advice += (
            f"; longest in one: {found.who} ({roughly(found.age)}), end it by SELECT pg_terminate_backend({found.pid})"
        )
    if found.used >= 0.5:
        yield wrong(f"{seen}: the triggers have stopped to notify; {_LATE}", advice)
    elif found.used >= 0.1:
        yield warning(f"{seen}; from 50% on the triggers stop to notify", advice)
    else:
        yield ok(seen)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
