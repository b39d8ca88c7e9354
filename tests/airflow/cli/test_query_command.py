"""`airflow jobmon query`."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest
import yaml

from airflow_jobmon.postgres.monitoring_queries import list_queries, queries_file
from tests.support.logged_runs import log_run


def test_without_a_name_the_queries_are_listed_with_their_meaning(jobmon, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT")
    listed = json.loads(jobmon("query", "-o", "json").out)
    assert listed == [{"query": query.name, "meaning": query.meaning} for query in list_queries()]


@pytest.mark.parametrize("form", ["table", "plain", "json", "yaml", "csv"])
def test_every_query_answers_in_every_format(jobmon, conn, form):
    log_run(conn, "load", "failed", error_message="disk full", started_at=datetime.now(UTC))
    log_run(conn, "load", records_updated=3)
    for query in list_queries():
        answer = jobmon("query", query.name, "--job", "load", "-o", form)
        assert answer.code == 0, (query.name, answer.err)
        if form == "json":
            json.loads(answer.out)
        elif form == "yaml":
            assert isinstance(yaml.safe_load(answer.out), list)


def test_csv_is_exact_with_formulas_defused(jobmon, conn):
    log_run(conn, "load", "failed", datetime(2025, 11, 13, 2, tzinfo=UTC), error_message='=cmd|" /C calc"!A0')
    answer = jobmon("query", "recent-executions", "-o", "csv")
    header, row = list(csv.reader(io.StringIO(answer.out, newline="")))
    assert dict(zip(header, row, strict=True)) == {
        "id": row[0], "job_name": "load", "started_at": "2025-11-13T02:00:00Z", "completed_at": "2025-11-13T02:00:10Z",
        "duration_seconds": "10.0", "records_updated": "", "status": "failed", "error_message": "'=cmd|\" /C calc\"!A0",
    }  # fmt: skip


def test_no_rows_give_a_header_in_csv_and_otherwise_a_note_on_stderr(jobmon, conn):
    log_run(conn, "load")
    empty = jobmon("query", "failed_jobs", "-o", "csv")
    assert (empty.code, empty.out) == (0, "id,job_name,started_at,completed_at,duration_seconds,error_message\r\n")
    empty = jobmon("query", "failed_jobs", "--job", "load")
    assert (empty.code, empty.out, empty.err) == (0, "", "no rows\n")


def test_a_query_is_printed_as_sql_without_a_database(jobmon, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT")
    printed = jobmon("query", "success_rate", "--job", "it's", "--sql").out
    assert "WHERE job_name = 'it''s'\n" in printed
    assert printed.endswith(";\n")
    assert jobmon("query", "--sql").out == queries_file()


@pytest.mark.parametrize(
    ("command", "expected_error"),
    [
        pytest.param(["query", "sucess_rate"], "did you mean 'success_rate'?", id="an unknown query"),
        pytest.param(["query", "success_rate", "--job", "laod"], "job 'laod' is neither registered nor", id="no job"),
        pytest.param(["query", "success_rate", "--job", ""], "--job '' is not a job name", id="an empty name"),
    ],
)  # fmt: skip
def test_a_bad_argument_is_a_one_line_error(jobmon, command, expected_error):
    failed = jobmon(*command)
    assert (failed.code, failed.out) == (1, "")
    assert expected_error in failed.err
    assert len(failed.err.splitlines()) == 1


def test_a_registered_job_that_never_ran_has_no_rows_and_is_not_an_error(jobmon, jobs_file):
    jobmon("jobs", "apply", jobs_file)
    assert jobmon("query", "recent_executions", "--job", "nightly").code == 0
