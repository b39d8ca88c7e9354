from __future__ import annotations

import pytest
from hypothesis import given

from airflow_jobmon.core.jobs.diff import FieldChange, JobChange, compare_jobs
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from tests.support.job_strategies import registries

Stored = dict[str, object]


def changes(old: Stored | None, new: Stored, *, holder: str = "file:a") -> JobChange:
    held = {} if old is None else {"load": (holder, {"name": "load", **old})}
    [change] = compare_jobs(held, {"load": {"name": "load", **new}}, source="file:a", prune=False)
    return change


def shown(change: JobChange) -> list[str]:
    return [f"{field.field}: {' -> '.join(field.shown())}" for field in change.fields]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param({"grace": "1h"}, {"grace": "30m"}, ["grace: 1h -> 30m"], id="a value"),
        pytest.param({}, {"grace": "30m"}, ["grace: 1h (default) -> 30m"], id="set for the first time"),
        pytest.param({"grace": "30m"}, {}, ["grace: 30m -> 1h (default)"], id="back to the default"),
        pytest.param({}, {"grace": "1h"}, ["grace: 1h (default) -> 1h"], id="the default, nailed down"),
        pytest.param({}, {"owner": "ops"}, ["owner:  -> ops"], id="where there was nothing"),
        pytest.param({}, {"channels": ["a", "b"]}, ["channels: (the setting's) -> [a, b]"], id="its own channels"),
        pytest.param({"channels": []}, {}, ["channels: [] -> (the setting's)"], id="notified no one"),
        pytest.param({}, {"enabled": False}, ["enabled: true (default) -> false"], id="switched off"),
        pytest.param({"min_success_rate": 97.5}, {"min_success_rate": 98.0}, ["min_success_rate: 97.5 -> 98"], id="-"),
        pytest.param(
            {"every": "15m"},
            {"schedule": "0 2 * * *"},
            ["schedule:  -> 0 2 * * *", "every: 15m -> "],
            id="a schedule instead of an interval",
        ),
        pytest.param({"invented_later": 1}, {}, ["invented_later: 1 -> "], id="a field of a newer package"),
    ],
)  # fmt: skip
def test_a_change_shows_the_effective_values(old, new, says):
    change = changes(old, new)
    assert (change.change, shown(change)) == ("changed", says)


def test_a_new_job_shows_every_field_it_sets():
    change = changes(None, {"grace": "30m", "owner": "ops"})
    assert (change.change, [field.field for field in change.fields]) == ("added", ["grace", "owner"])


def test_equal_entries_are_unchanged():
    assert changes({"grace": "30m"}, {"grace": "30m"}) == JobChange("load", "unchanged")


def test_a_job_that_moves_shows_its_old_source():
    change = changes({}, {}, holder="dag:health/check")
    assert change == JobChange("load", "changed", (FieldChange("source", "dag:health/check", "file:a", False, False),))


def test_unlisted_jobs_are_removed_only_with_prune():
    held = {"load": ("file:a", {"name": "load"})}
    assert compare_jobs(held, {}, source="file:a", prune=False) == ()
    assert compare_jobs(held, {}, source="file:a", prune=True) == (JobChange("load", "removed"),)


@given(registries(), registries())
def test_every_job_is_listed_once_and_applying_twice_changes_nothing(before, after):
    held = {job.name: ("file:a", job.model_dump(mode="json", exclude_unset=True)) for job in before}
    wanted = {job.name: job.model_dump(mode="json", exclude_unset=True) for job in after}
    changes = compare_jobs(held, wanted, source="file:a", prune=True)
    assert [change.job_name for change in changes] == sorted({*held, *wanted})
    again = compare_jobs(
        {name: ("file:a", config) for name, config in wanted.items()}, wanted, source="file:a", prune=True
    )
    assert {change.change for change in again} <= {"unchanged"}
    for change in changes:
        if change.change == "unchanged":
            assert MonitoredJob(**wanted[change.job_name]) == MonitoredJob(**held[change.job_name][1])
        assert all(field.field != "name" for field in change.fields)
