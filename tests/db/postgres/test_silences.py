"""Silences and acknowledgements in a real log: what is sent, what is held back, and what is sent at the end."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.model.silences import like_pattern, matches
from airflow_jobmon.errors import BusyProblem, UnknownIncident, UnknownSilence
from airflow_jobmon.monitoring.checks import evaluate_changed, evaluate_events, evaluate_jobs
from airflow_jobmon.postgres import schema, silences
from airflow_jobmon.postgres.acknowledgements import IncidentSelector, acknowledge, withdraw
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.postgres.retention import prune
from airflow_jobmon.postgres.silences import list_silences, silence, unsilence
from airflow_jobmon.settings import Settings
from tests.support.logged_runs import log_run
from tests.support.moments import ago
from tests.support.wait_until import wait_until

SETTINGS = Settings(channels=("slack", "mail"), realert_interval=timedelta(minutes=15))
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def installed_long_ago(conn):
    conn.execute("UPDATE airflow_jobmon.installation SET installed_at = installed_at - interval '400 days'")


def fail(conn, minutes_ago: float = 1, error: str = "disk full", job: str = "load") -> str:
    run_id = log_run(conn, job, status="failed", started_at=ago(minutes=minutes_ago), error_message=error)
    evaluate_events(conn, SETTINGS)
    return run_id


def silence_job(conn, name: str = "load", until: timedelta = HOUR):
    return silence(conn, name, until, reason="upgrade", by="anna")


def let_it_end(conn) -> None:
    """End every silence now, and move the evaluations that were set for its end."""
    conn.execute(
        "UPDATE airflow_jobmon.job_state st SET judge_at = clock_timestamp() FROM airflow_jobmon.silences s"
        " WHERE st.judge_at = s.ends_at"
    )
    conn.execute("UPDATE airflow_jobmon.silences SET ends_at = clock_timestamp()")


def sent(conn) -> list[tuple[str, str, str]]:
    """Job, event and state of each alert's deliveries, the channels being alike."""
    return conn.execute(
        "SELECT a.job_name, a.event, string_agg(DISTINCT d.state, ',') FROM airflow_jobmon.alerts a"
        " LEFT JOIN airflow_jobmon.deliveries d ON d.alert_id = a.id GROUP BY a.id ORDER BY a.id"
    ).fetchall()


def test_an_incident_that_opens_in_a_silence_is_recorded_and_sent_by_the_sweep_after_its_end(conn):
    silence_job(conn)
    fail(conn)
    assert sent(conn) == [("load", "opened", "silenced")]
    assert evaluate_changed(conn, SETTINGS).alerts == 0
    let_it_end(conn)
    assert evaluate_changed(conn, SETTINGS).alerts == 1
    assert evaluate_changed(conn, SETTINGS).jobs == 0
    assert sent(conn) == [("load", "opened", "silenced"), ("load", "opened", "pending")]
    message, why = conn.execute(
        "SELECT (SELECT details ->> 'message' FROM airflow_jobmon.alerts ORDER BY id DESC LIMIT 1),"
        " (SELECT last_error FROM airflow_jobmon.deliveries WHERE state = 'silenced' LIMIT 1)"
    ).fetchone()
    assert message.startswith("open since ")
    assert ", silenced until now: run of " in message
    assert why.startswith("silenced until ")
    assert why.endswith(" by anna: upgrade")


def test_nothing_is_repeated_in_a_silence_however_long_and_whatever_the_errors(conn):
    silence_job(conn)
    for minutes, error in ((50, "disk full"), (40, "no route"), (30, "disk full"), (1, "timeout")):
        fail(conn, minutes, error)
        evaluate_jobs(conn, SETTINGS, now=ago(minutes=minutes - 20))
    assert sent(conn) == [("load", "opened", "silenced")]
    assert conn.execute("SELECT occurrences FROM airflow_jobmon.incidents").fetchone() == (4,)


