"""`airflow jobmon archive`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.logged_runs import log_run


@pytest.fixture
def old_runs(conn):
    for job in ("sync", "=cmd|' /C calc'!A0"):
        for days in (200, 100, 1):
            log_run(conn, job, started_at=datetime.now(UTC) - timedelta(days=days))
    log_run(conn, "sync", "running", datetime.now(UTC) - timedelta(days=300))
    return conn


def archived(conn):
    return conn.execute("SELECT count(*) FROM airflow_jobmon.jobs_log_archive").fetchone()[0]


def test_a_dry_run_reports_what_would_move_and_the_real_run_moves_it(jobmon, old_runs):
    dry = jobmon("archive", "--older-than", "90d", "--dry-run", "-o", "json")
    result = json.loads(dry.out)
    assert (dry.code, result["runs"], result["jobs"]) == (0, 4, {"=cmd|' /C calc'!A0": 2, "sync": 2})
    assert "would keep 1 older run: still running" in dry.err
    assert "4 runs from before" in dry.err
    assert archived(old_runs) == 0
    done = jobmon("archive", "--older-than", "90d")
    assert done.code == 0
    assert "sync" in done.out
    assert "4 runs from before" in done.err
    assert archived(old_runs) == 4
    again = jobmon("archive", "--older-than", "90d")
    assert (again.code, again.out) == (0, "")


def test_only_the_given_job_is_archived(jobmon, old_runs):
    done = jobmon("archive", "--older-than", "P90D", "--job", "sync", "-o", "json")
    assert json.loads(done.out)["jobs"] == {"sync": 2}


def test_an_export_to_a_folder_reports_where_its_manifest_is(jobmon, old_runs, tmp_path):
    done = jobmon("archive", "--older-than", "90d", "--to", tmp_path, "-o", "json")
    [manifest] = tmp_path.glob("*/manifest.json")
    result = json.loads(done.out)
    assert (done.code, result["runs"], result["manifest"]) == (0, 4, f"file://{manifest}")
    assert f"see file://{manifest}" in done.err
    assert archived(old_runs) == 0


@pytest.mark.parametrize(
    ("arguments", "expected_error"),
    [
        pytest.param(["--older-than", "0d"], "error: runs older than 0s cannot be archived", id="zero"),
        pytest.param(["--older-than=-3d"], "error: '-3d' is not a valid duration", id="negative"),
        pytest.param(["--older-than", "quarter"], "error: 'quarter' is not a valid duration", id="no duration"),
        pytest.param(["--older-than", "90d", "--job", "snyc"], "error: job 'snyc' has no run in the job log", id="job"),
    ],
)
def test_bad_input_is_a_one_line_error(jobmon, old_runs, arguments, expected_error):
    refused = jobmon("archive", *arguments)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(expected_error)
    assert archived(old_runs) == 0


def test_rows_that_the_database_refuses_to_delete_are_reported_with_exit_code_1(jobmon, old_runs):
    old_runs.execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'the log is append only'; END $$"
    )
    old_runs.execute(
        "CREATE TRIGGER refuse BEFORE DELETE ON public.jobs_log FOR EACH ROW"
        " WHEN (OLD.job_name = 'sync') EXECUTE FUNCTION public.refuse()"
    )
    done = jobmon("archive", "--older-than", "90d", "-o", "json")
    assert (done.code, json.loads(done.out)["refused"]) == (1, {"the log is append only": 2})
    assert "kept 2 older runs: the log is append only" in done.err
    assert archived(old_runs) == 2
