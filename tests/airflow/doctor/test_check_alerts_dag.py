"""The doctor's checks of the DAGs on the alerts asset, against a real metadata database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import Asset

from airflow_jobmon.assets import jobmon_alerts_asset
from airflow_jobmon.doctor.result import CheckState
from tests.support.airflow_state import CONSUMER, run_airflow_checks


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(jobmon_alerts_asset, id="the asset"),
        pytest.param(Asset.ref(name=jobmon_alerts_asset.name), id="a reference by name"),
        pytest.param(Asset.ref(uri=jobmon_alerts_asset.uri), id="a reference by URI"),
        pytest.param(jobmon_alerts_asset | Asset("another"), id="this asset or another"),
    ],
)
def test_a_dag_on_the_alerts_asset_is_found(consumer, schedule):
    consumer(schedule)
    assert run_airflow_checks()["alerts dag"].state is CheckState.OK


def test_a_dag_on_another_asset_is_not_a_consumer(consumer):
    consumer(Asset("another"))
    assert "no DAG is scheduled" in run_airflow_checks()["alerts dag"].seen


def test_a_paused_dag_is_wrong_and_has_no_trigger(consumer):
    consumer(paused=True)
    found = run_airflow_checks()
    assert found[f"alerts dag {CONSUMER}"].state is CheckState.WRONG
    assert "is paused" in found[f"alerts dag {CONSUMER}"].seen
    assert f"airflow dags unpause {CONSUMER}" in found[f"alerts dag {CONSUMER}"].advice
    assert "the alerts asset has no trigger" in found["watching trigger"].seen


def test_one_unpaused_consumer_is_enough(consumer):
    consumer(paused=True)
    consumer(dag_id="another")
    assert run_airflow_checks()["alerts dag"].seen == "another is triggered by the alerts asset"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({"is_stale": True}, "is gone", id="its file is gone"),
        pytest.param(
            {"last_parsed_time": datetime.now(UTC) - timedelta(days=3)},
            "was last parsed 3 d 0 h",
            id="not parsed lately",
        ),
        pytest.param({"has_import_errors": True}, "has an import error", id="an import error"),
    ],
)
def test_a_dag_that_cannot_be_triggered(consumer, change_dag, values, expected):
    consumer()
    change_dag(**values)
    found = run_airflow_checks()[f"alerts dag {CONSUMER}"]
    assert found.state is CheckState.WRONG
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
    found = next(
        result for name, result in run_airflow_checks().items() if name in {"alerts dag", f"alerts dag {CONSUMER}"}
    )
    assert found.state is CheckState.WRONG
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
    found = next(result for name, result in run_airflow_checks().items() if name.startswith("alerts dag runs"))
    assert found.state is (CheckState.WARNING if expected else CheckState.OK)
    assert expected is None or expected in found.seen
