"""The wheel in a clean environment with each supported Airflow; nothing of the checkout is on the path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.clean_environment import ROOT, Installed

pytestmark = pytest.mark.install

PROBE = Path(__file__).parents[1] / "support" / "provider_probe.py"

VERSIONS = {
    # The version that all other tests use.
    "3.3.2": ["--constraint", str(ROOT / "requirements-dev.txt")],
    # Libraries of its own time: with today's, Airflow 3.2.2 itself does not start.
    "3.2.2": ["--exclude-newer", "2026-06-01"],
}


@pytest.fixture(scope="module", params=VERSIONS)
def installed(request, wheel, tmp_path_factory) -> Installed:
    airflow = request.param
    directory = tmp_path_factory.mktemp(f"airflow-{airflow}")
    return Installed(directory, wheel, *VERSIONS[airflow], f"apache-airflow=={airflow}")


@pytest.fixture(scope="module")
def seen(installed) -> dict[str, object]:
    """The findings of probe.py in that environment."""
    return json.loads(installed.run("python", "-I", PROBE, ROOT / "dags").splitlines()[-1])


def test_everything_that_dag_files_import_can_be_imported(seen):
    assert seen["import_errors"] == {}


def test_a_dag_file_imports_nothing_heavy_through_this_package(seen):
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
        pytest.param(["providers", "list"], ["airflow-provider-jobmon", "Monitors jobs"], id="providers list"),
        pytest.param(["config", "list", "--section", "jobmon"], ["[jobmon]", "sweep_interval"], id="config list"),
        pytest.param(["plugins"], ["jobmon"], id="plugins"),
        pytest.param(["jobmon", "--help"], ["migrate", "check", "listen", "deliver", "incidents"], id="jobmon --help"),
    ],
)
def test_the_command_line_lists_the_provider(installed, command, shows):
    said = installed.run("airflow", *command)
    assert [word for word in shows if word not in said] == []
