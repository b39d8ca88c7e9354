"""The doctor on Airflow's processes and on the way to their database, against a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_jobmon.doctor.result import State
from tests.support.airflow_state import CONSUMER, assign, seen


def test_an_airflow_that_delivers(metadata, consumer, process):
    consumer()
    process("SchedulerJob")
    assign(metadata, process("TriggererJob"))
    found = seen()
    assert {name: diagnosis.state for name, diagnosis in found.items() if diagnosis.state is not State.OK} == {}
    assert CONSUMER in found["alerts dag"].seen
    assert "1 of 1000 places taken" in found["triggerer capacity"].seen


def test_an_airflow_without_any_of_it(metadata):
    found = seen()
    assert found["airflow database"].state is State.OK
    assert found["alerts dag"].state is State.WRONG
    assert "no DAG is scheduled on the alerts asset" in found["alerts dag"].seen
    assert "dags/jobmon_alerts.py" in found["alerts dag"].advice
    assert found["scheduler"].seen.startswith("no scheduler is alive")
    assert found["triggerer"].seen.startswith("no triggerer is alive")
    assert found["watching trigger"].state is State.WRONG


@pytest.mark.parametrize(
    ("how", "said"),
    [
        pytest.param({"seconds_ago": 300}, "gave its last sign of life 5 min", id="silent for five minutes"),
        pytest.param({"state": "failed"}, "ended", id="ended"),
    ],
)
def test_a_triggerer_that_is_dead(metadata, consumer, process, how, said):
    from airflow.utils.net import get_hostname

    consumer()
    dead = process("TriggererJob", **how)
    assign(metadata, dead)
    found = seen()
    assert found["triggerer"].state is State.WRONG
    assert found["triggerer"].seen.startswith(f"no triggerer is alive (the last, on {get_hostname()}, {said} ")
    assert (
        found["watching trigger"].seen
        == "the trigger of the alerts asset was in a triggerer that is dead, and none is alive"
    )


def test_no_triggerer_was_ever_started(consumer):
    consumer()
    assert seen()["watching trigger"].seen == "the trigger of the alerts asset waits for a triggerer, and none is alive"


def test_a_trigger_that_a_triggerer_has_yet_to_take(consumer, process):
    consumer()
    process("TriggererJob")
    assert seen()["watching trigger"].state is State.WARNING


@pytest.fixture
def small_triggerer(monkeypatch, process) -> int:
    """A triggerer with ten places."""
    monkeypatch.setenv("AIRFLOW__TRIGGERER__CAPACITY", "10")
    return process("TriggererJob")


def defer(metadata: Callable[..., Any], count: int, triggerer: int | None) -> None:
    """So many other triggers, as deferred sensors have them."""
    from airflow.models import Trigger

    def add(session: Any) -> None:
        for _ in range(count):
            trigger = Trigger(classpath="a.Sensor", kwargs={})
            trigger.triggerer_id = triggerer
            session.add(trigger)

    metadata(add)


def test_a_full_triggerer_starves_the_watcher(metadata, consumer, small_triggerer):
    from airflow.models import Trigger
    from sqlalchemy import update

    defer(metadata, 10, small_triggerer)
    consumer()
    assign(metadata, small_triggerer, capacity=10)
    old = datetime.now(UTC) - timedelta(minutes=5)
    metadata(lambda session: session.execute(update(Trigger).values(created_date=old)))
    found = seen()
    assert found["triggerer capacity"].state is State.WRONG
    assert "10 of 10 places taken (1 x [triggerer] capacity 10), 1 waiting for one" in found["triggerer capacity"].seen
    assert found["watching trigger"].state is State.WRONG
    assert "waits for a place" in found["watching trigger"].seen


@pytest.mark.parametrize(("others", "state"), [(7, State.OK), (8, State.WARNING), (9, State.WARNING)])
def test_a_triggerer_that_fills_up_is_a_warning_while_the_watcher_has_its_place(
    metadata, consumer, small_triggerer, others, state
):
    consumer()
    assign(metadata, small_triggerer, capacity=10)
    defer(metadata, others, small_triggerer)
    assert seen()["triggerer capacity"].state is state


# Without Airflow's database


@pytest.fixture
def airflow_at(airflow_home: Path) -> Iterator[Callable[[str], None]]:
    """Points Airflow's ORM at another metadata database, and back afterwards."""
    from airflow import settings

    with pytest.MonkeyPatch.context() as environment:

        def point(url: str) -> None:
            environment.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
            again()

        def again() -> None:
            settings.dispose_orm()
            settings.configure_vars()
            settings.configure_orm()

        yield point
    again()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("sqlite:////tmp/jobmon-nowhere/airflow.db", "no metadata database at /tmp/jobmon", id="no file"),
        pytest.param("sqlite:///{tmp}/empty.db", "is not migrated", id="not migrated"),
        pytest.param("postgresql+psycopg2://airflow:hunter2@127.0.0.1:1/airflow", "refused", id="server down"),
    ],
)
def test_without_airflows_database_its_side_is_not_checked(airflow_at, tmp_path, url, expected):
    (tmp_path / "empty.db").touch()
    airflow_at(url.replace("{tmp}", str(tmp_path)))
    found = seen()
    assert {diagnosis.state for diagnosis in found.values()} == {State.NOT_CHECKED}
    assert expected in found["airflow database"].seen
    assert "hunter2" not in str(found)
    assert "the API server runs" in found["airflow database"].advice
