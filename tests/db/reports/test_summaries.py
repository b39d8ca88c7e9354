"""The reports over real logs: empty, one run, many jobs, hostile names, the week of a clock change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.rendering.report_text import report_text
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.reports.summaries import daily_report, weekly_review
from airflow_jobmon.settings import Settings
from demo import sample
from tests.support.database_rows import add_alert
from tests.support.logged_runs import log_run
from tests.support.moments import ago

SETTINGS = Settings(base_url="https://airflow.example.com")


@pytest.fixture(autouse=True)
def installed(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")


def sections(report):
    return {section.heading: list(section.lines) for section in report.sections}


def tables(report):
    return {section.heading: section.table.rows for section in report.sections if section.table}


def test_an_empty_database_makes_both_reports(conn):
    assert daily_report(conn, SETTINGS).title == "Morning check: no jobs"
    made = weekly_review(conn, SETTINGS)
    assert made.report().title == "Weekly review: no jobs"
    assert "No jobs." in made.page()


def test_one_run_makes_both_reports(conn):
    log_run(conn, "load", records_updated=5)
    assert daily_report(conn, SETTINGS).severity in {Health.OK, Health.WARNING}  # a watcher is not alive here
    report = weekly_review(conn, SETTINGS).report()
    assert [row[:5] for row in tables(report)["Success"]] == [("load", "ok", "100.0 %", "-", "1")]
    assert tables(report)["Records updated per day"][0][1] == "0.7"


def test_the_digest_lists_failures_of_the_last_day_even_if_recovered(conn):
    log_run(conn, "billing", "failed", ago(hours=5), error_message="disk full")
    log_run(conn, "billing", started_at=ago(hours=4))
    log_run(conn, "export", "failed", ago(hours=3), error_message="<b>timeout</b>")
    log_run(conn, "export", "failed", ago(hours=2), error_message="no route")
    log_run(conn, "old", "failed", ago(hours=30))
    log_run(conn, "drilled", "failed", ago(hours=1), error_message="TEST ALERT - please ignore")
    check_and_record(conn, SETTINGS)
    found = sections(daily_report(conn, SETTINGS))
    failures = found["Failed in the last 24 hours"]
    assert len(failures) == 2
    assert failures[0].startswith("export: 2 runs failed, the last at ")
    assert "not recovered: no route" in failures[0]
    assert "recovered " in failures[1]
    assert "disk full" in failures[1]
    assert any("export" in line for line in found["Open incidents"])


def test_the_digest_lists_missed_runs_and_when_they_started(conn):
    apply_jobs(conn, [MonitoredJob(name="load", every="1h", grace="10m")], source="file:x")
    log_run(conn, "load", started_at=ago(hours=3))
    check_and_record(conn, SETTINGS)
    assert "has not started yet" in sections(daily_report(conn, SETTINGS))["Missed runs"][0]
    log_run(conn, "load", started_at=ago(minutes=2))
    check_and_record(conn, SETTINGS)
    assert "started at" in sections(daily_report(conn, SETTINGS))["Missed runs"][0]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"every": "1h", "enabled": False}, id="the job was disabled"),
        pytest.param({"every": "1d"}, id="it is to run less often"),
    ],
)
def test_the_digest_claims_no_start_where_a_run_is_merely_no_longer_expected(conn, changed):
    apply_jobs(conn, [MonitoredJob(name="load", every="1h")], source="file:x")
    log_run(conn, "load", started_at=ago(hours=4))
    check_and_record(conn, SETTINGS)
    apply_jobs(conn, [MonitoredJob(name="load", **changed)], source="file:x")
    check_and_record(conn, SETTINGS)
    [line] = sections(daily_report(conn, SETTINGS))["Missed runs"]
    assert ", no longer missed since " in line


def test_the_digest_names_channels_that_did_not_take_their_alerts(conn):
    add_alert(conn, "load", "mail")
    conn.execute("UPDATE airflow_jobmon.deliveries SET state = 'dead', last_error = '550 no such user'")
    assert (
        "mail: 1 alert; last error: 550 no such user" in sections(daily_report(conn, SETTINGS))["Undelivered alerts"][0]
    )


def test_the_review_counts_delivered_alerts_without_drills(conn):
    add_alert(conn, "load", "mail")
    conn.execute("UPDATE airflow_jobmon.deliveries SET state = 'sent', sent_at = clock_timestamp()")
    assert [(found.channel, found.sent) for found in weekly_review(conn, SETTINGS).deliveries] == [("mail", 1)]
    conn.execute("UPDATE airflow_jobmon.alerts SET event = 'test'")
    assert weekly_review(conn, SETTINGS).deliveries == []


def test_the_review_compares_each_week_with_the_one_before(conn):
    for day in range(7):
        log_run(conn, "load", started_at=ago(days=day, hours=1), seconds=20, records_updated=70)
        log_run(conn, "load", started_at=ago(days=day + 7, hours=1), seconds=10, records_updated=140)
    log_run(conn, "load", "failed", ago(days=2))
    log_run(conn, "load", "failed", ago(days=15))
    log_run(conn, "load", "failed", ago(days=1), error_message="TEST ALERT - please ignore")
    report = weekly_review(conn, SETTINGS).report()
    [row] = tables(report)["Success"]
    assert row[:6] == ("load", "below 95 %", "87.5 %", "100.0 %", "8", "1")
    assert row[6] == "████▅██"
    assert tables(report)["Duration of successes"][0][1:7] == ("20 s", "10 s", "20 s", "10 s", "20 s", "10 s")
    assert tables(report)["Records updated per day"][0][1:3] == ("70.0", "140.0")


def test_a_job_in_trouble_is_an_action_item_without_a_finished_run(conn):
    log_run(conn, "load", "running", ago(hours=3))
    log_run(conn, "retired", "failed", ago(days=20))
    report = weekly_review(conn, SETTINGS).report()
    assert [row[:2] for row in tables(report)["Success"]] == [("load", "no run")]
    [line] = sections(report)["Action items"]
    assert line.startswith("load: Follow the runbook (running for 3.0 h")


def test_the_review_lists_a_clock_change_that_affects_a_schedule(conn):
    job = MonitoredJob(name="load", schedule="30 2 * * *", timezone="Europe/Berlin")
    apply_jobs(conn, [job, MonitoredJob(name="noon", schedule="0 12 * * *", timezone="Europe/Berlin")], source="file:x")
    report = weekly_review(conn, SETTINGS, now=datetime(2026, 3, 27, 8, tzinfo=UTC)).report()
    [line] = sections(report)["Clock changes in the coming week"]
    assert line.startswith("load: on 2026-03-29 in Europe/Berlin clocks go forward")


def test_names_with_markup_and_formulas_are_only_text(conn):
    for name in ("<script>alert(1)</script>", "=HYPERLINK(1)", "{{ 7*7 }}", "a\nb", "<!channel>"):
        log_run(conn, name, "failed", ago(hours=1), error_message="</pre><img src=x>")
    page = weekly_review(conn, SETTINGS).page()
    assert "<script>" not in page
    assert "<img" not in page
    assert "49" not in page.split("<main>")[1].split("Jobs</h2>")[0]
    assert report_text(daily_report(conn, SETTINGS)).count("a b") >= 1


def test_five_hundred_jobs_are_reported_in_one_go(conn):
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status, records_updated)"
        " SELECT 'job-' || job, at, at + interval '10 seconds', CASE WHEN job = 7 THEN 'failed' ELSE 'success' END, 3"
        " FROM generate_series(1, 500) AS job,"
        " generate_series(now() - interval '13 days', now() - interval '1 hour', interval '12 hours') AS at"
    )
    made = weekly_review(conn, SETTINGS)
    assert len(tables(made.report())["Success"]) == 500
    assert tables(made.report())["Success"][0][:3] == ("job-7", "below 95 %", "0.0 %")
    assert made.page().count("<section") == 500
    assert len(daily_report(conn, SETTINGS).details["failures"]) == 1


def test_the_demos_sample_makes_both_reports(empty_database):
    with connect(empty_database) as conn:
        sample.create(conn, datetime(2026, 11, 23, 12, tzinfo=UTC))
        migrate(conn, SETTINGS)
        made = weekly_review(conn, SETTINGS, now=datetime(2026, 11, 23, 12, tzinfo=UTC))
        assert len(made.report().details["jobs"]) == 6
        assert made.page().count("<svg") == 18
