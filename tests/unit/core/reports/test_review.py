"""The weekly review: each job's week compared with the one before, action items in the procedures' words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.health import Finding, Health, JobHealth, Kind
from airflow_jobmon.core.rendering.report_text import report_text
from airflow_jobmon.core.reports.job_week import JobWeek, Span
from airflow_jobmon.core.reports.review import review

AT = datetime(2026, 3, 30, 7, tzinfo=UTC)
PAGE = "https://airflow.example.com/jobmon/"


def week(name: str, succeeded: int, finished: int, *findings: Finding, **fields: Any) -> JobWeek:
    span = Span(finished, succeeded, 12.0, 20.0, 31.0, 700)
    status = Health.WARNING if findings else Health.OK
    given = {
        "job": MonitoredJob(name=name),
        "health": JobHealth(name, status, findings, None, None, None, 0, None),
        "week": span if finished else Span(),
        "before": Span(100, 99, 10.0, 15.0, 25.0, 1400),
        "days": [Span(1, 1, float(day), None, None, day) for day in range(7)],
    }
    return JobWeek(**(given | fields))


def finding(kind: Kind, message: str) -> Finding:
    return Finding(kind, Health.WARNING, message, 1, 0, AT, AT)


def test_a_good_week_has_no_action_items():
    report = review([week("a", 100, 100)], at=AT, page=PAGE)
    assert report.title == "Weekly review: 1 job, no action items"
    assert (
        report.summary
        == "100 of 100 runs succeeded, 100.0 % (99.0 % in the week before); 1 of 1 jobs met their target."
    )
    assert report.severity is Health.OK


@pytest.mark.parametrize(
    ("succeeded", "standing"),
    [
        pytest.param(94, "below 95 %", id="below the minimum"),
        pytest.param(95, "below 98 %", id="at the minimum"),
        pytest.param(97, "below 98 %", id="below the target"),
        pytest.param(98, "ok", id="at the target"),
    ],
)
def test_success_is_compared_with_95_and_98_percent(succeeded, standing):
    report = review([week("a", succeeded, 100)], at=AT, page=None)
    success = next(section.table for section in report.sections if section.heading == "Success")
    assert success is not None
    assert success.rows[0][1] == standing


def test_each_figure_is_shown_with_the_week_before_and_a_trend():
    tables = {section.heading: section.table for section in review([week("a", 100, 100)], at=AT, page=None).sections}
    assert list(tables["Duration of successes"].rows) == [
        ("a", "12 s", "10 s", "20 s", "15 s", "31 s", "25 s", "▁▂▃▅▆▇█")
    ]
    assert list(tables["Records updated per day"].rows) == [("a", "100.0", "200.0", "▁▂▃▅▆▇█")]


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (Kind.LOW_SUCCESS_RATE, "Investigate recurring issues"),
        (Kind.SLOW, "Check database performance"),
        (Kind.MISSED, "Follow the runbook"),
    ],
)
def test_action_items_use_the_procedures_words(kind, action):
    report = review([week("a", 100, 100, finding(kind, "what was seen"))], at=AT, page=None)
    assert report.sections[0].heading == "Action items"
    assert list(report.sections[0].lines) == [f"a: {action} (what was seen)"]
    assert report.severity is Health.WARNING


def test_a_week_below_the_minimum_is_an_action_item_even_if_thirty_days_are_fine():
    report = review([week("a", 50, 100)], at=AT, page=None)
    assert list(report.sections[0].lines) == [
        "a: Investigate recurring issues (50.0 % of 100 runs succeeded this week; the minimum is 95 %)"
    ]


def test_the_worst_jobs_come_first_and_lead_to_their_pages():
    report = review([week("b/1", 100, 100), week("a", 97, 100), week("c", 10, 100)], at=AT, page=PAGE)
    success = next(section.table for section in report.sections if section.heading == "Success")
    assert success is not None
    assert [row[0] for row in success.rows] == ["c", "a", "b/1"]
    assert success.link(2) == f"{PAGE}?job_name=b%2F1"


def test_a_job_without_a_run_is_listed_as_such():
    report = review([week("a", 0, 0, before=Span())], at=AT, page=None)
    assert report.summary == "No run finished in the last seven days."
    assert "no run" in report_text(report)


def test_without_any_job_it_says_so():
    report = review([], at=AT, page=None)
    assert (report.title, report.severity) == ("Weekly review: no jobs", Health.UNKNOWN)
    assert report.sections == []


def test_clock_changes_and_the_kept_page_are_named():
    report = review(
        [week("a", 1, 1)], at=AT, page=PAGE, clock_changes=["on Sunday"], kept_at="https://files.example.com/r"
    )
    assert report.sections[0].heading == "Clock changes in the coming week"
    assert report.links[0] == ("The review with charts", "https://files.example.com/r")


def test_the_numbers_a_task_returns_stay_small_with_many_jobs():
    wrong = [finding(kind, "x" * 200) for kind in (Kind.FAILED, Kind.SLOW)]
    made = review([week(f"a-job-with-a-long-name-{n}", 90, 100, *wrong) for n in range(500)], at=AT, page=PAGE)
    numbers = made.as_short_json()
    assert len(json.dumps(numbers)) < 200_000
    assert len(numbers["details"]["jobs"]) + numbers["left_out"]["jobs"] == 500
    assert len(numbers["details"]["jobs"]) > 50
    assert numbers["details"]["jobs"][0]["week"]["success_rate"] == 90
    assert {key: value for key, value in numbers.items() if key not in {"details", "left_out"}} == {
        key: value for key, value in made.as_json().items() if key not in {"details", "sections"}
    }


def test_a_small_report_is_returned_in_full():
    numbers = review([week("a", 90, 100)], at=AT, page=PAGE).as_short_json()
    assert ([job["job_name"] for job in numbers["details"]["jobs"]], numbers["left_out"]) == (["a"], {})
