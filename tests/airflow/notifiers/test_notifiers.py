"""The notifiers as Airflow calls them: from tasks, DAGs and deadlines, on ordinary DAGs without any job log."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime

import pytest
import structlog
from airflow.sdk import DAG, AsyncCallback, task

from airflow_jobmon.errors import ConfigurationError, ConnectionProblem, DeliveryError, PermanentDeliveryError
from airflow_jobmon.notifiers import JobEmailNotifier, JobResendNotifier, JobSlackNotifier, JobWebhookNotifier
from tests.support.http_server import http_server, reply
from tests.support.smtp_server import smtp_server
from tests.support.wait_until import eventually

SECRET = "hunter2hunter2"
MAIL = {"to": ["a@example.com", "b@example.com"], "from_email": "alerts@example.com"}
ERROR = "boom {{ 7*7 }} <!channel>"


@pytest.fixture
def server(monkeypatch):
    with http_server(reply(200, '{"ok": true}')) as running:
        for conn_id, fields in {
            "slackwebhook_default": {"conn_type": "slackwebhook", "password": f"{running.url}/services/T/B/{SECRET}"},
            "slack_bot": {
                "conn_type": "slack",
                "password": SECRET,
                "extra": {"channel": "#jobs", "base_url": f"{running.url}/api/"},
            },
            "resend_default": {"conn_type": "resend", "host": running.url, "password": SECRET, "extra": MAIL},
            "http_default": {"conn_type": "http", "host": f"{running.url}/alerts?token={SECRET}"},
        }.items():
            monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        yield running


@pytest.fixture
def mailbox(monkeypatch):
    with smtp_server() as running:
        extra = {**MAIL, "disable_ssl": True, "disable_tls": True}
        fields = {"conn_type": "smtp", "host": "127.0.0.1", "port": running.port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(fields))
        yield running


def run_failing(run_dag, *, error=ERROR, dag_callbacks=None, **task_arguments):
    with DAG(dag_id="etl", schedule=None, **(dag_callbacks or {})) as dag:

        @task(task_id="load", **task_arguments)
        def load():
            if error:
                raise ValueError(error)

        load()
    return run_dag(dag)


def alert_in(request):
    (alert,) = request.json["alerts"]
    return alert


def test_a_failed_task_sends_its_error_and_its_log(run_dag, server):
    run_failing(run_dag, on_failure_callback=JobWebhookNotifier(runbook_url="https://wiki.example.com/etl"))
    (request,) = server.requests
    alert = alert_in(request)
    assert request.json["title"] == "🚨 Job Failed: etl"
    assert alert["error"] == f"ValueError: {ERROR}"
    assert alert["job_name"] == "etl"
    assert "/dags/etl/runs/" in alert["logs_url"]
    assert "/tasks/load" in alert["logs_url"]
    assert alert["runbook_url"] == "https://wiki.example.com/etl"
    assert ["Task", "load"] in alert["facts"]


def test_every_channel_sends_a_failed_task(run_dag, server, mailbox):
    notifiers = [JobSlackNotifier(), JobSlackNotifier("slack_bot"), JobResendNotifier(), JobEmailNotifier()]
    run_failing(run_dag, on_failure_callback=notifiers)
    by_path = {request.path: request.json for request in server.requests}
    assert set(by_path) == {f"/services/T/B/{SECRET}", "/api/chat.postMessage", "/emails"}
    assert by_path[f"/services/T/B/{SECRET}"]["blocks"][0]["text"]["text"] == "🚨 Job Failed: etl"
    assert by_path["/api/chat.postMessage"]["channel"] == "#jobs"
    assert by_path["/emails"]["subject"] == "ALERT: Job Failed - etl"
    (mail,) = mailbox.mails
    assert mail.message["Subject"] == "ALERT: Job Failed - etl"
    for text in (*map(json.dumps, by_path.values()), mail.message.get_body(("plain",)).get_content()):
        assert "{{ 7*7 }}" in text  # never a template
        assert "49" not in text.split("boom")[1][:20]


def test_a_reused_notifier_sends_the_second_error(run_dag, server):
    notifier = JobWebhookNotifier()
    run_failing(run_dag, error="first {{ 1+1 }}", on_failure_callback=notifier)
    run_failing(run_dag, error="second", on_failure_callback=notifier)
    assert [alert_in(request)["error"] for request in server.requests] == [
        "ValueError: first {{ 1+1 }}",
        "ValueError: second",
    ]


def test_a_success_is_sent_as_a_success(run_dag, server):
    run_failing(run_dag, error=None, on_success_callback=JobWebhookNotifier(job_name="Nightly load"))
    (request,) = server.requests
    assert request.json["title"] == "✅ Job Succeeded: Nightly load"
    assert alert_in(request)["error"] is None


def test_a_task_that_will_be_retried_says_so(run_dag, server):
    run_failing(run_dag, retries=1, retry_delay=0.01, on_retry_callback=JobWebhookNotifier())
    assert server.requests[0].json["title"] == "⚠️ Job Retrying: etl"
    assert ["Try", "1 of 2"] in alert_in(server.requests[0])["facts"]


@pytest.mark.parametrize(
    ("failure", "title", "error"),
    [
        pytest.param(True, "🚨 Job Failed: etl", "task_failure", id="failure: the reason is the error"),
        pytest.param(False, "✅ Job Succeeded: etl", None, id="success"),
    ],
)
def test_a_dags_own_callback_has_a_reason_and_no_exception(airflow_home, server, failure, title, error):
    from airflow.callbacks.callback_requests import DagCallbackRequest
    from airflow.dag_processing.dagbag import DagBag
    from airflow.dag_processing.processor import _execute_dag_callbacks

    notifier = JobWebhookNotifier()
    with DAG(dag_id="etl", schedule=None, on_failure_callback=notifier, on_success_callback=notifier) as dag:
        task(lambda: None, task_id="load")()
    bag = DagBag(dag_folder="/dev/null", bundle_name="dags-folder")
    bag.bag_dag(dag)
    request = DagCallbackRequest(
        filepath="etl.py",
        dag_id="etl",
        run_id="manual__1",
        bundle_name="dags-folder",
        bundle_version=None,
        is_failure_callback=failure,
        msg="task_failure" if failure else "success",
    )
    _execute_dag_callbacks(bag, request, structlog.get_logger())
    alert = alert_in(server.requests[0])
    assert server.requests[0].json["title"] == title
    assert alert["error"] == error
    assert ["Run", "manual__1"] in alert["facts"]


DEADLINE = {
    "dag_run": {"dag_id": "etl", "dag_run_id": "scheduled__1", "run_id": "scheduled__1", "state": "running"},
    "deadline": {"id": "1", "deadline_time": "2026-01-02T03:04:05Z"},
}


@pytest.mark.parametrize("notifier", [JobWebhookNotifier, JobSlackNotifier, JobResendNotifier, JobEmailNotifier])
async def test_a_missed_deadline_is_sent_from_the_triggerer(server, mailbox, notifier):
    from airflow.triggers.callback import CallbackTrigger

    callback = AsyncCallback(notifier, kwargs={"runbook_url": "https://wiki.example.com/etl"})
    trigger = CallbackTrigger(callback.path, {**callback.kwargs, "context": json.loads(json.dumps(DEADLINE))})
    states = [event.payload["state"] async for event in trigger.run()]
    assert [str(state) for state in states] == ["running", "success"]
    if notifier is JobEmailNotifier:
        (mail,) = mailbox.mails
        assert mail.message["Subject"] == "ALERT: Deadline Missed - etl"
    elif notifier is JobWebhookNotifier:
        alert = alert_in(server.requests[0])
        assert alert["at"] == "2026-01-02T03:04:05Z"
        assert "scheduled__1" in alert["message"]
        assert alert["runbook_url"] == "https://wiki.example.com/etl"
    else:
        assert "Deadline Missed" in server.requests[0].body.decode()


async def test_a_hanging_server_does_not_block_the_triggerers_loop(server):
    """The server responds only while the event loop runs, so a blocked loop would never see the response."""
    go_on = threading.Event()

    def hold(conn, stop):
        go_on.wait(30)
        reply(200, "ok")(conn, stop)

    server.script = [hold]
    sending = asyncio.create_task(JobWebhookNotifier(timeout=20).async_notify(DEADLINE))
    await eventually(lambda: server.requests)
    assert not sending.done()
    go_on.set()
    await sending
    assert len(server.requests) == 1


def context_of(error="x"):
    return {"exception": ValueError(error), "run_id": "manual__1", "dag": None}


def test_a_temporary_refusal_is_retried_with_the_same_bytes_and_key(server):
    server.script = [reply(503), reply(429, "", Retry_After="0")]
    JobWebhookNotifier().notify(context_of())
    assert len(server.requests) == 3
    assert len({(request.body, request.headers["Idempotency-Key"]) for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("answer", "attempts", "raised"),
    [
        pytest.param(reply(404, "gone"), 1, PermanentDeliveryError, id="for good: one attempt"),
        pytest.param(reply(429, "", Retry_After="3600"), 1, DeliveryError, id="a wait no callback can sit out"),
    ],
)
def test_a_permanent_refusal_is_raised_at_once_without_secrets(server, answer, attempts, raised):
    server.otherwise = answer
    with pytest.raises(raised) as caught:
        JobWebhookNotifier().notify(context_of())
    assert len(server.requests) == attempts
    assert SECRET not in str(caught.value)


def test_a_recipient_refused_for_now_is_retried_alone(mailbox):
    answers = iter(["451 later", "250 OK"])
    mailbox.recipients = {"b@example.com": next(answers)}

    class Once(dict):
        def get(self, address, default):
            return self.pop(address, default)

    mailbox.recipients = Once(mailbox.recipients)
    JobEmailNotifier().notify(context_of())
    assert [mail.recipients for mail in mailbox.mails] == [["a@example.com"], ["b@example.com"]]


def test_arguments_override_the_connection(server):
    JobSlackNotifier("slack_bot", channel="C042").notify(context_of())
    assert server.requests[0].json["channel"] == "C042"
    JobResendNotifier(to="x@example.com", from_email="y@example.com").notify(context_of())
    assert (server.requests[1].json["to"], server.requests[1].json["from"]) == (["x@example.com"], "y@example.com")


def test_a_webhook_does_not_accept_another_channel(server):
    with pytest.raises(ConfigurationError, match=r"channel='#x' needs a connection of type 'slack'"):
        JobSlackNotifier(channel="#x").notify(context_of())


def test_a_missing_connection_is_named(airflow_home):
    with pytest.raises(ConnectionProblem, match="connection 'nowhere'"):
        JobSlackNotifier("nowhere").notify(context_of())


def test_the_channel_behind_a_notifier_carries_its_name(server):
    assert JobSlackNotifier(name="team").channel.name == "team"
    assert JobSlackNotifier().channel.name == "slackwebhook_default"
    assert JobSlackNotifier().template_fields == ()


@pytest.mark.parametrize(
    "context",
    [
        pytest.param({}, id="nothing at all"),
        pytest.param({"exception": "a text", "dag_run": None}, id="an exception that is a text"),
        pytest.param({"reason": "timed_out", "dag_run": {"dag_id": "d", "run_id": "r"}}, id="plain dictionaries"),
        pytest.param({"ti": object(), "task_instance": None}, id="an instance without fields"),
        pytest.param({"deadline": {"deadline_time": datetime(2026, 1, 1, tzinfo=UTC)}}, id="a deadline, not as text"),
        pytest.param({"deadline": {"deadline_time": "soon"}}, id="an unreadable deadline"),
    ],
)
def test_every_context_yields_an_alert(server, context):
    JobWebhookNotifier().notify(context)
    assert len(server.requests) == 1


def test_a_template_in_a_name_is_not_rendered(server):
    notifier = JobWebhookNotifier(job_name="{{ dag.dag_id }}")
    notifier(context_of())
    assert alert_in(server.requests[0])["job_name"] == "{{ dag.dag_id }}"
