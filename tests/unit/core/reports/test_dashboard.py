"""What is said at first sight, and the order in which jobs need a person."""

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


def verdict(name: str, health: str = "ok", *findings: tuple[str, str]):
    return {
        "job_name": name,
        "status": health,
        "last_run": None,
        "next_due_at": None,
        "success_rate": None,
        "findings": [{"severity": severity, "message": message} for severity, message in findings],
    }


healths = st.sampled_from([health.value for health in Health])
verdicts = st.lists(st.builds(verdict, st.text(min_size=1, max_size=3), healths), unique_by=lambda one: one["job_name"])


@given(verdicts, st.sets(st.text(min_size=1, max_size=3)))
def test_the_worst_come_first_and_of_these_what_nobody_knows_of(given_verdicts, known):
    lines = job_rows(given_verdicts, known)
    assert sorted(line.name for line in lines) == sorted(one["job_name"] for one in given_verdicts)
    for before, after in pairwise(lines):
        assert (before.health.rank, not before.handled) >= (after.health.rank, not after.handled)


@given(verdicts)
def test_it_is_all_right_only_if_every_job_is_ok(given_verdicts):
    lines = job_rows(given_verdicts, ())
    saying = headline(lines, WATCHED, stale=False, now=NOW)
    assert (saying.tone is Health.OK) == (bool(lines) and all(line.health is Health.OK for line in lines))
    assert sum(count_healths(lines).values()) == len(lines)
    if lines:
        assert headline(lines, WATCHED, stale=True, now=NOW).tone is Health.UNKNOWN


@pytest.mark.parametrize(
    ("given_verdicts", "said"),
    [
        pytest.param([], "No jobs yet", id="none"),
        pytest.param([verdict("a")], "The job is healthy", id="one, fine"),
        pytest.param([verdict("a", "critical")], "The job is critical", id="one, critical"),
        pytest.param([verdict("a"), verdict("b", "warning")], "1 of 2 jobs has a warning", id="one of two"),
        pytest.param([verdict("a", "unknown")] * 2, "2 of 2 jobs are in unknown health", id="both"),
        pytest.param([verdict("a", "critical"), verdict("b", "warning")], "1 of 2 jobs is critical", id="the worst"),
    ],
)
def test_the_headline_is_one_sentence(given_verdicts, said):
    assert headline(job_rows(given_verdicts, ()), WATCHED, stale=False, now=NOW).text == said


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
    lines = job_rows([*(verdict(name, "critical") for name in names), verdict("fine")], set(known))
    assert headline(lines, WATCHED, stale=False, now=NOW).detail == said


def test_a_line_tells_the_worst_finding():
    [line] = job_rows([verdict("a", "critical", ("warning", "slow"), ("critical", "failed"), ("warning", "late"))], ())
    assert (line.problem, line.more) == ("failed", 2)


@pytest.mark.parametrize(
    ("incident", "known"),
    [
        pytest.param(INCIDENT, False, id="notified"),
        pytest.param(replace(INCIDENT, acknowledged_at=NOW), True, id="acknowledged"),
        pytest.param(replace(INCIDENT, silenced_at=NOW), True, id="silenced"),
    ],
)
def test_a_job_is_known_where_all_that_is_open_is(incident, known):
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
