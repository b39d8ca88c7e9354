"""The missed drill (Test 2): finds and alerts a missed run without waiting for one or keeping the job from running.

The job is evaluated as of a second after its next run is due, from what the log shows now: that is what the evaluation
will find if no run starts. If pg_cron runs the job, its schedule can be removed for the duration of the drill.
"""

from __future__ import annotations

from datetime import timedelta

from airflow_jobmon.core.drills.drill_alerts import missed_drill_alert
from airflow_jobmon.core.drills.drills import MISSED, DrillResult, check_drill
from airflow_jobmon.core.model.health import Finding, Health, JobHealth, Kind
from airflow_jobmon.core.times import to_the_second
from airflow_jobmon.drills.delivery_check import follow
from airflow_jobmon.drills.session import Connection, Drill, DrillOptions, drill_session
from airflow_jobmon.errors import ConfigurationError, SchemaProblem
from airflow_jobmon.monitoring.checks import assess_jobs
from airflow_jobmon.monitoring.evaluation import channels_of
from airflow_jobmon.postgres.incidents import AddressedAlert, IncidentRepository
from airflow_jobmon.postgres.pg_cron import CronJob, find_cron_job, is_scheduled, put_back, unschedule
from airflow_jobmon.settings import Settings

_PAST_DUE = timedelta(seconds=1)


def run_missed_drill(
    conn: Connection,
    settings: Settings,
    job_name: str,
    options: DrillOptions,
    *,
    off_pg_cron: bool = False,
    cron_job: str | None = None,
) -> DrillResult:
    """Check that a missed run of this job would be found, and send the alert for it.

    off_pg_cron removes the job's schedule from pg_cron and restores it at the end: the schedule that `cron_job` names,
    or the only one that mentions the job. Raises UnknownJob, and ConfigurationError for a job without a deadline;
    nothing was changed then.
    """
    check_drill(MISSED, job_name)
    health = _expected_health(conn, settings, job_name)
    with drill_session(conn, MISSED, job_name, options) as drill:
        removed = _remove_schedule(drill, find_cron_job(conn, job_name, cron_job)) if off_pg_cron else None
        try:
            _look_ahead(drill, settings, health)
        finally:
            if removed is not None:
                drill.clean_up("schedule restored", lambda: _restore_schedule(drill, removed))
    return drill.result


def _expected_health(conn: Connection, settings: Settings, job_name: str) -> JobHealth:
    healths = assess_jobs(conn, settings, [job_name])
    if not healths:
        raise ConfigurationError(
            f"job {job_name[:100]!r} is disabled, so no missed run would be noticed; enable it first"
        )
    if healths[0].next_due_at is None:
        raise ConfigurationError(
            f"job {job_name[:100]!r} has no deadline, so no missed run would be noticed; say when it should run: "
            "airflow jobmon jobs apply FILE.yaml"
        )
    return healths[0]


def _look_ahead(drill: Drill, settings: Settings, health: JobHealth) -> None:
    due = health.next_due_at
    assert due is not None  # noqa: S101 - _expected_health checked it
    drill.add("next run is expected", "a deadline", f"due by {to_the_second(due)}", ok=True)
    ahead = assess_jobs(drill.conn, settings, [drill.job_name], at=due + _PAST_DUE)
    finding = ahead[0].finding(Kind.MISSED) if ahead else None
    critical = finding is not None and finding.severity is Health.CRITICAL
    drill.add(
        "evaluated a second later",
        "critical: missed",
        f"{ahead[0].status.value}: {', '.join(found.kind.value for found in ahead[0].findings)}"
        if ahead
        else "nothing",
        ok=critical,
    )
    if finding is None:
        return
    drill.add("finding says since when", "hours since the last run", finding.message, ok="hours" in finding.message)
    _alert(drill, settings, ahead[0], finding)


def _alert(drill: Drill, settings: Settings, health: JobHealth, finding: Finding) -> None:
    repository = IncidentRepository(drill.conn)
    [state] = repository.request_states([drill.job_name])()
    channels = channels_of(state.job, settings, repository.request_installation()())
    now = drill.journal.now()
    with drill.conn.transaction():
        alert = missed_drill_alert(finding, health, state.job, drill.id, now, settings.base_url)
        repository.insert_alerts([AddressedAlert(alert, None, channels)])
    stored = drill.journal.find_alert(drill.job_name)
    drill.add(
        "alert written",
        "in the outbox",
        f"alert {stored.alert_id}" if stored else "none",
        ok=stored is not None,
        seconds=(stored.at - now).total_seconds() if stored else None,
    )
    if stored is not None:
        follow(drill, stored.alert_id, now, channels)


def _remove_schedule(drill: Drill, job: CronJob) -> CronJob:
    """Record it in the same transaction, so that a killed drill never leaves a job without its schedule."""
    with drill.conn.transaction():
        drill.journal.keep_cron_job(job.as_json())
        if not unschedule(drill.conn, job):
            raise ConfigurationError(f"another session just removed {job} from pg_cron; nothing was changed")
    gone = not is_scheduled(drill.conn, job)
    drill.add(
        "schedule removed from pg_cron", "not in cron.job", "removed" if gone else f"{job} is still there", ok=gone
    )
    return job


def _restore_schedule(drill: Drill, job: CronJob) -> str:
    with drill.conn.transaction():
        scheduled = put_back(drill.conn, job)
        drill.journal.forget_leftovers()
        if not is_scheduled(drill.conn, job):
            raise SchemaProblem(f"{job} is not in cron.job as it was; look up its name there and schedule it by hand")
    return f"{job} is back as it was" if scheduled else f"another session already restored {job}"
