from __future__ import annotations

import asyncio

import pytest
from psycopg.conninfo import conninfo_to_dict

from airflow_jobmon.errors import JobmonError
from airflow_jobmon.runtime import connections

FULL = "postgres://user:p%40ss%20w%27rd%5C@db.example:6543/logs"


@pytest.fixture(params=["sync", "async"])
def conninfo(request):
    if request.param == "sync":
        return connections.conninfo
    return lambda conn_id: asyncio.run(connections.aconninfo(conn_id))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        pytest.param(
            FULL,
            {"user": "user", "password": "p@ss w'rd\\", "host": "db.example", "port": "6543", "dbname": "logs"},
            id="every field, characters quoted",
        ),
        pytest.param(
            "postgres://h/d?sslmode=verify-full&sslrootcert=%2Fca.pem&application_name=me&options=-c%20search_path%3Dx",
            {
                "host": "h",
                "dbname": "d",
                "sslmode": "verify-full",
                "sslrootcert": "/ca.pem",
                "application_name": "me",
                "options": "-c search_path=x",
            },
            id="extras that libpq knows",
        ),
        pytest.param(
            "postgres://h/d?cursor=dictcursor&sqlalchemy_scheme=postgresql&redshift=false",
            {"host": "h", "dbname": "d"},
            id="extras for the hook only are left out",
        ),
        pytest.param("postgres://h/d?host=elsewhere", {"host": "h", "dbname": "d"}, id="a field beats an extra"),
        pytest.param(
            '{"conn_type": "postgres", "host": "h", "extra": {"keepalives": true, "port": 1, "sslmode": null}}',
            {"host": "h", "keepalives": "1", "port": "1"},
            id="JSON, with values that are no text",
        ),
    ],
)
def test_a_postgres_connection_becomes_a_conninfo(monkeypatch, conninfo, uri, expected):
    monkeypatch.setenv("AIRFLOW_CONN_LOGS", uri)
    assert conninfo_to_dict(conninfo("logs")) == expected


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        pytest.param(None, "Airflow has no connection 'logs'; add it under Admin > Connections", id="missing"),
        pytest.param("mysql://user:secret@h/d", "has type 'mysql'; the job log needs type 'postgres'", id="type"),
        pytest.param(
            '{"conn_type": "postgres", "extra": "{broken"}',
            "its extra is not a JSON object; correct it",
            id="broken extra",
        ),
        pytest.param('{"conn_type": "postgres", "extra": "[1]"}', "its extra is not a JSON object", id="a list"),
        pytest.param("postgres://user:secret@h/d?iam=true", "uses IAM tokens", id="tokens"),
        pytest.param(
            '{"password": "secret"',
            "exists, but its variable AIRFLOW_CONN_LOGS is malformed JSON at character 22: Expecting",
            id="malformed JSON",
        ),
        pytest.param(
            "host=h password=secret", "variable AIRFLOW_CONN_LOGS is not a connection URI; write it like", id="no URI"
        ),
        pytest.param(
            '{"conn_type": "postgres", "password": "secret", "hots": "h"}',
            "its variable AIRFLOW_CONN_LOGS cannot be read: a field in it is unknown or of the wrong kind",
            id="an unknown field",
        ),
        pytest.param("postgres://user:secret@h:port/d", "cannot be read: a field in it is unknown", id="no port"),
    ],
)
def test_an_unusable_connection_is_explained_in_a_line_without_its_password(monkeypatch, conninfo, uri, says):
    monkeypatch.delenv("AIRFLOW_CONN_LOGS", raising=False)
    if uri is not None:
        monkeypatch.setenv("AIRFLOW_CONN_LOGS", uri)
    with pytest.raises(JobmonError) as caught:
        conninfo("logs")
    message = str(caught.value)
    assert says in message
    assert "'logs'" in message
    assert "secret" not in message
    assert "\n" not in message


def test_channels_that_can_be_opened_are_opened_beside_those_that_cannot(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_GOOD", "http://sink.example")
    monkeypatch.setenv("AIRFLOW_CONN_ODD", "ftp://files.example")
    channels, problems = connections.open_channels(["good", "odd", "absent"])
    assert [channel.name for channel in channels.values()] == ["good"]
    assert problems.keys() == {"odd", "absent"}
    assert "ftp" in problems["odd"]
    assert "Airflow has no connection 'absent'" in problems["absent"]
