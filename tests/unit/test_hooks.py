from __future__ import annotations

import json

import pytest
from airflow.sdk import Connection

from airflow_jobmon.channels.airflow_connection import hook_for
from airflow_jobmon.hooks import ResendHook
from demo.ports import free_port
from tests.support.http_server import drop, http_server, reply


def hook(**fields):
    return hook_for(ResendHook, Connection(conn_id="resend", conn_type="resend", **fields), resend_conn_id="resend")


@pytest.mark.parametrize(
    ("answer", "good", "says"),
    [
        pytest.param(reply(200, '{"data": []}'), True, "accepts the API key", id="a full key"),
        pytest.param(
            reply(401, json.dumps({"name": "restricted_api_key"})), True, "only send email", id="a key that only sends"
        ),
        pytest.param(reply(400, '{"name": "validation_error"}'), False, "refuses the API key", id="an invalid key"),
        pytest.param(reply(403, "{}"), False, "refuses the API key", id="a forbidden key"),
        pytest.param(reply(404, "not here"), False, "is host right?", id="another server"),
        pytest.param(drop, False, "without a response", id="a lost connection"),
    ],
)
def test_the_test_button_says_whether_the_key_works(answer, good, says):
    with http_server(answer) as server:
        worked, text = hook(host=server.url, password="re_hunter2").test_connection()
        assert worked is good
        assert says in text
        assert "re_hunter2" not in text
        (request,) = server.requests
        assert (request.method, request.path) == ("GET", "/domains")


def test_the_test_button_says_that_the_server_does_not_respond():
    worked, text = hook(host=f"http://127.0.0.1:{free_port()}", password="re_1").test_connection()
    assert not worked
    assert "connection refused" in text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "no password"),
        ({"password": "re_ü"}, "not a valid API key"),
        ({"password": "re_1", "host": "ftp://x"}, "leave it empty"),
    ],
)
def test_the_test_button_says_what_the_connection_lacks(fields, says):
    worked, text = hook(**fields).test_connection()
    assert not worked
    assert says in text


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, "https://api.resend.com"),
        ({"host": "https://eu.example/"}, "https://eu.example"),
        ({"host": "eu.example", "schema": "http", "port": 99}, "http://eu.example:99"),
    ],
)
def test_an_empty_host_is_resend_itself(fields, url):
    assert hook(password="re_1", **fields).get_conn() == (url, "re_1")
