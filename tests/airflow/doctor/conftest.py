"""Airflow's metadata database in the states that its own processes leave it in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_jobmon.assets import jobmon_alerts_asset
from airflow_jobmon.operators import DeliverAlertsOperator
from tests.support.airflow_state import CONSUMER


@pytest.fixture
def metadata(airflow_home: Path) -> Iterator[Callable[..., Any]]:
    """Run a change in Airflow's metadata database, which is cleared before and after a test."""
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

    def clear() -> None:
        with create_session(scoped=False) as session:
            for model in (DagRun, DagModel, AssetModel, Trigger, Job, ParseImportError):
                session.execute(delete(model))

    clear()  # other tests of this process leave their DAGs and triggers
    yield change
    clear()


@pytest.fixture
def consumer(metadata: Callable[..., Any]) -> Callable[..., None]:
    """Store a DAG that the alerts asset triggers, as the DAG processor does."""

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
    """Set columns of the consumer's row."""

    def change(**values: Any) -> None:
        from airflow.models.dag import DagModel
        from sqlalchemy import update

        metadata(lambda session: session.execute(update(DagModel).where(DagModel.dag_id == CONSUMER).values(**values)))

    return change


@pytest.fixture
def process(metadata: Callable[..., Any]) -> Callable[..., int]:
    """Record the heartbeat of a scheduler or triggerer in Airflow's database; returns its id."""

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
