"""docker-compose.yaml, its Dockerfile and the systemd unit, checked by the tools that read them."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from typing import Any

import psycopg
import pytest

from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.migrate import migrate
from airflow_jobmon.settings import Settings
from tests.support.compose_config import FILE, ROOT, compose_config, composed, linter, make_env
from tests.support.postgres_server import Postgres
from tests.support.wait_until import wait_until


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    return make_env()


@pytest.fixture(scope="module")
def services(secrets: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = composed(secrets)["services"]
    return found


def checked(*command: object) -> str:
    """The output of a linter; empty if it finds nothing."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=120)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_compose_file_is_valid():
    assert checked(linter("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", FILE) == ""


@pytest.mark.parametrize("name", sorted(make_env()))
def test_compose_refuses_to_start_without_each_secret(secrets, name):
    for without in ({**secrets, name: ""}, {key: value for key, value in secrets.items() if key != name}):
        refused = compose_config(without)
        assert refused.returncode != 0
        assert name in refused.stderr
        assert "docker/make-env > .env" in refused.stderr


def test_the_example_names_every_variable_of_the_file():
    used = set(re.findall(r"\$\{(\w+)", FILE.read_text())) | {"JOBMON_API_TOKEN"}
    named = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / "docker" / "env.example").read_text(), re.MULTILINE))
    assert used == named


def test_generated_secrets_differ_and_are_valid(secrets):
    assert len(base64.urlsafe_b64decode(secrets["FERNET_KEY"])) == 32
    assert len(set(secrets.values())) == len(secrets)
    assert set(secrets.values()).isdisjoint(make_env().values())


def test_no_service_runs_as_root_or_may_become_root(services):
    for name, service in services.items():
        assert service["user"].split(":")[0] not in {"", "root", "0"}, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_images_are_pinned(services):
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", service["image"]), name
    assert re.search(r"^FROM \S+:\d+\.\d+\.\d+", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE)


def test_ports_are_open_to_this_machine_only(services):
    open_ports = {name: port for name, service in services.items() for port in service.get("ports", [])}
    assert {port["host_ip"] for port in open_ports.values()} == {"127.0.0.1"}
    assert set(open_ports) == {"airflow-apiserver", "grafana", "mail", "prometheus"}


ONCE = {"airflow-init", "jobs-db-roles"}


def test_a_service_that_others_wait_for_has_a_health_check(services):
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if needed in ONCE else "service_healthy"
            assert how["condition"] == expected, f"{name} waits for {needed}"
            assert needed in ONCE or "healthcheck" in services[needed]


def test_services_restart_and_have_health_checks(services):
    for name, service in services.items():
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped"), name
        assert "healthcheck" in service or name in {*ONCE, "sample-jobs"}, name


def test_services_with_data_have_a_volume(services):
    held = {
        name: {one["source"] for one in service.get("volumes", []) if one["type"] == "volume"}
        for name, service in services.items()
    }
    for name in ("metadata-db", "jobs-db", "prometheus", "grafana"):
        assert held[name] == {name}
    assert held["airflow-worker"] == held["airflow-apiserver"] == {"airflow-logs"}


def test_mounted_files_exist(services):
    for service in services.values():
        for volume in service.get("volumes", []):
            assert volume["type"] == "volume" or os.path.exists(volume["source"]), volume  # noqa: PTH110


def test_the_file_contains_no_secret():
    lines = re.findall(r"^\s*\S*(?:PASSWORD|SECRET|TOKEN|_KEY)\S*: (.*)$", FILE.read_text(), re.MULTILINE)
    assert len(lines) > 10
    assert all(re.fullmatch(r"\$\{\w+:\?.*\}", line) for line in lines), lines


def test_hadolint_accepts_the_dockerfile():
    assert checked(linter("hadolint"), ROOT / "docker" / "Dockerfile") == ""


@pytest.mark.parametrize("name", ["init.sh", "sample.sh", "jobs.sh", "make-env"])
def test_the_shell_scripts_parse(name):
    assert checked("bash", "-n", ROOT / "docker" / name) == ""


@pytest.fixture
def owner(postgres: Postgres, empty_database: str) -> dict[str, str]:
    """The environment of the database containers, for this test's database."""
    fields = psycopg.conninfo.conninfo_to_dict(empty_database)
    path = os.pathsep.join([str(postgres.program("psql").parent), os.environ["PATH"]])
    return {
        "PATH": path,
        "PGHOST": str(fields["host"]),
        "PGPORT": str(fields["port"]),
        "PGUSER": str(fields["user"]),
        "PGDATABASE": str(fields["dbname"]),
        "SAMPLE": str(ROOT / "demo" / "sql"),
        "GRANTS": str(ROOT / "airflow_jobmon" / "sql" / "psql" / "grants.sql"),
        "JOBMON_DB_PASSWORD": "it's \\ a secret",
        "GRAFANA_DB_PASSWORD": "another",
        "MINUTE": "60",
    }


def test_the_databases_are_initialized_and_logins_get_the_privileges_they_need(owner, empty_database):
    subprocess.run(["bash", ROOT / "docker" / "sample.sh"], env=owner, check=True, timeout=60)
    with connect(empty_database) as conn:
        migrate(conn, Settings())
        for _ in range(2):  # at each start
            subprocess.run(["psql", "-X", "-q", "-f", ROOT / "docker" / "roles.sql"], env=owner, check=True, timeout=60)
        assert conn.execute("SELECT count(*) > 1000 FROM public.jobs_log").fetchone() == (True,)
        for login, role in (("jobmon", "jobmon_operator"), ("grafana", "jobmon_reader")):
            assert conn.execute("SELECT pg_has_role(%s, %s, 'USAGE')", [login, role]).fetchone() == (True,)
        rights = conn.execute(
            "SELECT has_table_privilege('jobmon', 'public.jobs_log', 'DELETE'),"
            " has_table_privilege('grafana', 'public.jobs_log', 'SELECT')"
        ).fetchone()
        assert rights == (True, False)


def test_the_sample_jobs_run(owner, empty_database):
    subprocess.run(["bash", ROOT / "docker" / "sample.sh"], env=owner, check=True, timeout=60)
    with connect(empty_database) as conn:
        conn.execute("TRUNCATE public.jobs_log")
        with subprocess.Popen(["bash", ROOT / "docker" / "jobs.sh"], env=owner, start_new_session=True) as loop:
            try:
                ended = "SELECT count(*) FROM jobs_log WHERE status = 'success'"
                wait_until(lambda: conn.execute(ended).fetchone() == (2,))
            finally:
                os.killpg(loop.pid, 15)
        assert {name for (name,) in conn.execute("SELECT job_name FROM jobs_log")} == {
            "send-payment-reminders",
            "update-installment-statuses",
        }


def test_the_systemd_unit_is_valid(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.fail("there is no systemd-analyze; run: make extras")
    unit = (ROOT / "deploy" / "systemd" / "jobmon-listen.service").read_text()
    assert "/opt/airflow/venv/bin/airflow jobmon listen" in unit
    here = tmp_path / "jobmon-listen.service"
    here.write_text(unit.replace("/opt/airflow/venv/bin/airflow", str(ROOT / ".venv" / "bin" / "airflow")))
    done = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "jobmon" in line]) == (0, [])
