"""A job's metrics over a window equal an independent count, and the days add up to the total."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import fmean

import pytest

from airflow_jobmon.metrics.job_metrics import job_metrics
from airflow_jobmon.postgres.day_stats import seal_days
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run

NOW = datetime.now(UTC)
DAYS = 12


def random_runs(chance: Random) -> list[tuple[datetime, str, float, int | None]]:
    return [
        (
            NOW - timedelta(days=chance.uniform(-0.5, DAYS)),
            chance.choice(["success", "success", "success", "failed", "running"]),
            round(chance.uniform(1, 100), 3),
            chance.choice([None, 0, 7, 400]),
        )
        for _ in range(150)
    ]


@pytest.mark.parametrize("sealed", [False, True], ids=["nothing counted yet", "whole days counted already"])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_a_count_by_hand_and_add_up(conn, seed, sealed):
    runs = random_runs(Random(seed))
    for started_at, status, seconds, records in runs:
        took = None if status == "running" else seconds
        log_run(conn, "load", status, started_at, seconds=took, records_updated=records)
        log_run(conn, "another", status, started_at, seconds=took)
    if sealed:
        assert seal_days(conn, most=timedelta(seconds=60)) > 0
    for days in (1, 2, 7, DAYS):
        got = job_metrics(conn, Settings(), "load", days=days, now=NOW)
        within = [run for run in runs if NOW - timedelta(days=days) < run[0] <= NOW]
        successes = [run for run in within if run[1] == "success"]
        failures = sum(run[1] == "failed" for run in within)
        summary, daily = got["summary"], got["daily"]
        assert (summary["total_runs"], summary["successful_runs"], summary["failed_runs"]) == (
            len(within),
            len(successes),
            failures,
        )
        assert summary["success_rate"] == pytest.approx(100 * len(successes) / (len(successes) + failures), abs=0.006)
        assert summary["avg_duration_seconds"] == pytest.approx(fmean(run[2] for run in successes))
        assert summary["max_duration_seconds"] == pytest.approx(max(run[2] for run in successes))
        assert summary["total_records_updated"] == sum(run[3] or 0 for run in successes)
        assert {day["date"]: day["total_runs"] for day in daily} == Counter(run[0].date().isoformat() for run in within)
        for counted in ("total_runs", "successful_runs", "failed_runs"):
            assert sum(day[counted] for day in daily) == summary[counted]
        assert sum(day["records_updated"] or 0 for day in daily) == summary["total_records_updated"]
        assert [day["date"] for day in daily] == sorted(day["date"] for day in daily)


def test_a_window_without_a_run_counts_nothing(conn):
    log_run(conn, "load", started_at=NOW - timedelta(days=9))
    got = job_metrics(conn, Settings(), "load", days=7, now=NOW)
    assert got["daily"] == []
    assert got["summary"] == {
        "total_runs": 0,
        "successful_runs": 0,
        "failed_runs": 0,
        "success_rate": None,
        "avg_duration_seconds": None,
        "p50_duration_seconds": None,
        "p95_duration_seconds": None,
        "max_duration_seconds": None,
        "total_records_updated": 0,
    }