def test_an_incident_that_opened_and_resolved_in_a_silence_is_never_sent(conn):
    silence_job(conn)
    fail(conn, 5)
    log_run(conn, "load", started_at=ago(minutes=2))
    evaluate_changed(conn, SETTINGS)
    let_it_end(conn)
    evaluate_changed(conn, SETTINGS)
    evaluate_jobs(conn, SETTINGS)
    assert sent(conn) == [("load", "opened", "silenced")]


def test_an_incident_that_resolved_before_the_sweep_after_its_silence_is_never_sent(conn):
    silence_job(conn)
    fail(conn, 5)
    let_it_end(conn)
    log_run(conn, "load", started_at=ago(minutes=2))
    evaluate_changed(conn, SETTINGS)
    assert sent(conn) == [("load", "opened", "silenced")]


def test_a_failure_that_recovered_before_its_evaluation_is_recorded_in_a_silence_and_never_sent(conn):
    silence_job(conn)
    log_run(conn, "load", "failed", started_at=ago(minutes=5))
    log_run(conn, "load", started_at=ago(minutes=2))
    evaluate_events(conn, SETTINGS)
    let_it_end(conn)
    evaluate_changed(conn, SETTINGS)
    assert sent(conn) == [("load", "opened", "silenced")]


def test_an_incident_notified_before_a_silence_repeats_at_its_end(conn):
    fail(conn, 5)
    silence_job(conn)
    evaluate_changed(conn, SETTINGS)
    let_it_end(conn)
    evaluate_changed(conn, SETTINGS)
    assert sent(conn) == [("load", "opened", "pending"), ("load", "repeated", "pending")]


def test_resolved_in_a_silence_is_recorded_and_not_sent_even_if_opened_was_sent_before(conn):
    fail(conn, 5)
    silence_job(conn)
    log_run(conn, "load", started_at=ago(minutes=2))
    evaluate_changed(conn, SETTINGS)
    assert sent(conn) == [("load", "opened", "pending"), ("load", "resolved", "silenced")]


def test_resolved_after_a_silence_goes_only_to_channels_that_were_notified(conn):
    silence_job(conn)
    fail(conn, 5)
    let_it_end(conn)
    evaluate_changed(conn, Settings(channels=("mail",)))
    log_run(conn, "load", started_at=ago(minutes=2))
    evaluate_changed(conn, SETTINGS)
    assert conn.execute(
        "SELECT a.event, d.channel FROM airflow_jobmon.alerts a JOIN airflow_jobmon.deliveries d ON d.alert_id = a.id"
        " WHERE d.state = 'pending' ORDER BY a.id"
    ).fetchall() == [("opened", "mail"), ("resolved", "mail")]


def test_a_warning_is_sent_at_the_end_of_a_silence_only_if_the_silence_held_it_back(conn):
    apply_jobs(conn, [MonitoredJob(name=name, max_duration="1s") for name in ("early", "late")], source="test")
    log_run(conn, "early", seconds=5)
    evaluate_changed(conn, SETTINGS)
    silence_job(conn, "*")
    log_run(conn, "late", seconds=5)
    evaluate_changed(conn, SETTINGS)
    let_it_end(conn)
    evaluate_changed(conn, SETTINGS)
    assert sent(conn) == [
        ("early", "opened", "pending"),
        ("late", "opened", "silenced"),
        ("late", "opened", "pending"),
    ]


def test_after_a_silence_is_lifted_early_the_next_sweep_alerts_for_open_incidents(conn):
    silence_job(conn)
    fail(conn)
    evaluate_changed(conn, SETTINGS)
    lifted = unsilence(conn, "load", by="bert")
    assert (lifted.now, lifted.open_incidents) == (True, 1)
    assert evaluate_changed(conn, SETTINGS).alerts == 1
    again = unsilence(conn, "load", by="carl")
    assert (again.now, again.ended_at) == (False, lifted.ended_at)
    assert evaluate_changed(conn, SETTINGS).jobs == 0


