"""The history of one incident, as people ask for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_jobmon.delivery.sender import deliver_due
from airflow_jobmon.errors import UnknownIncident
from airflow_jobmon.monitoring.checks import evaluate_changed, evaluate_events
from airflow_jobmon.postgres.acknowledgements import IncidentSelector, acknowledge
from airflow_jobmon.postgres.alert_log import list_incidents
from airflow_jobmon.postgres.incident_history import incident_history
from airflow_jobmon.postgres.silences import silence, unsilence
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.recording_channel import Recorder

SETTINGS = Settings(channels=("slack", "mail"))


def fail(conn, minutes: float, error: str) -> None:
    started = datetime.now(UTC) - timedelta(minutes=minutes)
    log_run(conn, "load", "failed", started_at=started, error_message=error)
    evaluate_events(conn, SETTINGS)


def states(conn) -> list[str]:
    return [row["state"] for row in list_incidents(conn, job=None, resolved=True, limit=9)]


def test_a_history_shows_every_event_in_order(conn, database):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")
    fail(conn, 30, "disk full")
    assert states(conn) == ["notified"]
    deliver_due(database, {"slack": Recorder("slack")})
    acknowledge(conn, IncidentSelector(name="load"), by="anna", note="on it")
    assert states(conn) == ["acknowledged"]
    silence(conn, "l*", timedelta(hours=1), reason="upgrade", by="bert")
    silence(conn, "other", timedelta(hours=1), reason="upgrade", by="bert")
    fail(conn, 20, "no route")
    assert states(conn) == ["silenced"]
    unsilence(conn, "l*", by="carl")
    evaluate_changed(conn, SETTINGS)
    log_run(conn, "load", started_at=datetime.now(UTC) - timedelta(seconds=5), seconds=1)
    evaluate_changed(conn, SETTINGS)
    assert states(conn) == ["resolved"]
    history = incident_history(conn, 1, failures=50)
    assert (history["state"], history["occurrences"], history["acknowledged_by"]) == ("resolved", 2, "anna")
    timeline = [(entry["what"], entry["channel"]) for entry in history["timeline"]]
    assert timeline[0] == ("opened", None)
    assert timeline.count(("failure counted", None)) == 2
    for entry in (
        ("noticed", None),
        ("alert opened, sent", "slack"),
        ("alert opened, pending", "mail"),
        ("acknowledged", None),
        ("silenced", None),
        ("alert repeated, silenced", "slack"),
        ("silence lifted", None),
        ("alert repeated, pending", "mail"),
        ("resolved", None),
        ("alert resolved, pending", "slack"),
    ):
        assert timeline.count(entry) == 1, entry
    said = {entry["what"]: entry["said"] for entry in history["timeline"]}
    assert said["acknowledged"] == "by anna: on it"
    assert said["silenced"].startswith("l* until ")
    assert said["silence lifted"] == "l* by carl"
    assert said["resolved"].startswith("it lasted 29 min")


def test_an_alert_that_had_no_channel_is_in_the_history(conn):
    log_run(conn, "load", "failed")
    evaluate_events(conn, Settings())
    [alert] = [entry for entry in incident_history(conn, 1, failures=5)["timeline"] if entry["what"] == "alert opened"]
    assert alert["said"].startswith("no channel was configured: run of ")


def test_only_the_newest_failures_are_listed_of_many(conn):
    for minutes in range(9, 0, -1):
        fail(conn, minutes, "disk full")
    timeline = incident_history(conn, 1, failures=3)["timeline"]
    assert [entry["what"] for entry in timeline].count("failure counted") == 3


def test_an_unknown_incident_is_an_error(conn):
    with pytest.raises(UnknownIncident, match="there is no incident 7; list all with"):
        incident_history(conn, 7, failures=1)
