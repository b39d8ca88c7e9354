from __future__ import annotations

import pytest

from airflow_jobmon.core.model.alerts import AlertEvent
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.rendering import messages
from tests.support.hostile_alerts import an_alert

TITLES = [
    pytest.param({}, "🚨 Job Failed: j", "ALERT: Job Failed - j", id="failed"),
    pytest.param({"kind": "missed"}, "🚨 Job Missed: j", "ALERT: Job Missed - j", id="missed"),
    pytest.param({"kind": "stuck"}, "🚨 Job Stuck: j", "ALERT: Job Stuck - j", id="stuck"),
    pytest.param({"kind": "slow", "severity": Health.WARNING}, "⚠️ Job Slow: j", "ALERT: Job Slow - j", id="a warning"),
    pytest.param(
        {"kind": "low_success_rate", "severity": Health.WARNING},
        "⚠️ Low Success Rate: j",
        "ALERT: Low Success Rate - j",
        id="low success rate",
    ),
    pytest.param(
        {"event": AlertEvent.RESOLVED, "severity": Health.OK},
        "✅ Resolved: Job Failed: j",
        "RESOLVED: Job Failed - j",
        id="resolved",
    ),
    pytest.param(
        {"event": AlertEvent.TEST}, "🚨 TEST ALERT - Job Failed: j", "TEST ALERT: Job Failed - j", id="a drill"
    ),
    pytest.param(
        {"event": AlertEvent.REPEATED}, "🚨 Job Failed (still): j", "ALERT: Job Failed (still) - j", id="repeated"
    ),
    pytest.param(
        {"recovered": True},
        "✅ Job Failed and Recovered: j",
        "RESOLVED: Job Failed and Recovered - j",
        id="recovered before the first alert",
    ),
    pytest.param(
        {"kind": "succeeded", "severity": Health.OK}, "✅ Job Succeeded: j", "OK: Job Succeeded - j", id="a success"
    ),
]


@pytest.mark.parametrize(("changes", "title", "subject"), TITLES)
def test_titles_and_subjects_say_what_happened_to_which_job(changes, title, subject):
    alert = an_alert(job_name="j", **changes)
    assert messages.title([alert], 150) == title
    assert messages.subject([alert], 150) == subject


def test_a_long_name_is_cut_and_the_heading_is_not():
    alert = an_alert(job_name="n" * 1000)
    title = messages.title([alert], 50)
    assert title.startswith("🚨 Job Failed: nnn")
    assert title.endswith("…")
    assert len(title) <= 50


def some(number, **changes):
    return [
        an_alert(job_name=f"{changes.get('kind', 'failed')}-{changes.get('event')}-{n}", **changes)
        for n in range(number)
    ]


RESOLVED = {"event": AlertEvent.RESOLVED, "severity": Health.OK}


@pytest.mark.parametrize(
    ("alerts", "title", "subject"),
    [
        pytest.param(some(212), "🚨 212 jobs failed", "ALERT: 212 jobs failed", id="all of one kind"),
        pytest.param(
            some(3, kind="missed") + some(20) + some(5, **RESOLVED),
            "🚨 28 jobs: 20 failed, 3 missed, 5 resolved",
            "ALERT: 28 jobs: 20 failed, 3 missed, 5 resolved",
            id="mixed kinds, worst first",
        ),
        pytest.param(some(6, **RESOLVED), "✅ 6 jobs resolved", "RESOLVED: 6 jobs resolved", id="all resolved"),
        pytest.param(
            some(6, kind="slow", severity=Health.WARNING), "⚠️ 6 jobs slow", "ALERT: 6 jobs slow", id="only warnings"
        ),
        pytest.param(
            some(6, event=AlertEvent.TEST),
            "🚨 TEST ALERT - 6 jobs failed",
            "TEST ALERT: 6 jobs failed",
            id="only drills",
        ),
        pytest.param(
            [an_alert(job_name="j"), an_alert(job_name="j", **RESOLVED)],
            "🚨 j: failed, resolved",
            "ALERT: j: failed, resolved",
            id="one job twice",
        ),
    ],
)
def test_a_batch_says_how_many_jobs_are_in_what_state(alerts, title, subject):
    assert messages.title(alerts, 150) == title
    assert messages.subject(alerts, 150) == subject


