"""The headline, and the order in which jobs need attention."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.reports.dashboard import (
    Incident,
    MonitorStatus,
    count_healths,
    handled_jobs,
    headline,
    job_rows,
    undelivered_warning,
    watcher_warning,
)

NOW = datetime(2025, 11, 13, 12, tzinfo=UTC)
WATCHED = MonitorStatus(1, NOW, NOW)
INCIDENT = Incident(
    1, "load", "failed", Health.CRITICAL, NOW, None, 1, "it failed", None, NOW, None, None, None, None
)  # fmt: skip


def entry(name: str, health: str = "ok", *findings: tuple[str, str]):
    return {
        "job_name": name,
        "status": health,
        "last_run": None,
        "next_due_at": None,
        "success_rate": None,
        "findings": [{"severity": severity, "message": message} for severity, message in findings],
    }


healths = st.sampled_from([health.value for health in Health])
entries = st.lists(st.builds(entry, st.text(min_size=1, max_size=3), healths), unique_by=lambda one: one["job_name"])


@given(entries, st.sets(st.text(min_size=1, max_size=3)))
def test_the_worst_come_first_and_unhandled_ones_before_handled(jobs, known):
    lines = job_rows(jobs, known)
    assert sorted(line.name for line in lines) == sorted(one["job_name"] for one in jobs)
    for before, after in pairwise(lines):
        assert (before.health.rank, not before.handled) >= (after.health.rank, not after.handled)


@given(entries)
def test_everything_is_healthy_only_if_every_job_is_ok(jobs):
    lines = job_rows(jobs, ())
    notice = headline(lines, WATCHED, stale=False, now=NOW)
    assert (notice.tone is Health.OK) == (bool(lines) and all(line.health is Health.OK for line in lines))
    assert sum(count_healths(lines).values()) == len(lines)
    if lines:
        assert headline(lines, WATCHED, stale=True, now=NOW).tone is Health.UNKNOWN


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        pytest.param([], "No jobs yet", id="none"),
        pytest.param([entry("a")], "The job is healthy", id="one, fine"),
        pytest.param([entry("a", "critical")], "The job is critical", id="one, critical"),
        pytest.param([entry("a"), entry("b", "warning")], "1 of 2 jobs has a warning", id="one of two"),
        pytest.param([entry("a", "unknown")] * 2, "2 of 2 jobs are in unknown health", id="both"),
        pytest.param([entry("a", "critical"), entry("b", "warning")], "1 of 2 jobs is critical", id="the worst"),
    ],
)
def test_the_headline_is_one_sentence(jobs, said):
    assert headline(job_rows(jobs, ()), WATCHED, stale=False, now=NOW).text == said


@pytest.mark.parametrize(
    ("names", "known", "said"),
    [
        ("ab", "", ""),
        ("ab", "a", "1 of them is acknowledged or silenced."),
        ("abc", "ab", "2 of them are acknowledged or silenced."),
        ("ab", "ab", "All of them are acknowledged or silenced."),
        ("a", "a", "It is acknowledged or silenced."),
    ],
)
def test_the_headline_says_how_many_of_the_worst_are_handled(names, known, said):
    lines = job_rows([*(entry(name, "critical") for name in names), entry("fine")], set(known))
    assert headline(lines, WATCHED, stale=False, now=NOW).detail == said


def test_a_row_shows_the_worst_finding():
    [line] = job_rows([entry("a", "critical", ("warning", "slow"), ("critical", "failed"), ("warning", "late"))], ())
    assert (line.problem, line.more) == ("failed", 2)


@pytest.mark.parametrize(
    ("incident", "known"),
    [
        pytest.param(INCIDENT, False, id="notified"),
        pytest.param(replace(INCIDENT, acknowledged_at=NOW), True, id="acknowledged"),
        pytest.param(replace(INCIDENT, silenced_at=NOW), True, id="silenced"),
    ],
)
def test_a_job_is_handled_if_all_its_open_incidents_are(incident, known):
    assert handled_jobs([incident]) == ({"load"} if known else set())
    assert handled_jobs([incident, replace(INCIDENT, id=2, kind="missed")]) == set()


def test_it_warns_when_no_watcher_runs_and_when_alerts_are_not_delivered():
    assert watcher_warning(WATCHED, now=NOW) is None
    assert "Last heartbeat: never" in watcher_warning(MonitorStatus(0, None, None), now=NOW).detail
    assert (
        "Last heartbeat: 3.0 h ago" in watcher_warning(MonitorStatus(0, NOW - timedelta(hours=3), NOW), now=NOW).detail
    )
    assert undelivered_warning([], timedelta(days=1)) is None
    warning = undelivered_warning([("mail", 2, "550 no"), ("slack", 1, None)], timedelta(days=1))
    assert "mail: 2 (550 no); slack: 1 (waiting)" in warning.detail
