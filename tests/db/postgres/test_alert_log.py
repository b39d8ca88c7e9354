from __future__ import annotations

from uuid import uuid4

import pytest

from airflow_jobmon.postgres.alert_log import list_alerts, list_incidents, retry_dead


@pytest.fixture
def add(conn):
    """Store an alert of a job, with its deliveries as channel=state."""

    def store(job_name: str, **deliveries: str) -> int:
        [alert] = conn.execute(
            """INSERT INTO airflow_jobmon.alerts (job_name, kind, event, severity, details)
            VALUES (%s, 'failed', 'opened', 'critical', '{}') RETURNING id""",
            [job_name],
        ).fetchone()
        for channel, state in deliveries.items():
            conn.execute(
                """INSERT INTO airflow_jobmon.deliveries (alert_id, channel, job_name, state, attempts, last_error)
                VALUES (%s, %s, %s, %s, 3, 'no such hook')""",
                [alert, channel, job_name, state],
            )
        return alert

    return store


def in_message(conn, alert: int, channel: str, recipients: list[str] | None) -> None:
    key = uuid4()
    conn.execute(
        """INSERT INTO airflow_jobmon.messages (id, channel, state, body, recipients, attempts)
        VALUES (%s, %s, 'dead', 'x', %s, 3)""",
        [key, channel, recipients],
    )
    conn.execute(
        "UPDATE airflow_jobmon.deliveries SET message_id = %s WHERE alert_id = %s AND channel = %s",
        [key, alert, channel],
    )


def shown(conn, **given) -> list[tuple[object, ...]]:
    rows = list_alerts(conn, **{"job": None, "state": None, "limit": 50, **given})
    return [(row["job_name"], row["channel"], row["state"]) for row in rows]


def test_alerts_are_listed_newest_first_with_a_row_per_channel(conn, add):
    add("a", slack="sent", mail="dead")
    add("b")
    assert shown(conn) == [("b", None, None), ("a", "mail", "dead"), ("a", "slack", "sent")]
    assert shown(conn, job="a", state="dead") == [("a", "mail", "dead")]
    assert shown(conn, limit=1) == [("b", None, None)]


def test_only_dead_deliveries_are_retried_and_of_one_job_if_asked(conn, add):
    add("a", slack="dead", mail="sent", pager="silenced")
    add("b", slack="dead")
    assert retry_dead(conn, job="b") == 1
    assert shown(conn) == [
        ("b", "slack", "pending"),
        ("a", "mail", "sent"),
        ("a", "pager", "silenced"),
        ("a", "slack", "dead"),
    ]
    assert retry_dead(conn, job=None) == 1
    assert retry_dead(conn, job=None) == 0


def test_a_retried_delivery_is_due_at_once_and_the_failures_of_its_channel_are_reset(conn, add):
    conn.execute("""INSERT INTO airflow_jobmon.channels (name, failures, paused_until, dead_told_at)
        VALUES ('slack', 9, now() + interval '1 hour', now()), ('mail', 9, now() + interval '1 hour', now())""")
    add("a", slack="dead")
    retry_dead(conn, job=None)
    assert conn.execute(
        "SELECT attempts, next_attempt_at <= clock_timestamp(), message_id FROM airflow_jobmon.deliveries"
    ).fetchall() == [(0, True, None)]
    forgiven = "failures = 0 AND paused_until IS NULL AND dead_told_at IS NULL"
    assert conn.execute(f"SELECT name FROM airflow_jobmon.channels WHERE {forgiven}").fetchall() == [("slack",)]


def test_a_message_that_no_one_received_is_regrouped_and_a_partly_sent_one_goes_to_the_others_unchanged(conn, add):
    fresh, partly = add("a", mail="dead"), add("b", mail="dead")
    in_message(conn, fresh, "mail", None)
    in_message(conn, partly, "mail", ["left@example.com"])
    retry_dead(conn, job=None)
    assert conn.execute("""SELECT d.alert_id, m.state, m.recipients, m.attempts FROM airflow_jobmon.deliveries d
        LEFT JOIN airflow_jobmon.messages m ON m.id = d.message_id ORDER BY d.alert_id""").fetchall() == [
        (fresh, None, None, None),
        (partly, "open", ["left@example.com"], 0),
    ]


def test_incidents_are_the_open_ones_unless_all_are_asked_for(conn):
    conn.execute("""INSERT INTO airflow_jobmon.incidents (job_name, kind, severity, opened_at, resolved_at, message)
        VALUES ('a', 'failed', 'critical', now() - interval '2 days', now(), 'x'),
               ('a', 'failed', 'critical', now() - interval '1 day', NULL, 'x'),
               ('b', 'slow', 'warning', now(), NULL, 'x')""")

    def kinds(**given):
        rows = list_incidents(conn, **{"job": None, "resolved": False, "limit": 50, **given})
        return [(row["job_name"], row["kind"], row["resolved_at"] is None) for row in rows]

    assert kinds() == [("b", "slow", True), ("a", "failed", True)]
    assert kinds(job="a", resolved=True) == [("a", "failed", True), ("a", "failed", False)]
    assert kinds(limit=1) == [("b", "slow", True)]
