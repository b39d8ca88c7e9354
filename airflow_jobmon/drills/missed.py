"""Test 2: a missed run is found and told, without waiting for one and without keeping the job from running.

The judge is asked for its verdict a second past the moment at which the job's next run is due, from what the log shows
now: that is what it will find should no run come. Where pg_cron runs the job, its schedule may be taken off meanwhile.
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
    """Find out whether a missed run of this job would be noticed, and tell it.

    off_pg_cron takes the job's schedule off pg_cron and puts it back at the end: the one that `cron_job` names, else
    the only one that speaks of the job. Raises UnknownJob, and ConfigurationError for a job that nothing is expected
    of; nothing was changed then.
    """
    check_drill(MISSED, job_name)
    health = _expected_health(conn, settings, job_name)
    with drill_session(conn, MISSED, job_name, options) as drill:
        taken_off = _take_off(drill, find_cron_job(conn, job_name, cron_job)) if off_pg_cron else None
        try:
            _look_ahead(drill, settings, health)
        finally:
            if taken_off is not None:
                drill.clean_up("schedule put back", lambda: _put_back(drill, taken_off))
    return drill.result


def _expected_health(conn: Connection, settings: Settings, job_name: str) -> JobHealth:
    healths = assess_jobs(conn, settings, [job_name])
    if not healths:
        raise ConfigurationError(f"job {job_name[:100]!r} is disabled, so nobody would miss it; enable it first")
    if healths[0].next_due_at is None:
        raise ConfigurationError(
            f"nothing is expected of job {job_name[:100]!r}, so nobody would miss it; say when it should run: "
            "airflow jobmon jobs apply FILE.yaml"
        )
    return healths[0]


def _look_ahead(drill: Drill, settings: Settings, health: JobHealth) -> None:
    due = health.next_due_at
    assert due is not None  # noqa: S101 - seen to
    drill.add("next run is expected", "a moment it is due by", f"due by {to_the_second(due)}", ok=True)
    ahead = assess_jobs(drill.conn, settings, [drill.job_name], at=due + _PAST_DUE)
    finding = ahead[0].finding(Kind.MISSED) if ahead else None
    critical = finding is not None and finding.severity is Health.CRITICAL
    drill.add(
        "judged a second past that",
        "critical: missed",
        f"{ahead[0].status.value}: {', '.join(found.kind.value for found in ahead[0].findings)}"
        if ahead
        else "nothing",
        ok=critical,
    )
    if finding is None:
        return
    drill.add("says since when", "hours since the last run", finding.message, ok="hours" in finding.message)
    _tell(drill, settings, ahead[0], finding)


def _tell(drill: Drill, settings: Settings, health: JobHealth, finding: Finding) -> None:
    book = IncidentRepository(drill.conn)
    [state] = book.read_states([drill.job_name])
    channels = channels_of(state.job, settings, book)
    now = drill.book.now()
    with drill.conn.transaction():
        alert = missed_drill_alert(finding, health, state.job, drill.id, now, settings.base_url)
        book.insert_alerts([AddressedAlert(alert, None, channels)])
    told = drill.book.find_alert(drill.job_name)
    drill.add(
        "alert written",
        "in the outbox",
        f"alert {told.alert_id}" if told else "none",
        ok=told is not None,
        seconds=(told.at - now).total_seconds() if told else None,
    )
    if told is not None:
        follow(drill, told.alert_id, now, channels)


def _take_off(drill: Drill, job: CronJob) -> CronJob:
    """With a note of it in the same transaction, so that a drill that is killed leaves no job without its schedule."""
    with drill.conn.transaction():
        drill.book.keep_cron_job(job.as_json())
        if not unschedule(drill.conn, job):
            raise ConfigurationError(f"{job} was taken off pg_cron by somebody else just now; nothing was changed")
    gone = not is_scheduled(drill.conn, job)
    drill.add("schedule taken off pg_cron", "not in cron.job", "it is not" if gone else f"{job} is", ok=gone)
    return job


def _put_back(drill: Drill, job: CronJob) -> str:
    with drill.conn.transaction():
        scheduled = put_back(drill.conn, job)
        drill.book.forget_leftovers()
        if not is_scheduled(drill.conn, job):
            raise SchemaProblem(f"{job} is not in cron.job as it was; see its name there and schedule it by hand")
    return f"{job} is back as it was" if scheduled else f"{job} was put back by somebody else"
