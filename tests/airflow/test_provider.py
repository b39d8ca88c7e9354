from __future__ import annotations

import importlib
import json
from importlib.metadata import distribution, entry_points
from pathlib import Path

import jsonschema
import pytest

from airflow_jobmon.get_provider_info import get_provider_info

INFO = get_provider_info()


def schema(name: str) -> dict[str, object]:
    import airflow

    return json.loads((Path(airflow.__path__[0]) / name).read_text())


@pytest.mark.parametrize("name", ["provider_info.schema.json"])
def test_airflows_own_schema_accepts_the_provider(name):
    jsonschema.validate(INFO, schema(name))


def test_the_provider_is_found_under_the_name_of_its_distribution():
    [found] = [
        point for point in entry_points(group="apache_airflow_provider") if point.module.startswith("airflow_jobmon")
    ]
    assert found.load()() == INFO
    assert distribution(INFO["package-name"]).metadata["Name"] == INFO["package-name"]


@pytest.mark.parametrize("kind", ["operators", "sensors", "hooks", "triggers"])
def test_every_module_it_names_can_be_imported(kind):
    for entry in INFO[kind]:
        for module in entry["python-modules"]:
            importlib.import_module(module)


@pytest.mark.parametrize(
    "path", [*INFO["notifications"], *INFO["extra-links"], INFO["connection-types"][0]["hook-class-name"], *INFO["cli"]]
)
def test_every_object_it_names_exists(path):
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name).__name__ == name


def test_the_connection_form_and_the_hook_agree():
    from airflow_jobmon.hooks import ResendHook

    [declared] = INFO["connection-types"]
    assert (declared["connection-type"], declared["hook-name"]) == (ResendHook.conn_type, ResendHook.hook_name)


def test_the_plugin_is_registered_once_and_as_a_plugin():
    from airflow.plugins_manager import AirflowPlugin

    [found] = [point for point in entry_points(group="airflow.plugins") if point.module.startswith("airflow_jobmon")]
    assert issubclass(found.load(), AirflowPlugin)
    assert "plugins" not in INFO


def test_our_asset_uris_need_no_normalization():
    from airflow.sdk import Asset

    assert Asset(name="jobmon:run:a", uri="x-jobmon://run/a%20b").uri == "x-jobmon://run/a%20b"
