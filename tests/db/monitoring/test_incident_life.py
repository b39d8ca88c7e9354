"""The life of incidents in the tables, with two watchers that race, in whatever order things happen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.silences import Silence, in_force
from airflow_jobmon.errors import UnknownIncident
from airflow_jobmon.monitoring.checks import check_and_record, evaluate_changed, evaluate_events
from airflow_jobmon.postgres.acknowledgements import IncidentSelector, acknowledge, withdraw
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.postgres.silences import silence, unsilence
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run

INTERVAL = timedelta(hours=4)
SETTINGS = Settings(channels=("slack", "mail"), realert_interval=INTERVAL)
NAMES = ("daily", "twice", "stranger")
JOBS = st.sampled_from(NAMES)
GLOBS = st.sampled_from(["daily", "t*", "*", "s?ranger"])
ERRORS = st.sampled_from(["disk full", "no route to host 10.0.0.7", "no route to host 10.0.0.8", None])
FOR = st.sampled_from([timedelta(minutes=1), timedelta(hours=1), timedelta(hours=5), timedelta(hours=26)])

# What a clock that moves makes of what is stored: the same, so much longer ago.
MOVED = {
    "incidents": ("opened_at", "detected_at", "resolved_at", "told_at", "silenced_at", "acknowledged_at"),
    "silences": ("starts_at", "ends_at"),
    "job_state": ("first_seen_at", "checked_at", "due_at", "judge_at", "window_at"),
    "alerts": ("created_at",),
    "jobs": ("registered_at",),
}


def sweep_once(conn) -> None:
    """What a watcher does."""
    while evaluate_events(conn, SETTINGS).events:
        pass
    evaluate_changed(conn, SETTINGS)


class Life(RuleBasedStateMachine):
    def __init__(self, conn, watchers) -> None:
        super().__init__()
        self.conn, self.watchers = conn, watchers
        tables = (
            "incidents, airflow_jobmon.silences, airflow_jobmon.job_state, airflow_jobmon.alerts, "
            "airflow_jobmon.deliveries, airflow_jobmon.occurrences, airflow_jobmon.events, airflow_jobmon.jobs"
        )
        conn.execute(f"TRUNCATE public.jobs_log, airflow_jobmon.{tables}")
        conn.execute("UPDATE airflow_jobmon.installation SET installed_at = now() - interval '400 days'")
        self.registered = {
            "daily": MonitoredJob(name="daily", max_duration="3m"),
            "twice": MonitoredJob(name="twice", failures_to_alert=2, realert_interval="2h"),
        }
        apply_jobs(conn, self.registered.values(), source="test")

    @rule(job=JOBS, error=ERRORS)
    def a_run_fails(self, job, error) -> None:
        log_run(self.conn, job, "failed", seconds=0.001, error_message=error)

    @rule(job=JOBS, seconds=st.sampled_from([0.001, 0.001, 300]))
    def a_run_succeeds(self, job, seconds) -> None:
        log_run(self.conn, job, seconds=seconds)

    @rule(job=JOBS)
    def a_run_starts(self, job) -> None:
        log_run(self.conn, job, "running", seconds=0.001)

    @rule(status=st.sampled_from(["success", "failed"]))
    def the_oldest_running_run_ends(self, status) -> None:
        self.conn.execute(
            "UPDATE jobs_log SET status = %s, completed_at = clock_timestamp() WHERE id IN"
            " (SELECT id FROM jobs_log WHERE status = 'running' ORDER BY started_at LIMIT 1)",
            [status],
        )

    @rule(job=JOBS)
    def the_newest_run_is_deleted(self, job) -> None:
        newest = "SELECT id FROM jobs_log WHERE job_name = %s ORDER BY started_at DESC LIMIT 1"
        self.conn.execute(f"DELETE FROM jobs_log WHERE id IN ({newest})", [job])

    @rule(passed=FOR)
    def time_passes_with_no_run(self, passed) -> None:
        self.move(passed)

    @rule()
    def a_day_passes(self) -> None:
        passed = timedelta(hours=26)
        self.move(passed)
        self.conn.execute("UPDATE airflow_jobmon.occurrences SET started_at = started_at - %s", [passed])
        for table in ("public.jobs_log", "airflow_jobmon.events"):
            moved = "started_at = started_at - %(passed)s, completed_at = completed_at - %(passed)s"
            self.conn.execute(f"UPDATE {table} SET {moved}", {"passed": passed})

    @rule(passed=FOR)
    def the_clock_is_set_back(self, passed) -> None:
        self.move(-passed)

    def move(self, passed: timedelta) -> None:
        for table, columns in MOVED.items():
            moved = ", ".join(f"{column} = {column} - %(passed)s" for column in columns)
            self.conn.execute(f"UPDATE airflow_jobmon.{table} SET {moved}", {"passed": passed})

    @rule(name=GLOBS, lasting=FOR)
    def a_user_silences(self, name, lasting) -> None:
        silence(self.conn, name, lasting, reason="upgrade", by="anna")

    @precondition(lambda self: self.silences())
    @rule()
    def a_silence_is_lifted(self) -> None:
        unsilence(self.conn, self.silences()[0].name, by="anna")

    @rule(name=GLOBS, undo=st.booleans())
    def a_user_acknowledges_or_undoes_it(self, name, undo) -> None:
        try:
            if undo:
                withdraw(self.conn, IncidentSelector(name=name))
            else:
                acknowledge(self.conn, IncidentSelector(name=name), by="anna", note=None)
        except UnknownIncident:
            return

    @rule()
    def two_watchers_look(self) -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(sweep_once, self.watchers))
        self.hold_to_the_laws()

    @rule(noted=st.sampled_from([True, True, False]))
    def a_watcher_and_the_hourly_check_look(self, noted) -> None:
        if not noted:  # as if the trigger had been disabled today
            self.conn.execute("DELETE FROM airflow_jobmon.events WHERE completed_at > now() - interval '1 day'")
        with ThreadPoolExecutor(2) as pool:
            evaluations = (
                pool.submit(sweep_once, self.watchers[0]),
                pool.submit(check_and_record, self.watchers[1], SETTINGS),
            )
            for each in evaluations:
                each.result()
        self.hold_to_the_laws()

    def silences(self) -> list[Silence]:
        rows = self.conn.execute("SELECT name, ends_at, reason, silenced_by FROM airflow_jobmon.silences").fetchall()
        return [found for row in rows if (found := Silence(*row)).ends_at > datetime.now(UTC)]

    def hold_to_the_laws(self) -> None:
        self.check_order()
        self.be_silent_only_with_a_reason()

    def check_order(self) -> None:
        """To each channel, of each incident: opened once, then repeated, then resolved once at most."""
        heard = self.conn.execute(
            "SELECT a.incident_id, d.channel, array_agg(a.event ORDER BY a.id) FROM airflow_jobmon.alerts a"
            " JOIN airflow_jobmon.deliveries d ON d.alert_id = a.id WHERE d.state <> 'silenced' GROUP BY 1, 2"
        ).fetchall()
        for _, _, (first, *later) in heard:
            assert first == "opened"
            assert set(later[:-1]) <= {"repeated"}
            assert "opened" not in later
        warned = self.conn.execute("SELECT event FROM airflow_jobmon.alerts WHERE kind = 'slow'").fetchall()
        assert ("repeated",) not in warned

    def be_silent_only_with_a_reason(self) -> None:
        now = datetime.now(UTC)
        open_ones = self.conn.execute(
            "SELECT i.job_name, i.kind, i.severity, i.told_at, i.silenced_at, i.acknowledged_at, i.observed"
            " FROM airflow_jobmon.incidents i WHERE i.resolved_at IS NULL"
        ).fetchall()
        for name, kind, severity, told_at, silenced_at, acknowledged_at, observed in open_ones:
            job = self.registered.get(name, MonitoredJob(name=name))
            if in_force(self.silences(), name, now) or acknowledged_at is not None:
                continue
            if kind == "failed" and observed < job.failures_to_alert:
                continue
            assert told_at is not None, f"no one was notified that {name} is {kind}"
            assert silenced_at is None, f"the silence over {name} ({kind}) is over, and no one was notified"
            assert severity != "critical" or now - told_at < (job.realert_interval or INTERVAL), f"{name} is {kind}"


def test_alerts_are_neither_missing_nor_doubled_whatever_happens_in_whatever_order(conn, database):
    with connect(database) as one, connect(database) as other:
        run_state_machine_as_test(
            lambda: Life(conn, (one, other)),
            settings=settings(
                max_examples=15,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.generate],
            ),
        )
