"""The doctor on Airflow's side, against a real metadata database: who is woken by the alerts asset, and who watches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, Asset

from airflow_jobmon.assets import jobmon_alerts_asset
from airflow_jobmon.doctor.diagnosis import Diagnosis, State
from airflow_jobmon.doctor.examination import AIRFLOW
from airflow_jobmon.doctor.patient import Patient
from airflow_jobmon.doctor.rounds import make
from airflow_jobmon.operators import DeliverAlertsOperator
from airflow_jobmon.settings import Settings

CONSUMER = "team_alerts"
"""A DAG of its own name: consumers are found by the asset."""


@pytest.fixture
def metadata(airflow_home: Path) -> Iterator[Callable[..., Any]]:
    """Runs a change in Airflow's metadata database; everything that a test adds there is gone afterwards."""
    from airflow.jobs.job import Job
    from airflow.models import DagRun, Trigger
    from airflow.models.asset import AssetModel
    from airflow.models.dag import DagModel
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    def change(work: Callable[[Any], Any]) -> Any:
        with create_session(scoped=False) as session:
            return work(session)

    yield change
    with create_session(scoped=False) as session:
        for model in (DagRun, DagModel, AssetModel, Trigger, Job, ParseImportError):
            session.execute(delete(model))


@pytest.fixture
def consumer(metadata: Callable[..., Any]) -> Callable[..., None]:
    """Stores a DAG that the alerts asset wakes, as the DAG processor does."""

    def store(schedule: Any = jobmon_alerts_asset, *, paused: bool = False, dag_id: str = CONSUMER) -> None:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

        with DAG(dag_id, schedule=[schedule], is_paused_upon_creation=paused) as dag:
            DeliverAlertsOperator(task_id="deliver")
        DagBundlesManager().sync_bundles_to_db()
        bag = DagBag(dag_folder=os.devnull, bundle_name="dags-folder")
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)

    return store


@pytest.fixture
def change_dag(metadata: Callable[..., Any]) -> Callable[..., None]:
    """Sets columns of the consumer's row."""

    def change(**values: Any) -> None:
        from airflow.models.dag import DagModel
        from sqlalchemy import update

        metadata(lambda session: session.execute(update(DagModel).where(DagModel.dag_id == CONSUMER).values(**values)))

    return change


@pytest.fixture
def process(metadata: Callable[..., Any]) -> Callable[..., int]:
    """A scheduler or triggerer, as its heartbeats show in Airflow's database; returns its id."""

    def start(job_type: str, *, seconds_ago: float = 0, state: str = "running") -> int:
        from airflow.jobs.job import Job

        def add(session: Any) -> int:
            job = Job(job_type=job_type, state=state)
            job.latest_heartbeat = datetime.now(UTC) - timedelta(seconds=seconds_ago)
            session.add(job)
            session.flush()
            return int(job.id)

        return int(metadata(add))

    return start


def seen() -> dict[str, Diagnosis]:
    """What every check of Airflow sees; holds what is said to the rules for what is said."""
    patient = Patient("jobmon_default", Settings())
    found = {}
    for check in AIRFLOW:
        for result in make(check, patient):
            diagnosis = result.diagnosis
            print(f"{diagnosis.state} | {check.name} {diagnosis.about} | {diagnosis.seen} | {diagnosis.advice}")  # noqa: T201
            assert "\n" not in diagnosis.seen + diagnosis.advice
            assert diagnosis.advice or diagnosis.state in {State.OK, State.NOT_CHECKED}
            found[f"{check.name} {diagnosis.about}".strip()] = diagnosis
    return found


def assign(metadata: Callable[..., Any], triggerer: int, capacity: int = 1000) -> None:
    """What a triggerer does each second: take the triggers that wait, as far as it has places."""
    from airflow.models import Trigger

    metadata(lambda session: Trigger.assign_unassigned(triggerer, capacity, 30, session=session))


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


