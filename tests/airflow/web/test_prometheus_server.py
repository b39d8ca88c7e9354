"""A real Prometheus that scrapes with the machine token and the shipped configuration."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
import yaml

from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.prometheus_programs import DIRECTORY, prometheus
from tests.support.wait_until import wait_until

TOKEN = "of a machine"
HOSTILE = "load \"{x='1'}\"\\ <b>\nnext"


@pytest.fixture
def target(client: tuple[Any, dict[str, str]], jobmon_default: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """host:port of a running API server."""
    monkeypatch.setenv("AIRFLOW__JOBMON__API_TOKEN", TOKEN)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(client[0].app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@contextmanager
def scraping(directory: Path, target: str, token: str) -> Iterator[str]:
    """Start Prometheus with the shipped configuration, this target and token, and short intervals; yield its URL."""
    configuration = yaml.safe_load((DIRECTORY / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
    (scrape,) = configuration["scrape_configs"]
    scrape["static_configs"] = [{"targets": [target]}]
    scrape["authorization"]["credentials_file"] = "token"
    (directory / "token").write_text(token + "\n")
    (directory / "alerts.yml").write_text((DIRECTORY / "alerts.yml").read_text())
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    with prometheus(directory / "prometheus.yml") as url:
        yield url


def series(url: str, query: str) -> list[dict[str, Any]]:
    """The series that the server returns now; none while it starts."""
    try:
        answer = requests.get(f"{url}/api/v1/query", {"query": query}, timeout=30)
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
    except (requests.RequestException, ValueError, KeyError):
        return []
    return found


def test_jobs_become_series_under_their_own_names_and_alerts_are_raised(tmp_path, conn, target):
    log_run(conn, "load", "failed", seconds=12)
    log_run(conn, HOSTILE)
    conn.execute("UPDATE public.jobs_log SET started_at = started_at - interval '1 hour'")
    check_and_record(conn, Settings())
    with scraping(tmp_path, target, TOKEN) as url:
        wait_until(lambda: [one["value"][1] for one in series(url, "up")] == ["1"])
        wait_until(lambda: bool(series(url, "jobmon_job_health")))
        health = {one["metric"]["job_name"]: one for one in series(url, "jobmon_job_health")}
        assert set(health) == {"load", HOSTILE}
        assert health["load"]["metric"]["job"] == "jobmon"
        assert "exported_job" not in health["load"]["metric"]
        assert health["load"]["value"][1] == "3"
        pending = 'ALERTS{alertname="JobCritical", job_name="load"}'
        wait_until(lambda: [one["metric"]["alertstate"] for one in series(url, pending)] == ["pending"])


def test_a_scrape_with_a_wrong_token_fails(tmp_path, conn, target):
    with scraping(tmp_path, target, "of somebody else") as url:
        wait_until(lambda: [one["value"][1] for one in series(url, "up")] == ["0"])
        (scraped,) = requests.get(f"{url}/api/v1/targets", timeout=30).json()["data"]["activeTargets"]
        assert "403" in scraped["lastError"] or "401" in scraped["lastError"]