def test_a_drill_among_real_alerts_is_marked():
    title = messages.title([*some(2), *some(1, event=AlertEvent.TEST)], 150)
    assert title == "🚨 3 jobs: 2 failed, 1 tested (TEST ALERT)"


def test_a_batch_has_one_line_per_job_and_the_worst_comes_first():
    alerts = [*some(1, **RESOLVED), *some(2), an_alert(job_name="failed-None-0", **RESOLVED)]
    lines, jobs = messages.batch_lines(alerts, 10)
    assert jobs == 3
    assert [line.name for line in lines] == ["failed-None-0", "failed-None-1", "failed-resolved-0"]
    assert lines[0].text.startswith("failed: Connection timeout after 3 retries; resolved")
    assert [line.mark for line in lines] == ["✅", "🚨", "✅"]


@pytest.mark.parametrize(
    ("error", "gist"),
    [
        pytest.param("one line", "one line", id="one line"),
        pytest.param("first\nsecond", "first", id="several lines: the first"),
        pytest.param(
            "Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no", id="a traceback's last"
        ),
        pytest.param("\n\n", "", id="nothing"),
    ],
)
def test_the_gist_of_an_error_is_its_most_telling_line(error, gist):
    assert messages.gist_of(error) == gist


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"event": AlertEvent.TEST}, "This is a test", id="a drill says that it is one"),
        pytest.param({"event": AlertEvent.REPEATED}, "Not resolved yet", id="a repeat says that it is still so"),
        pytest.param({"recovered": True}, "has since recovered", id="a recovery says so"),
        pytest.param(
            {"kind": "missed", "message": "no run for 26.2 h", "error": None}, "26.2 h", id="a miss says the hours"
        ),
    ],
)
def test_a_statement_marks_tests_repetitions_and_recoveries(changes, says):
    assert says in messages.statement(an_alert(**changes))
    assert says in messages.plain_text([an_alert(**changes)])


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "ftp://x/y",
        "https://",
        "https://x/\n",
        'https://x/"onmouseover=1',
        "http://[",
        "https://x/ y",
    ],
)
def test_an_invalid_link_becomes_no_button(url):
    assert messages.links_of(an_alert(logs_url=url, runbook_url=None)) == []


@pytest.mark.parametrize(
    ("message", "said"),
    [
        pytest.param("it lasted 5 min", "It lasted 5 min", id="a word"),
        pytest.param("load is late", "load is late", id="the job's name"),
        pytest.param("load-2 is late", "load-2 is late", id="another name"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_a_statement_starts_with_a_capital_unless_with_a_name(message, said):
    assert messages.statement(an_alert(job_name="load", message=message)) == said


@pytest.mark.parametrize("job_name", ["nothing-yet", "notify the office"])
def test_a_statement_starts_with_a_capital_although_the_jobs_name_starts_with_the_same_letters(job_name):
    said = messages.statement(an_alert(job_name=job_name, message="not a run for 5 hours"))
    assert said == "Not a run for 5 hours"


def test_plain_text_contains_everything():
    text = messages.plain_text([an_alert(error="line 1\nline 2")])
    for part in (
        "🚨 Job Failed: update-installment-statuses",
        "Job Name: update-installment-statuses",
        "Time: 2025-11-13T02:05:00Z",
        "    line 1\n    line 2",
        "Duration: 5 min 0 s",
        "View Logs: https://airflow.example.com/jobmon/",
        "Runbook: https://wiki.example.com/runbook",
    ):
        assert part in text