# The DAG


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(jobmon_alerts_asset, id="the asset"),
        pytest.param(Asset.ref(name=jobmon_alerts_asset.name), id="a reference by name"),
        pytest.param(Asset.ref(uri=jobmon_alerts_asset.uri), id="a reference by URI"),
        pytest.param(jobmon_alerts_asset | Asset("another"), id="this asset or another"),
    ],
)
def test_a_dag_is_found_by_the_asset_however_it_names_it(consumer, schedule):
    consumer(schedule)
    assert seen()["alerts dag"].state is State.OK


def test_a_dag_on_another_asset_is_no_consumer(consumer):
    consumer(Asset("another"))
    assert "no DAG is scheduled" in seen()["alerts dag"].seen


def test_a_paused_dag_has_no_watcher(consumer):
    consumer(paused=True)
    found = seen()
    assert found[f"alerts dag {CONSUMER}"].state is State.WRONG
    assert "is paused" in found[f"alerts dag {CONSUMER}"].seen
    assert f"airflow dags unpause {CONSUMER}" in found[f"alerts dag {CONSUMER}"].advice
    assert "the alerts asset has no trigger" in found["watching trigger"].seen


def test_one_consumer_that_is_ready_is_enough(consumer):
    consumer(paused=True)
    consumer(dag_id="another")
    assert seen()["alerts dag"].seen == "another is woken by the alerts asset"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({"is_stale": True}, "is gone", id="its file is gone"),
        pytest.param(
            {"last_parsed_time": datetime.now(UTC) - timedelta(minutes=40)},
            "was last parsed 40 min",
            id="not parsed lately",
        ),
        pytest.param({"has_import_errors": True}, "has an import error", id="an import error"),
    ],
)
def test_a_dag_that_cannot_be_woken(consumer, change_dag, values, expected):
    consumer()
    change_dag(**values)
    found = seen()[f"alerts dag {CONSUMER}"]
    assert found.state is State.WRONG
    assert expected in found.seen


@pytest.mark.parametrize("known", [True, False], ids=["known before", "never parsed well"])
def test_an_import_error_is_quoted(metadata, consumer, change_dag, known):
    from airflow.models.errors import ParseImportError

    if known:
        consumer()
        change_dag(has_import_errors=True, relative_fileloc="jobmon_alerts.py")
    error = ParseImportError(
        filename="jobmon_alerts.py",
        bundle_name="dags-folder",
        timestamp=datetime.now(UTC),
        stacktrace="Traceback:\n  from airflow_jobmon import operators\nImportError: cannot import name 'Deliver'\n",
    )
    metadata(lambda session: session.add(error))
    found = next(diagnosis for name, diagnosis in seen().items() if name in {"alerts dag", f"alerts dag {CONSUMER}"})
    assert found.state is State.WRONG
    assert "jobmon_alerts.py: ImportError: cannot import name 'Deliver'" in found.seen


@pytest.mark.parametrize(
    ("state", "minutes", "expected"),
    [
        pytest.param("failed", 1, "failed", id="failed"),
        pytest.param("running", 15, "has been running for 15 min", id="hangs"),
        pytest.param("running", 1, None, id="runs"),
        pytest.param("success", 60, None, id="went well"),
    ],
)
def test_the_newest_run_of_the_dag(metadata, consumer, state, minutes, expected):
    from airflow.models import DagRun
    from airflow.utils.types import DagRunType

    consumer()
    began = datetime.now(UTC) - timedelta(minutes=minutes)

    def add(session: Any) -> None:
        run = DagRun(dag_id=CONSUMER, run_id="asset_triggered__1", run_type=DagRunType.ASSET_TRIGGERED, state=state)
        run.start_date = run.run_after = began
        session.add(run)

    metadata(add)
    found = next(diagnosis for name, diagnosis in seen().items() if name.startswith("alerts dag runs"))
    assert found.state is (State.WARNING if expected else State.OK)
    assert expected is None or expected in found.seen


# The triggerer


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
