"""Every success is announced, alone or with others, and none twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from airflow_jobmon.core.model.runs import Run
from airflow_jobmon.core.model.successes import WINDOW, RecentSuccesses, SuccessMark, advanced, new_successes, run_key

START = datetime(2025, 11, 13, 2, tzinfo=UTC)


def success(nth: int, minutes: float | None = None) -> Run:
    at = START + timedelta(minutes=nth if minutes is None else minutes)
    return Run(str(nth), "nightly", at, at, "success")


def recent(*runs: Run) -> RecentSuccesses:
    newest = sorted(runs, key=lambda run: run.started_at, reverse=True)[:WINDOW]
    return RecentSuccesses(newest, newest[-1].started_at if len(newest) == WINDOW else None)


@given(st.lists(st.sets(st.integers(0, 90), max_size=10), max_size=12))
def test_runs_that_become_visible_in_any_order_are_each_announced_once(commits):
    mark, visible, announced = advanced(SuccessMark(), recent()), {}, []
    for nths in commits:
        visible |= {nth: success(nth) for nth in nths}
        window = recent(*visible.values())
        announced += [run_key(run) for run in new_successes(window, mark)]
        mark = advanced(mark, window)
    assert sorted(announced) == sorted(map(run_key, visible.values()))


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_job_with_more_runs_than_the_window_announces_only_new_ones(before, after):
    old = [success(nth) for nth in range(before)]
    mark = advanced(SuccessMark(), recent(*old))
    new = [success(before + nth) for nth in range(after)]
    assert {run.id for run in new_successes(recent(*old, *new), mark)} <= {run.id for run in new}
    assert bool(new_successes(recent(*old, *new), mark)) == bool(new)


def test_old_runs_in_the_window_after_newer_ones_were_deleted_are_not_announced():
    runs = [success(nth) for nth in range(150)]
    mark = advanced(SuccessMark(), recent(*runs))
    assert new_successes(recent(*runs[:120]), mark) == []


def test_history_loaded_later_is_not_announced():
    mark = advanced(SuccessMark(), recent(success(0)))
    assert new_successes(recent(success(0), success(1, minutes=-60 * 25)), mark) == []


def test_a_long_run_that_ends_after_its_successors_is_announced():
    mark = advanced(SuccessMark(), recent(success(0)))
    assert [run.id for run in new_successes(recent(success(0), success(1, minutes=-60 * 23)), mark)] == ["1"]


def test_an_id_used_again_is_another_run():
    mark = advanced(SuccessMark(), recent(success(1)))
    assert len(new_successes(recent(success(1, minutes=60)), mark)) == 1