def test_a_job_with_several_silences_stays_silenced_until_the_last_one_ends(conn):
    silence_job(conn, "l*", 2 * HOUR)
    silence_job(conn)
    fail(conn)
    unsilence(conn, "load", by="anna")
    evaluate_changed(conn, SETTINGS)
    assert sent(conn) == [("load", "opened", "silenced")]
    unsilence(conn, "l*", by="anna")
    evaluate_changed(conn, SETTINGS)
    assert sent(conn)[-1] == ("load", "opened", "pending")


def test_silencing_a_name_again_moves_its_end_and_creates_no_second_silence(conn):
    first = silence_job(conn)
    fail(conn)
    second = silence_job(conn, until=timedelta(minutes=5))
    assert (first.ended_at, second.ended_at) == (None, first.ends_at)
    assert second.ends_at < first.ends_at
    assert (first.open_incidents, second.open_incidents) == (0, 1)
    evaluate_changed(conn, SETTINGS)
    assert conn.execute("SELECT judge_at FROM airflow_jobmon.job_state").fetchone() == (second.ends_at,)
    assert len(list_silences(conn, ended=True)) == 1


def test_a_silence_may_be_created_before_its_job_exists(conn):
    assert silence_job(conn, "new-*").jobs == 0
    fail(conn, job="new-load")
    fail(conn, job="load")
    assert sent(conn) == [("new-load", "opened", "silenced"), ("load", "opened", "pending")]
    assert silence_job(conn, "new-*").jobs == 1


def test_drills_are_sent_in_a_silence_too(conn):
    silence_job(conn)
    log_run(conn, "load", "failed", error_message="TEST ALERT - ignore")
    evaluate_events(conn, SETTINGS)
    assert sent(conn) == [("load", "test", "pending")]


def test_lifting_a_name_that_was_never_silenced_is_an_error_that_names_the_silences_over_it(conn):
    silence_job(conn, "lo*")
    with pytest.raises(
        UnknownSilence, match=r"no silence of 'load'; it is silenced by 'lo\*' until .*: lift that silence"
    ):
        unsilence(conn, "load", by="anna")
    with pytest.raises(UnknownSilence, match="no silence of 'other'; see those in force with"):
        unsilence(conn, "other", by="anna")


def test_silences_are_listed_by_the_job_they_match_and_ended_ones_on_request(conn):
    silence_job(conn, "lo*")
    silence_job(conn, "load", 2 * HOUR)
    silence_job(conn, "other")
    unsilence(conn, "other", by="bert")
    assert [row["name"] for row in list_silences(conn)] == ["load", "lo*"]
    assert [row["name"] for row in list_silences(conn, job="lost")] == ["lo*"]
    assert [(row["name"], row["lifted_by"]) for row in list_silences(conn, job="other", ended=True)] == [
        ("other", "bert")
    ]


@pytest.mark.parametrize("until", [timedelta(0), ago(days=1)])
def test_a_silence_that_has_ended_already_holds_nothing_back(conn, until):
    silence_job(conn, until=until)
    fail(conn)
    assert sent(conn) == [("load", "opened", "pending")]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text("ab*?[]%_\\\n\U0001f4a3", max_size=8), st.text("ab*?[]%_\\\n\U0001f4a3", max_size=8))
def test_the_database_matches_names_as_evaluations_do(conn, glob, name):
    [found] = conn.execute("SELECT %s::text LIKE %s", [name, like_pattern(glob)]).fetchone()
    assert found == matches(glob, name)


