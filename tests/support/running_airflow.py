"""A running Airflow: started once, used over its REST API; its triggerer can be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from demo.inbox import Inbox
from demo.inbox_reader import title_of
from demo.ports import free_port
from demo.programs import Program, TookTooLong
from demo.standalone import Standalone, airflow_program, environment
from tests.support.postgres_server import Postgres, temporary_postgres

_ROOT = Path(__file__).parents[2]
_OTHER_TEAMS = Path(__file__).parents[1] / "standalone" / "dags"


class RunningAirflow:
    """`airflow standalone`, the database that it watches, and the inbox its alerts go to."""

    def __init__(self, standalone: Standalone, env: dict[str, str], postgres: Postgres, inbox: Inbox) -> None:
        self.standalone, self.env, self.postgres, self.inbox = standalone, env, postgres, inbox
        self.logs = standalone.program.log.parent

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """To the database of jobs_log."""
        with connect(self.postgres.conninfo("jobs")) as conn:
            yield conn

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Start a run with this configuration, as the UI's form does, and return its id."""
        answer = self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return str(answer["dag_run_id"])

    def state(self, dag_id: str, run_id: str) -> str:
        return str(self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def task_state(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        found = self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}")["state"]
        return None if found is None else str(found)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns?order_by=-run_after")["dag_runs"]
        return runs

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._ask("GET", f"{path}?deserialize=true")["value"]

    def until(self, condition: Callable[[], object], what: str, timeout: float = 120) -> None:
        self.standalone.wait_for(lambda: bool(condition()), timeout, lambda: what)

    def until_arrived(self, sink: str, *words: str, after: int = 0, timeout: float = 120) -> dict[str, Any]:
        """The first message in the inbox, after number `after`, whose title holds all these words."""
        deadline = time.monotonic() + timeout
        while True:
            received = [message for message in self.inbox.received(after) if message["sink"] == sink]
            for message in received:
                if all(word in title_of(message) for word in words):
                    return message
            if time.monotonic() > deadline:
                raise TookTooLong(f"{timeout:g} s for {words} by {sink}; came: {[title_of(m) for m in received]}")
            self.standalone.program.check()
            time.sleep(0.02)

    def last_received(self) -> int:
        return max((message["id"] for message in self.inbox.received()), default=0)

    def delivered_by_dag(self, since: datetime) -> dict[str, int]:
        """Messages that runs of the DAG jobmon_alerts say they sent, by channel."""
        sent: dict[str, int] = {}
        for run in self.runs("jobmon_alerts"):
            if datetime.fromisoformat(run["run_after"]) >= since and run["state"] == "success":
                for channel, count in self.xcom("jobmon_alerts", run["dag_run_id"], "deliver")["sent"].items():
                    sent[channel] = sent.get(channel, 0) + count
        return sent

    def watchers(self) -> int:
        """How many triggers are watching now."""
        with self.connection() as conn:
            row = conn.execute(
                "SELECT count(*) FROM airflow_jobmon.watchers "
                "WHERE kind = 'trigger' AND listens AND seen_at > clock_timestamp() - interval '7 seconds'"
            ).fetchone()
        assert row is not None
        return int(row[0])

    def kill_triggerer(self) -> None:
        """kill -9 of every process of it, as the kernel does when memory runs out."""
        found = triggerer_processes(self.standalone.program)
        assert found, "no triggerer is running"
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.until(lambda: not triggerer_processes(self.standalone.program), "the triggerer to be gone")

    def start_triggerer(self) -> Program:
        """By hand: `standalone` does not start another."""
        return Program(
            "airflow triggerer", [airflow_program(), "triggerer"], env=self.env, log=self.logs / "triggerer.log"
        )

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        return self.standalone._call(method, path, body, login=True)


def triggerer_processes(program: Program) -> list[int]:
    """Everything below this program that belongs to the triggerer: its main process and whatever that started."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
            if state != "Z":
                parents[int(entry.name)] = int(parent)
                commands[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")

    def lineage(process: int) -> list[int]:
        """Up to the program, and not beyond: a test runner's own title may name what it tests."""
        found = []
        while process in parents and process != mine:
            found.append(process)
            process = parents[process]
        return found if process == mine else []

    mine = program._guard.pid
    return [process for process in parents if any("triggerer" in commands[one] for one in lineage(process))]


@contextmanager
def running_airflow(directory: Path) -> Iterator[RunningAirflow]:
    """Healthy, its DAGs read, the watcher listening; about a minute. Everything is stopped at the end."""
    with ExitStack() as started:
        postgres = started.enter_context(temporary_postgres(max_connections="200"))
        inbox = started.enter_context(Inbox())
        with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
            for name in ("airflow", "jobs"):
                admin.execute(f"CREATE DATABASE {name}")
        with connect(postgres.conninfo("jobs")) as conn:
            migrate(conn, Settings(), create_jobs_log=True)
        env = environment(
            directory / "airflow",
            port=free_port(),
            metadata_uri=postgres.uri("airflow").replace("postgres://", "postgresql+psycopg2://"),
            jobs_uri=postgres.uri("jobs"),
            webhook_host=inbox.webhook_host,
            smtp_port=inbox.smtp_port,
        )
        env["AIRFLOW__CORE__DAGS_FOLDER"] = str(_dags_of_everybody(directory / "dags"))
        standalone = Standalone(env, directory / "standalone.log")
        started.callback(standalone.program.stop)
        airflow = RunningAirflow(standalone, env, postgres, inbox)
        standalone.wait_until_healthy(240, lambda _: None)
        airflow.until(lambda: airflow.watchers() == 1, "the watcher in the triggerer", 120)
        # Runs once when it is first seen, and delivers: not while a test looks at who does.
        airflow.until(lambda: standalone.has_run("jobmon_hourly_health_check"), "the first hourly check", 240)
        yield airflow


def _dags_of_everybody(folder: Path) -> Path:
    """This project's DAGs beside those of others."""
    folder.mkdir()
    for file in [*(_ROOT / "dags").glob("*.py"), *_OTHER_TEAMS.glob("*.py")]:
        shutil.copy(file, folder)
    return folder
