"""The wheel, in a clean environment with each Airflow that we support: nothing of the checkout is on the path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.install

ROOT = Path(__file__).parents[2]
PROBE = Path(__file__).with_name("probe.py")
UV = Path(sys.executable).with_name("uv")

VERSIONS = {
    # What is tested everywhere else.
    "3.3.2": ["--constraint", str(ROOT / "requirements-dev.txt")],
    # Libraries of its own time: with today's, Airflow 3.2.2 itself does not start.
    "3.2.2": ["--exclude-newer", "2026-06-01"],
}


def uv(*args: str | Path) -> None:
    done = subprocess.run([UV, *args], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"uv {args[0]} failed, is a package registry in reach?\n{done.stderr[-3000:]}")


class Installed:
    """An environment that has the wheel, and an AIRFLOW_HOME that has nothing."""

    def __init__(self, directory: Path, airflow: str, wheel: Path) -> None:
        self.bin = directory / "venv" / "bin"
        self.home = directory / "home"
        self.home.mkdir()
        uv("venv", "--quiet", "--python", sys.executable, directory / "venv")
        target = ["--quiet", "--python", str(self.bin / "python")]
        uv("pip", "install", *target, *VERSIONS[airflow], f"apache-airflow=={airflow}", wheel)

    def run(self, program: str, *args: str | Path) -> str:
        environment = {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": os.environ.get("HOME", "/"),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "COLUMNS": "200",
        }
        done = subprocess.run(
            [self.bin / program, *args], cwd=self.home, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    built = tmp_path_factory.mktemp("wheel")
    uv("build", "--quiet", "--wheel", "--out-dir", built)
    [found] = built.glob("*.whl")
    return found


@pytest.fixture(scope="module", params=VERSIONS)
def installed(request, wheel, tmp_path_factory) -> Installed:
    return Installed(tmp_path_factory.mktemp(f"airflow-{request.param}"), request.param, wheel)


@pytest.fixture(scope="module")
def seen(installed) -> dict[str, object]:
    """What probe.py finds there."""
    return json.loads(installed.run("python", "-I", PROBE, ROOT / "dags").splitlines()[-1])


def test_everything_that_dag_files_name_can_be_imported(seen):
    assert seen["import_errors"] == {}


def test_a_dag_file_loads_nothing_heavy_with_us(seen):
    assert seen["heavy"] == []


def test_the_example_dags_can_be_read_without_any_connection(seen):
    assert seen["dag_errors"] == {}
    assert {path.stem for path in (ROOT / "dags").glob("*.py")} == set(seen["dags"])


def test_this_airflows_own_schema_accepts_the_provider(seen):
    assert seen["schema_problem"] is None


def test_the_connection_form_has_the_fields_of_resend(seen):
    assert seen["resend"] == {
        "hook_name": "Resend",
        "fields": ["from_email", "to"],
        "hidden": ["extra", "login", "port", "schema"],
    }


@pytest.mark.parametrize(
    ("command", "shows"),
    [
        pytest.param(["providers", "list"], ["airflow-provider-jobmon", "Watches jobs"], id="providers list"),
        pytest.param(["config", "list", "--section", "jobmon"], ["[jobmon]", "sweep_interval"], id="config list"),
        pytest.param(["plugins"], ["jobmon"], id="plugins"),
        pytest.param(["jobmon", "--help"], ["migrate", "check", "listen", "deliver", "incidents"], id="jobmon --help"),
    ],
)
def test_the_command_line_shows_it(installed, command, shows):
    said = installed.run("airflow", *command)
    assert [word for word in shows if word not in said] == []
