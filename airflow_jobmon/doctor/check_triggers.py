"""Checks of our triggers on the job log, and of anything that keeps them from recording failed runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, listed, ok, quote_name, warning, wrong

_FAILURE_TRIGGERS = ("airflow_jobmon_failed_insert", "airflow_jobmon_failed_update")
_CHANGE_TRIGGERS = ("airflow_jobmon_days_insert", "airflow_jobmon_days_update", "airflow_jobmon_days_delete")
_LATE = "only the watchers' sweep finds failed runs"
_ORPHANED = timedelta(minutes=5)

_INACTIVE = {
    None: "is missing",
    "D": "is disabled",
    "R": "fires for replicated rows only (ENABLE REPLICA TRIGGER)",
}
"""Why a trigger does not fire, by pg_trigger.tgenabled."""


def triggers(installation: CheckedInstallation) -> Iterator[CheckResult]:
    inactive = list(_inactive_triggers(installation, _FAILURE_TRIGGERS, "note_failed_run", _LATE, wrong))
    yield from inactive or [ok("both triggers are on the job log and enabled")]


def change_triggers(installation: CheckedInstallation) -> Iterator[CheckResult]:
    """The triggers that mark changes to past days, which are counted once: see check_day_stats."""
    consequence = "changes to past days go unnoticed, so every day is counted from the log each time"
    inactive = list(_inactive_triggers(installation, _CHANGE_TRIGGERS, "mark_days", consequence, warning))
    yield from inactive or [ok("all three triggers that mark changes to past days are on the job log and enabled")]


def _inactive_triggers(
    installation: CheckedInstallation,
    names: Sequence[str],
    function: str,
    consequence: str,
    result: Callable[[str, str], CheckResult],
) -> Iterator[CheckResult]:
    """A result for each reason why some of these triggers, which call `function`, do not fire."""
    inactive = installation.fetch_all("triggers", names=list(names), function=function)
    for enabled, why in _INACTIVE.items():
        found = [row for row in inactive if row.enabled == enabled]
        if found:
            triggers = listed((f"{row.trigger} on {row.relation}" for row in found), most=2)
            yield result(
                f"trigger {why}: {triggers}; {consequence}",
                "run `airflow jobmon migrate` as the table's owner"
                if enabled is None
                else f"ALTER TABLE {found[0].relation} ENABLE TRIGGER {found[0].trigger} (for each of them)",
            )


def trigger_function(installation: CheckedInstallation) -> Iterator[CheckResult]:
    found = installation.fetch_all("trigger_function")
    if not found:
        yield wrong(f"the function airflow_jobmon.note_failed_run is missing; {_LATE}", "run `airflow jobmon migrate`")
        return
    [function] = found
    if not function.as_owner:
        yield wrong(
            "the function airflow_jobmon.note_failed_run runs with the privileges of the role that logs a run "
            f"(SECURITY INVOKER); if those do not suffice, {_LATE}",
            "run `airflow jobmon migrate`",
        )
    if function.lacking:
        yield wrong(
            f"the triggers record failed runs as role {function.role!r}, which lacks {listed(function.lacking)}; "
            f"{_LATE}",
            f"grant that to {quote_name(function.role)} again",
        )
    elif function.as_owner:
        yield ok(f"records failed runs as role {function.role!r}, which has the privileges it needs")


def replication(installation: CheckedInstallation) -> Iterator[CheckResult]:
    subscriptions = installation.fetch_all("subscriptions")
    skipped = [row for row in subscriptions if row.fire < len(_FAILURE_TRIGGERS)]
    for row in skipped:
        yield wrong(
            f"subscription {row.name} writes to {row.relation} by logical replication, for which the triggers do not "
            f"fire; {_LATE}",
            f"ALTER TABLE {row.relation} ENABLE ALWAYS TRIGGER airflow_jobmon_failed_insert, "
            "ENABLE ALWAYS TRIGGER airflow_jobmon_failed_update",
        )
    replicas = installation.fetch_all("replica_sessions")
    if replicas:
        yield wrong(
            f"session_replication_role is replica for {listed(row.who for row in replicas)}: ordinary triggers do not "
            f"fire for the runs these sessions log; {_LATE}",
            "reset it there (ALTER ROLE or DATABASE ... RESET session_replication_role), or set both triggers to "
            "ENABLE ALWAYS",
        )
    if not skipped and not replicas:
        yield ok(
            "the job log is replicated from elsewhere, and the triggers fire for it"
            if subscriptions
            else "no replication bypasses the triggers"
        )


def prepared_transactions(
    installation: CheckedInstallation, *, orphaned_after: timedelta = _ORPHANED
) -> Iterator[CheckResult]:
    orphans = installation.fetch_all("prepared_transactions", older_than=orphaned_after)
    for row in orphans:
        seen = f"transaction {row.gid!r} of role {row.owner!r} was prepared {roughly(row.age)} ago and has not ended"
        advice = (
            f"in this database, run COMMIT PREPARED or ROLLBACK PREPARED {_literal(row.gid)}, as its owner intended"
        )
        if row.in_the_way:
            yield wrong(f"{seen}; it holds locks on the job log or our tables, and its runs are invisible", advice)
        else:
            yield warning(f"{seen}; it keeps vacuum from cleaning up, which slows everything down", advice)
    found = installation.fetch_one("two_phase_commit")
    if found.allowed and not found.notify_off:
        of_roles = f" (it is off for {found.roles_off})" if found.roles_off else ""
        seen = (
            f"max_prepared_transactions is {found.allowed} and airflow_jobmon.notify is not off{of_roles}: a "
            "transaction that logs a failed run cannot PREPARE TRANSACTION"
        )
        advice = (
            "for jobs that use two-phase commit: ALTER ROLE <their role> SET airflow_jobmon.notify = off (the sweep "
            "then finds their failures)"
        )
        if found.prepared and not found.roles_off:
            yield wrong(f"{seen}; and some transactions are prepared right now", advice)
        else:
            yield warning(seen, advice)
    elif not orphans:
        yield ok(
            "airflow_jobmon.notify is off, so a transaction with a failed run can be prepared; the sweep finds the run"
            if found.allowed
            else "the server does not allow prepared transactions"
        )


def notification_queue(installation: CheckedInstallation) -> Iterator[CheckResult]:
    found = installation.fetch_one("notification_queue")
    seen = f"the server's notification queue is {found.used:.0%} full"
    advice = "end the session that listens but keeps its transaction open: it blocks the queue"
    if found.pid is not None:
        advice += (
            f"; the longest open transaction is that of {found.who} ({roughly(found.age)}), end it with "
            f"SELECT pg_terminate_backend({found.pid})"
        )
    if found.used >= 0.5:
        yield wrong(f"{seen}: the triggers have stopped notifying; {_LATE}", advice)
    elif found.used >= 0.1:
        yield warning(f"{seen}; from 50% on, the triggers stop notifying", advice)
    else:
        yield ok(seen)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