def test_lifting_waits_for_an_evaluation_that_still_saw_the_silence(conn, database):
    """Lifting cannot see what the evaluation is about to record as silenced; no alert would be sent for an hour."""
    silence_job(conn)
    log_run(conn, "load", status="failed", started_at=ago(minutes=1), error_message="disk full")

    def evaluate():
        with connect(database) as own:
            evaluate_events(own, SETTINGS)

    def lift():
        with connect(database) as own:
            unsilence(own, "load", by="anna")

    def waits_for(table: str) -> bool:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
        return conn.execute(query, [f"airflow_jobmon.{table}"]).fetchone() != (0,)

    evaluating, lifting = threading.Thread(target=evaluate), threading.Thread(target=lift)
    with connect(database) as holder, holder.transaction():
        holder.execute("LOCK TABLE airflow_jobmon.incidents IN SHARE MODE")
        evaluating.start()
        wait_until(lambda: waits_for("incidents"))
        lifting.start()
        wait_until(lambda: waits_for("job_state") or not lifting.is_alive())
    evaluating.join()
    lifting.join()
    evaluate_changed(conn, SETTINGS)
    assert [event for _, event, state in sent(conn) if state == "pending"] == ["opened"]


def test_a_lock_on_a_jobs_state_does_not_make_evaluations_wait_behind_a_silence(conn, database, monkeypatch):
    monkeypatch.setattr(silences, "_PATIENCE", "100ms")
    fail(conn)
    with connect(database) as holder, holder.transaction():
        holder.execute("SELECT FROM airflow_jobmon.job_state WHERE job_name = 'load' FOR UPDATE")
        with pytest.raises(BusyProblem, match="locked by other sessions for 100ms, so nothing was changed"):
            silence_job(conn)
        fail(conn, job="another")
    assert list_silences(conn) == []
    assert [job for job, *_ in sent(conn)] == ["load", "another"]


