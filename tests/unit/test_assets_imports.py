"""The cost of importing this package in a DAG file."""

from __future__ import annotations

import json
import subprocess
import sys

_PROGRAM = """
import json, sys
from airflow.sdk import DAG, Asset, AssetWatcher, BaseSensorOperator, PokeReturnValue, conf
import airflow.sdk.exceptions
before = set(sys.modules)
import airflow_jobmon.sensors, airflow_jobmon.assets, airflow_jobmon.triggers
print(json.dumps(sorted(set(sys.modules) - before)))
"""

_OURS = {
    "airflow_jobmon",
    "airflow_jobmon.assets",
    "airflow_jobmon.core",
    "airflow_jobmon.core.model",
    "airflow_jobmon.core.model.runs",
    "airflow_jobmon.core.model.waits",
    "airflow_jobmon.core.rules",
    "airflow_jobmon.core.rules.backoff",
    "airflow_jobmon.core.times",
    "airflow_jobmon.errors",
    "airflow_jobmon.links",
    "airflow_jobmon.sensors",
    "airflow_jobmon.triggers",
}


def test_a_dag_file_loads_nothing_heavy_for_sensors_and_assets():
    """Our few modules and Airflow's trigger base load in some 30 ms; psycopg alone takes 300."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert {module for module in loaded if module.startswith("airflow_jobmon")} <= _OURS
    others = {module.split(".")[0] for module in loaded} - {"airflow", "airflow_jobmon", "pydantic"}
    assert others <= set(sys.stdlib_module_names)
