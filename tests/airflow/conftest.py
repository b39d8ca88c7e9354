"""A real Airflow metadata database, so that dag.test() runs tasks as Airflow does."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.support.wait_until import eventually

_TEMPLATES = Path(__file__).parents[2] / ".cache" / "airflow-metadata"


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """AIRFLOW_HOME of this test process: an empty dags folder and a migrated sqlite database for Airflow's ORM."""
    from airflow import __version__, settings

    home = tmp_path_factory.mktemp("airflow_home")
    (home / "dags").mkdir()
    database = home / "airflow.db"
    shutil.copy(_migrated_template(__version__), database)
    with _environment(_environment_of(home)):
        # Airflow may have been imported, and configured, by another test before.
        settings.dispose_orm()
        settings.configure_vars()
        settings.configure_orm()
        with warnings.catch_warnings(action="ignore"):
            # What dag.test() talks to; its own dependencies warn of each other when they are imported.
            importlib.import_module("airflow.api_fastapi.execution_api.app")
        yield home
        settings.dispose_orm()


@pytest.fixture
def run_dag(airflow_home: Path) -> Callable[..., Any]:
    """Run a DAG with dag.test() and its keyword arguments; return its DagRun."""

    def run(dag: Any, **kwargs: Any) -> Any:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

        # dag.test() finds a DAG in the dags folder; one made in a test has to be stored first.
        DagBundlesManager().sync_bundles_to_db()
        bag = DagBag(dag_folder=os.devnull, bundle_name="dags-folder")
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        return dag.test(**kwargs)

    return run


@pytest.fixture
def task_state() -> Callable[..., str]:
    """The final state of a task in a DagRun."""

    def state(dag_run: Any, task_id: str) -> str:
        return str(dag_run.get_task_instance(task_id).state)

    return state


@pytest.fixture
def airflow_connection(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Create an Airflow connection from a libpq conninfo."""

    def set_connection(conn_id: str, conninfo: str) -> None:
        fields = dict(conninfo_to_dict(conninfo))
        connection = {
            "conn_type": "postgres",
            "host": fields.pop("host", None),
            "port": int(fields.pop("port", 5432)),
            "login": fields.pop("user", None),
            "password": fields.pop("password", None),
            "schema": fields.pop("dbname", None),
            "extra": fields,
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))

    return set_connection


@pytest.fixture
def jobmon_default(database: str, airflow_connection: Callable[[str, str], None]) -> str:
    """The Airflow connection `jobmon_default` to this test's database."""
    airflow_connection("jobmon_default", database)
    return "jobmon_default"


@pytest.fixture
def running() -> Callable[[Any], AbstractAsyncContextManager[list[Any]]]:
    """Run a trigger as the triggerer does, collecting the payloads of its events; it must not end by itself."""
    from airflow_jobmon.waiting import run_poller

    @asynccontextmanager
    async def run(trigger: Any) -> AsyncIterator[list[Any]]:
        payloads: list[Any] = []

        async def collect() -> None:
            async with aclosing(trigger.run()) as events:
                async for event in events:
                    payloads.append(event.payload)  # noqa: PERF401 - read while it grows

        task = asyncio.create_task(collect())
        try:
            yield payloads
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await eventually(lambda: not run_poller._pollers, "the poller to end")

    return run


def _environment_of(home: Path) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }


def _migrated_template(version: str) -> Path:
    """A migrated, otherwise empty metadata database: migrating takes many seconds, so it is kept from run to run."""
    _TEMPLATES.mkdir(parents=True, exist_ok=True)
    template = _TEMPLATES / f"{version}.db"
    with (_TEMPLATES / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            with tempfile.TemporaryDirectory() as made_in:
                home = Path(made_in)
                (home / "dags").mkdir()
                done = subprocess.run(
                    [sys.executable, "-m", "airflow", "db", "migrate"],
                    env={**os.environ, **_environment_of(home)},
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode:
                    pytest.exit(f"airflow db migrate failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
                shutil.copy(home / "airflow.db", template.with_suffix(".part"))
                template.with_suffix(".part").rename(template)
    return template


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