def test_silencing_and_lifting_during_evaluations_loses_no_alert(conn, database):
    """However they interleave: in the end nothing is silenced, and every open incident was sent."""
    for n in range(20):
        log_run(conn, f"job-{n}", "failed", started_at=ago(minutes=5))
    done = threading.Event()

    def evaluate():
        with connect(database) as own:
            while not done.is_set():
                evaluate_events(own, SETTINGS)
                evaluate_changed(own, SETTINGS)

    threads = [threading.Thread(target=evaluate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        silence_job(conn, "job-*")
        silence_job(conn, "job-1*", 2 * HOUR)
        unsilence(conn, "job-*", by="anna")
        unsilence(conn, "job-1*", by="anna")
    done.set()
    for thread in threads:
        thread.join()
    evaluate_events(conn, SETTINGS)
    evaluate_changed(conn, SETTINGS)
    owed = "SELECT count(*) FROM airflow_jobmon.incidents WHERE told_at IS NULL OR silenced_at IS NOT NULL"
    assert conn.execute(owed).fetchone() == (0,)
    sent = "SELECT count(DISTINCT a.job_name) FROM airflow_jobmon.alerts a JOIN airflow_jobmon.deliveries d"
    assert conn.execute(f"{sent} ON d.alert_id = a.id WHERE d.state = 'pending'").fetchone() == (20,)


def test_silences_are_deleted_long_after_their_end(conn):
    for name in ("old", "new"):
        silence_job(conn, name)
    conn.execute(
        "UPDATE airflow_jobmon.silences SET ends_at = now() - CASE name WHEN 'old' THEN interval '401 days'"
        " ELSE interval '399 days' END"
    )
    prune(conn)
    assert [row["name"] for row in list_silences(conn, ended=True)] == ["new"]


def test_the_operator_role_may_silence_and_acknowledge(conn):
    fail(conn)
    conn.execute(schema.grants())
    try:
        conn.execute("SET ROLE jobmon_operator")
        assert silence_job(conn).open_incidents == 1
        unsilence(conn, "load", by="anna")
        acknowledge(conn, IncidentSelector(name="load"), by="anna", note=None)
        withdraw(conn, IncidentSelector(name="load"))
    finally:
        conn.execute("RESET ROLE; DROP OWNED BY jobmon_reader, jobmon_operator")
        conn.execute("DROP ROLE jobmon_reader, jobmon_operator")


def later(conn, minutes: float) -> int:
    """How many alerts a full check makes of it when so much time has passed."""
    before = len(sent(conn))
    evaluate_jobs(conn, SETTINGS, now=datetime.now(UTC) + timedelta(minutes=minutes))
    return len(sent(conn)) - before


def test_an_acknowledged_incident_does_not_repeat_and_its_resolution_is_sent(conn):
    fail(conn, 5)
    [known] = acknowledge(conn, IncidentSelector(name="load"), by="anna", note="on it")
    assert (known.by, known.note, known.changed) == ("anna", "on it", True)
    assert later(conn, 60) == 0
    log_run(conn, "load", started_at=ago(minutes=2))
    evaluate_changed(conn, SETTINGS)
    assert sent(conn) == [("load", "opened", "pending"), ("load", "resolved", "pending")]
    fail(conn)
    assert later(conn, 60) == 1


def test_a_new_error_alerts_once_despite_the_acknowledgement(conn):
    fail(conn, 5, "disk full")
    acknowledge(conn, IncidentSelector(name="load"), by="anna", note=None)
    fail(conn, 4, "wrong password")
    fail(conn, 3, "wrong password")
    fail(conn, 2, "disk full")
    assert sent(conn) == [("load", "opened", "pending"), ("load", "repeated", "pending")]
    assert later(conn, 60) == 0


def test_the_first_acknowledgement_stays_and_undoing_it_lets_the_incident_repeat_again(conn):
    fail(conn)
    acknowledge(conn, IncidentSelector(name="load"), by="anna", note=None)
    [known] = acknowledge(conn, IncidentSelector(name="l*"), by="bert", note="me too")
    assert (known.by, known.note, known.changed) == ("anna", None, False)
    [free] = withdraw(conn, IncidentSelector(name="load"))
    assert (free.by, free.changed) == (None, True)
    assert withdraw(conn, IncidentSelector(name="load"))[0].changed is False
    assert later(conn, 60) == 1


def test_an_incident_acknowledged_in_a_silence_is_not_sent_at_its_end_unless_that_is_undone(conn):
    silence_job(conn)
    fail(conn)
    acknowledge(conn, IncidentSelector(name="load"), by="anna", note=None)
    let_it_end(conn)
    evaluate_jobs(conn, SETTINGS)
    assert sent(conn) == [("load", "opened", "silenced")]
    withdraw(conn, IncidentSelector(name="load"))
    evaluate_changed(conn, SETTINGS)
    assert sent(conn)[1:] == [("load", "opened", "pending")]


def test_a_new_error_that_a_silence_held_back_is_sent_at_its_end_despite_an_earlier_acknowledgement(conn):
    fail(conn, 5)
    acknowledge(conn, IncidentSelector(name="load"), by="anna", note=None)
    silence_job(conn)
    fail(conn, 3, "wrong password")
    fail(conn, 2, "wrong password")
    let_it_end(conn)
    evaluate_changed(conn, SETTINGS)
    assert sent(conn)[1:] == [("load", "repeated", "silenced"), ("load", "repeated", "pending")]
    assert later(conn, 60) == 0


@pytest.mark.parametrize(
    ("meant", "says"),
    [
        pytest.param(IncidentSelector(name="load"), "load has no open incident; list them with", id="nothing open"),
        pytest.param(
            IncidentSelector(name="b*", kind="missed"), r"b\* \(missed\) has no open incident", id="not of this kind"
        ),
        pytest.param(IncidentSelector(incident_id=99), "there is no incident 99", id="no such incident"),
        pytest.param(IncidentSelector(incident_id=1), r"incident 1 \(failed of load\) was resolved at 2", id="over"),
    ],
)
def test_acknowledging_without_an_open_incident_is_an_error_that_says_why(conn, meant, says):
    fail(conn, 5)
    log_run(conn, "load", started_at=ago(minutes=2))
    evaluate_changed(conn, SETTINGS)
    fail(conn, job="billing")
    for act in (withdraw, lambda *given: acknowledge(*given, by="anna", note=None)):
        with pytest.raises(UnknownIncident, match=says):
            act(conn, meant)
