"""Airflow split over processes as in production: Celery worker, Redis, two triggerers, and `listen` beside them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from demo.inbox_reader import SINKS
from tests.support.distributed_services import Services, fresh_name, running_services
from tests.support.logged_runs import log_run
from tests.support.running_airflow import triggerer_processes

pytestmark = pytest.mark.distributed


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with running_services(tmp_path_factory.mktemp("distributed")) as found:
        yield found


def failed(services: Services, word: str) -> str:
    name = fresh_name(word)
    with services.jobs() as conn:
        log_run(conn, name, "failed", error_message="Connection timeout after 3 retries", seconds=0.1)
    return name


def test_a_triggerer_and_a_celery_worker_deliver_a_failed_run(services):
    name = failed(services, "load")
    began = time.monotonic()
    for sink in SINKS:
        services.until_arrived(sink, "Job Failed", name, timeout=180)
        print(f"{time.monotonic() - began:8.2f} s  failed row to {sink}, the first")


def test_every_part_is_healthy_by_the_checks_of_the_file(services):
    for part in ("apiserver", "dag-processor", "scheduler", "worker", "triggerer"):
        name = f"airflow-{part}"
        services.until(lambda name=name: services.healthy(name), f"{name} to be healthy")


def test_a_missed_run_is_delivered(services):
    name = fresh_name("hourly")
    registry = services.directory / "jobs.yaml"
    registry.write_text(f"jobs:\n  - name: {name}\n    every: 1m\n    grace: 1s\n")
    subprocess.run(
        ["airflow", "jobmon", "jobs", "apply", registry],
        env=services.environment("airflow-worker"),
        check=True,
        capture_output=True,
        timeout=120,
    )
    with services.jobs() as conn:
        log_run(conn, name, started_at=datetime.now(UTC) - timedelta(seconds=30), seconds=1)
    for sink in SINKS:
        services.until_arrived(sink, "Job Missed", name, timeout=180)


def test_the_api_server_reports_job_health_to_programs(services):
    name = failed(services, "asked")
    services.until(
        lambda: services.ask(f"/jobmon/check-job-health?job_name={name}").status_code == 503, "the job to be critical"
    )
    assert f'job_name="{name}"' in services.ask("/jobmon/metrics").text


def test_alerts_still_arrive_after_the_watching_triggerer_is_killed(services):
    (pid,) = services.watching()
    holder = next(
        name
        for name, program in services.programs.items()
        if name.startswith("airflow-triggerer") and pid in triggerer_processes(program)
    )
    for process in triggerer_processes(services.programs[holder]):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    services.stop(holder)
    name = failed(services, "meanwhile")
    began = time.monotonic()
    for sink in SINKS:
        services.until_arrived(sink, "Job Failed", name, timeout=180)
    print(f"{time.monotonic() - began:8.2f} s  killed triggerer's alerts by the other one")
    assert services.watching() != {pid}


def test_listen_delivers_while_the_rest_of_airflow_is_down(services):
    services.start("listen")
    services.until(lambda: services.healthy("listen"), "listen to be healthy")
    services.stop(*(name for name in services.programs if name.startswith("airflow-")))
    name = failed(services, "alone")
    began = time.monotonic()
    for sink in SINKS:
        services.until_arrived(sink, "Job Failed", name)
    print(f"{time.monotonic() - began:8.2f} s  failed row to both channels by listen alone")
    services.stop("listen")
    assert "stopped" in (services.directory / "listen.log").read_text()
