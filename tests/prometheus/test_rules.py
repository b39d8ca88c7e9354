"""The example configuration and alert rules, checked by promtool."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.prometheus_programs import DIRECTORY, promtool


@pytest.fixture(scope="module")
def rules() -> list[dict[str, object]]:
    groups = yaml.safe_load((DIRECTORY / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_rules_are_valid(rules):
    checked = promtool("check", "rules", DIRECTORY / "alerts.yml")
    assert checked.returncode == 0, checked.stderr
    assert f"{len(rules)} rules found" in checked.stdout


def test_each_alert_fires_exactly_when_it_should():
    tested = promtool("test", "rules", DIRECTORY / "alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_each_alert_has_a_test(rules):
    tests = yaml.safe_load((DIRECTORY / "alerts_test.yml").read_text())["tests"]
    raised = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one.get("exp_alerts")}
    assert raised == {rule["alert"] for rule in rules}


def test_the_configuration_is_valid(tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("a machine's")
    shipped = (DIRECTORY / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(shipped.replace("/run/secrets/jobmon_api_token", str(token)))
    (tmp_path / "alerts.yml").write_text((DIRECTORY / "alerts.yml").read_text())
    checked = promtool("check", "config", "--lint-fatal", tmp_path / "prometheus.yml")
    assert checked.returncode == 0, checked.stderr
