"""The demo from start to end: start everything, run the steps, show the table, stay up, stop everything."""

from __future__ import annotations

import logging
import shutil
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from demo import sample
from demo.inbox import Inbox
from demo.keep_jobs_running import keep_jobs_running
from demo.preconditions import REPOSITORY, STATE, check_port, claim_state_directory
from demo.programs import Program, run
from demo.screen import Screen
from demo.signals import Stopped, finish_undisturbed
from demo.standalone import PASSWORD, USER, Standalone, airflow_program, environment
from demo.steps import Steps, print_table
from tests.support.postgres_programs import find_bin
from tests.support.postgres_server import Postgres

LOGS = STATE / "logs"
HOURLY = "jobmon_hourly_health_check"
JOBS = Path(__file__).with_name("jobs.yaml")
HEALTHY_WITHIN, FIRST_RUN_WITHIN = 240.0, 120.0


def run_demo(options: Namespace) -> bool:
    """Whether every expected alert arrived, and no other; returns after Ctrl-C unless `options.once`."""
    screen = Screen()
    logging.getLogger("psycopg").propagate = False  # an interrupted connection is expected here
    with ExitStack() as running:
        running.enter_context(claim_state_directory())
        for port, what, variable in (
            (options.airflow_port, "Airflow", "AIRFLOW_PORT"),
            (options.inbox_port, "the inbox", "INBOX_PORT"),
            (options.smtp_port, "the inbox's mail server", "SMTP_PORT"),
        ):
            check_port(port, what, f"make demo {variable}=")
        running.callback(screen.step, "everything the demo started has been stopped", "dim")
        try:
            steps, env = _start(running, screen, options)
            good = _run_steps(running, steps, env, screen)
            if not options.once:
                _stay_up(steps, env, screen, options)
        finally:
            finish_undisturbed()
        return good


def _start(running: ExitStack, screen: Screen, options: Namespace) -> tuple[Steps, dict[str, str]]:
    """Start everything. Airflow takes by far the longest, so it starts first, and the rest runs meanwhile."""
    inbox = running.enter_context(Inbox(options.inbox_port, options.smtp_port))
    screen.step(f"inbox: {inbox.url}/ shows the messages of Slack and the mailbox")
    postgres = running.enter_context(_postgres())
    for name in ("airflow", "agencies"):
        with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}")
    screen.step(f"Postgres: port {postgres.port}, data and logs under {STATE}")
    env = environment(
        STATE / "airflow",
        port=options.airflow_port,
        metadata_uri=postgres.uri("airflow").replace("postgres://", "postgresql+psycopg2://"),
        jobs_uri=postgres.uri("agencies"),
        webhook_host=inbox.webhook_host,
        smtp_port=inbox.smtp_port,
    )
    airflow = Standalone(env, LOGS / "airflow.log")
    running.callback(_stop, airflow.program, screen)
    screen.step("Airflow: starting, which takes about a minute; loading the sample meanwhile")

    conn = running.enter_context(psycopg.connect(postgres.conninfo("agencies"), autocommit=True))
    loaded = sample.create(conn)
    screen.step(f"sample: {loaded} runs of six jobs over 90 days, agencies in six time zones")
    for command in (["migrate"], ["jobs", "apply", str(JOBS)]):
        shown = " ".join(["airflow jobmon", *(part.replace(str(JOBS), "demo/jobs.yaml") for part in command)])
        log = LOGS / f"{command[0]}.log"
        run(shown, [airflow_program(), "jobmon", *command], env=env, log=log, timeout=120)
        screen.step(f"{shown}: done")
    steps = Steps(conn, inbox, airflow, screen)
    airflow.wait_until_healthy(HEALTHY_WITHIN, lambda what: screen.step(f"Airflow: {what}"))
    steps.wait_for_watcher("trigger", airflow.program, FIRST_RUN_WITHIN)
    screen.step("Airflow: the watcher in the triggerer is running")
    # Airflow runs it once as soon as it finds the DAG; that registers its job and warms Airflow up.
    airflow.wait_for(lambda: airflow.has_run(HOURLY), FIRST_RUN_WITHIN, lambda: f"the first run of {HOURLY}")
    screen.step(f"Airflow: the DAG {HOURLY} has run once, and all jobs are registered")
    return steps, env


def _run_steps(running: ExitStack, steps: Steps, env: dict[str, str], screen: Screen) -> bool:
    steps.succeeds()
    steps.fails()
    steps.recovers()
    log = LOGS / "listen.log"
    steps.listen = Program("airflow jobmon listen", [airflow_program(), "jobmon", "listen"], env=env, log=log)
    running.callback(_stop, steps.listen, screen)
    steps.wait_for_watcher("listen", steps.listen, 60)
    steps.fails_while_listening()
    steps.recovers_while_listening()
    steps.misses_a_run()
    steps.record_unexpected()
    screen.line()
    print_table(screen, steps.rows)
    screen.line()
    missing = [row for row in steps.rows if not row.good]
    if missing:
        screen.step(f"{len(missing)} of {len(steps.rows)} differ from what was expected; logs: {LOGS}", "bad")
    else:
        screen.step("every expected alert arrived, and no other", "good")
    return not missing


def _stay_up(steps: Steps, env: dict[str, str], screen: Screen, options: Namespace) -> None:
    """Keep the jobs running on schedule, with both watchers, until a signal."""
    screen.line()
    screen.line(f"  Airflow   http://127.0.0.1:{options.airflow_port}/   user {USER}, password {PASSWORD}")
    screen.line(f"  Jobs      http://127.0.0.1:{options.airflow_port}/plugin/jobmon   in Airflow's menu: Jobmon")
    screen.line(f"  Inbox     {steps.inbox.url}/   the messages of Slack and the mailbox")
    screen.line(f"  Database  {_psql()} {env['AIRFLOW_CONN_JOBMON_DEFAULT']}")
    screen.line(f"  Logs      {LOGS}")
    screen.line()
    screen.line("  To make the jobs fail yourself, see docs/demo.md. Ctrl-C stops everything.")
    stop = threading.Event()
    with psycopg.connect(env["AIRFLOW_CONN_JOBMON_DEFAULT"], autocommit=True) as conn:
        jobs = threading.Thread(target=keep_jobs_running, args=(conn, stop), daemon=True)
        jobs.start()
        try:
            while True:
                steps.airflow.program.check()
                stop.wait(1)
        except Stopped:
            screen.line()
            screen.step(f"stopping ({datetime.now(UTC):%H:%M:%S} UTC)")
        finally:
            stop.set()
            jobs.join(10)


def _stop(program: Program, screen: Screen) -> None:
    program.stop()
    screen.step(f"{program.name}: stopped", "dim")


def _psql() -> str:
    """The wheel's own psql, as you would type it here."""
    program = find_bin() / "psql"
    return str(program.relative_to(REPOSITORY) if program.is_relative_to(REPOSITORY) else program)


@contextmanager
def _postgres() -> Iterator[Postgres]:
    """A cluster of the demo's own, with fsync on as in production; its data is deleted afterwards."""
    directory = STATE / "postgres"
    server = Postgres(directory)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.data, ignore_errors=True)
