"""The morning digest: one line if nothing happened, else what needs attention first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_jobmon.core.model.health import Finding, Health, JobHealth, Kind
from airflow_jobmon.core.rendering.report_text import report_text
from airflow_jobmon.core.reports.digest import DigestIncident, FailedRuns, MissedRun, Morning, Undelivered, digest

AT = datetime(2026, 3, 29, 6, tzinfo=UTC)
PAGE = "https://airflow.example.com/jobmon/"


def health(name: str, *findings: Finding, status: Health = Health.OK) -> JobHealth:
    worst = max((found.severity for found in findings), key=lambda one: one.rank, default=status)
    return JobHealth(name, worst, findings, None, None, None, 0, None)


def finding(kind: Kind, severity: Health, message: str) -> Finding:
    return Finding(kind, severity, message, 1, 0, AT, AT)


def test_a_good_day_is_one_line():
    report = digest(Morning([health("a"), health("b")]), at=AT, page=PAGE)
    assert report.title == "Morning check: 2 jobs, all healthy"
    assert report.summary == "In the last 24 hours, no run failed and none was missed."
    assert report.sections == []
    assert report.severity is Health.OK


def test_what_needs_attention_comes_first_and_everything_is_named():
    morning = Morning(
        healths=[
            health("ok-job"),
            health("pipeline", finding(Kind.SLOW, Health.WARNING, "took 90 s, over its limit of 1m")),
            health("billing", finding(Kind.FAILED, Health.CRITICAL, "run of 02:00 failed")),
            health("fresh", status=Health.UNKNOWN),
        ],
        failures=[
            FailedRuns("billing", 1, AT - timedelta(hours=4), "Connection timeout\nafter 3 retries", None),
            FailedRuns("ok-job", 2, AT - timedelta(hours=5), None, AT - timedelta(hours=3)),
        ],
        missed=[MissedRun("export", AT - timedelta(hours=3), AT - timedelta(hours=1))],
        open=[
            DigestIncident(
                "billing", "failed", Health.CRITICAL, AT - timedelta(hours=4), "it failed", "acknowledged by Ada"
            )
        ],
        undelivered=[Undelivered("mail", 2, "550 no such user")],
        watched=False,
    )
    report = digest(morning, at=AT, page=PAGE)
    assert report.title == "Morning check: 1 critical, 1 unknown, 1 warning of 4 jobs"
    assert report.severity is Health.CRITICAL
    assert [section.heading for section in report.sections] == [
        "Needs attention",
        "Failed in the last 24 hours",
        "Missed runs",
        "Warnings",
        "Open incidents",
        "Undelivered alerts",
    ]
    text = report_text(report)
    assert "3 runs of 2 jobs failed (1 job recovered); 1 run missed; 1 open incident." in text
    assert "No watcher is running" in text
    assert "billing failed at 2026-03-29T02:00:00Z, not recovered: Connection timeout after 3 retries" in text
    assert "ok-job: " not in text.split("Failed in")[0]
    assert "export was due by 2026-03-29T03:00:00Z, started at 2026-03-29T05:00:00Z" in text
    assert "Job Failed: billing, since 2026-03-29T02:00:00Z, 4.0 h (acknowledged by Ada): it failed" in text
    assert "mail: 2 alerts; last error: 550 no such user; fix the channel" in text


def test_a_failure_that_recovered_is_listed_as_a_warning():
    morning = Morning([health("a")], [FailedRuns("a", 1, AT, "boom", AT)])
    report = digest(morning, at=AT, page=None)
    assert report.severity is Health.WARNING
    assert report.links == ()


def test_without_any_job_it_says_what_to_do():
    report = digest(Morning([]), at=AT, page=None)
    assert "airflow jobmon jobs apply" in report.summary
    assert report.severity is Health.UNKNOWN
