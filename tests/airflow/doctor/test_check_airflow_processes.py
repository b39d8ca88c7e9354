"""The doctor's checks of Airflow's processes and their database, against a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_jobmon.doctor.result import CheckState
from tests.support.airflow_state import CONSUMER, assign, run_airflow_checks


def test_everything_is_ok_in_an_airflow_that_delivers(metadata, consumer, process):
    consumer()
    process("SchedulerJob")
    assign(metadata, process("TriggererJob"))
    found = run_airflow_checks()
    assert {name: result.state for name, result in found.items() if result.state is not CheckState.OK} == {}
    assert CONSUMER in found["alerts dag"].seen
    assert "1 of 1000 slots used" in found["triggerer capacity"].seen


def test_an_airflow_without_dag_scheduler_and_triggerer(metadata):
    found = run_airflow_checks()
    assert found["airflow database"].state is CheckState.OK
    assert found["alerts dag"].state is CheckState.WRONG
    assert "no DAG is scheduled on the alerts asset" in found["alerts dag"].seen
    assert "dags/jobmon_alerts.py" in found["alerts dag"].advice
    assert found["scheduler"].seen.startswith("no scheduler is alive")
    assert found["triggerer"].seen.startswith("no triggerer is alive")
    assert found["watching trigger"].state is CheckState.WRONG


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"seconds_ago": 300}, "sent its last heartbeat 5 min", id="silent for five minutes"),
        pytest.param({"state": "failed"}, "ended", id="ended"),
    ],
)
def test_a_dead_triggerer(metadata, consumer, process, change, expected):
    from airflow.utils.net import get_hostname

    consumer()
    dead = process("TriggererJob", **change)
    assign(metadata, dead)
    found = run_airflow_checks()
    assert found["triggerer"].state is CheckState.WRONG
    assert found["triggerer"].seen.startswith(f"no triggerer is alive (the last, on {get_hostname()}, {expected} ")
    assert (
        found["watching trigger"].seen
        == "the trigger of the alerts asset was in a triggerer that is dead, and none is alive"
    )


def test_a_triggerer_that_was_never_started(consumer):
    consumer()
    assert (
        run_airflow_checks()["watching trigger"].seen
        == "the trigger of the alerts asset waits for a triggerer, and none is alive"
    )


def test_a_new_trigger_that_waits_for_a_triggerer_is_a_warning(consumer, process):
    consumer()
    process("TriggererJob")
    assert run_airflow_checks()["watching trigger"].state is CheckState.WARNING


@pytest.fixture
def small_triggerer(monkeypatch, process) -> int:
    """A triggerer with ten slots."""
    monkeypatch.setenv("AIRFLOW__TRIGGERER__CAPACITY", "10")
    return process("TriggererJob")


def defer(metadata: Callable[..., Any], count: int, triggerer: int | None) -> None:
    """Add `count` other triggers, such as those of deferred sensors."""
    from airflow.models import Trigger

    def add(session: Any) -> None:
        for _ in range(count):
            trigger = Trigger(classpath="a.Sensor", kwargs={})
            trigger.triggerer_id = triggerer
            session.add(trigger)

    metadata(add)


def test_a_full_triggerer_without_the_watcher_is_wrong(metadata, consumer, small_triggerer):
    from airflow.models import Trigger
    from sqlalchemy import update

    defer(metadata, 10, small_triggerer)
    consumer()
    assign(metadata, small_triggerer, capacity=10)
    old = datetime.now(UTC) - timedelta(minutes=5)
    metadata(lambda session: session.execute(update(Trigger).values(created_date=old)))
    found = run_airflow_checks()
    assert found["triggerer capacity"].state is CheckState.WRONG
    assert "10 of 10 slots used (1 x [triggerer] capacity 10), 1 trigger waiting" in found["triggerer capacity"].seen
    assert found["watching trigger"].state is CheckState.WRONG
    assert "waits for a slot" in found["watching trigger"].seen


@pytest.mark.parametrize(("others", "state"), [(7, CheckState.OK), (8, CheckState.WARNING), (9, CheckState.WARNING)])
def test_a_nearly_full_triggerer_with_the_watcher_is_a_warning(metadata, consumer, small_triggerer, others, state):
    consumer()
    assign(metadata, small_triggerer, capacity=10)
    defer(metadata, others, small_triggerer)
    assert run_airflow_checks()["triggerer capacity"].state is state


# Without Airflow's database


@pytest.fixture
def airflow_at(airflow_home: Path) -> Iterator[Callable[[str], None]]:
    """Point Airflow's ORM at another metadata database, and back after the test."""
    from airflow import settings

    with pytest.MonkeyPatch.context() as environment:

        def point(url: str) -> None:
            environment.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
            reconfigure()

        def reconfigure() -> None:
            settings.dispose_orm()
            settings.configure_vars()
            settings.configure_orm()

        yield point
    reconfigure()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("sqlite:////tmp/jobmon-nowhere/airflow.db", "no metadata database at /tmp/jobmon", id="no file"),
        pytest.param("sqlite:///{tmp}/empty.db", "is not migrated", id="not migrated"),
        pytest.param("postgresql+psycopg2://airflow:hunter2@127.0.0.1:1/airflow", "refused", id="server down"),
    ],
)
def test_without_airflows_database_airflow_is_not_checked(airflow_at, tmp_path, url, expected):
    (tmp_path / "empty.db").touch()
    airflow_at(url.replace("{tmp}", str(tmp_path)))
    found = run_airflow_checks()
    assert {result.state for result in found.values()} == {CheckState.NOT_CHECKED}
    assert expected in found["airflow database"].seen
    assert "hunter2" not in str(found)
    assert "the API server runs" in found["airflow database"].advice
