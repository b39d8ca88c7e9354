"""Run by the Python of a clean environment: prints what it finds of the provider, as one line of JSON."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import warnings
from pathlib import Path

MODULES = ("assets", "hooks", "jobs", "notifiers", "operators", "sensors", "triggers")
HEAVY = (
    "psycopg",
    "requests",
    "slack_sdk",
    "smtplib",
    "aiohttp",
    "airflow.providers.postgres",
    "airflow.providers.http",
)


def main(dags: Path) -> dict[str, object]:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    return {**imports(), **dag_files(dags), **provider()}


def imports() -> dict[str, object]:
    """Also what our modules load beyond airflow.sdk and what every process that parses DAG files has loaded."""
    from airflow.sdk import Asset, AssetWatcher, BaseNotifier, BaseOperator, BaseSensorOperator, conf  # noqa: F401
    from airflow.triggers.base import BaseEventTrigger  # noqa: F401

    before = set(sys.modules)
    errors = {}
    for module in MODULES:
        try:
            importlib.import_module(f"airflow_jobmon.{module}")
        except Exception as error:  # noqa: BLE001 - reported
            errors[module] = repr(error)
    loaded = set(sys.modules) - before
    return {"import_errors": errors, "heavy": sorted(loaded & set(HEAVY))}


def dag_files(directory: Path) -> dict[str, object]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(directory))
    return {"dags": sorted(bag.dags), "dag_errors": {Path(path).name: text for path, text in bag.import_errors.items()}}


def provider() -> dict[str, object]:
    import airflow
    import jsonschema
    from airflow.providers_manager import ProvidersManager

    from airflow_jobmon.get_provider_info import get_provider_info

    problem = None
    try:
        schema = json.loads((Path(airflow.__path__[0]) / "provider_info.schema.json").read_text())
        jsonschema.validate(get_provider_info(), schema)
    except jsonschema.ValidationError as error:
        problem = error.message
    manager = ProvidersManager()
    hook = manager.hooks["resend"]
    [declared] = manager.providers["airflow-provider-jobmon"].data["connection-types"]
    return {
        "schema_problem": problem,
        "resend": {
            "hook_name": hook.hook_name,
            "fields": sorted(declared["conn-fields"]),
            "hidden": sorted(manager.field_behaviours["resend"]["hidden_fields"]),
        },
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))) + "\n")
