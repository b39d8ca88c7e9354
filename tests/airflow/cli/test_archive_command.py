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


def test_it_says_what_it_would_move_and_then_moves_it(jobmon, old_runs):
    dry = jobmon("archive", "--older-than", "90d", "--dry-run", "-o", "json")
    told = json.loads(dry.out)
    assert (dry.code, told["runs"], told["jobs"]) == (0, 4, {"=cmd|' /C calc'!A0": 2, "sync": 2})
    assert "1 older runs would stay: still running" in dry.err
    assert "4 runs from before" in dry.err
    assert archived(old_runs) == 0
    done = jobmon("archive", "--older-than", "90d")
    assert done.code == 0
    assert "sync" in done.out
    assert "4 runs from before" in done.err
    assert archived(old_runs) == 4
    again = jobmon("archive", "--older-than", "90d")
    assert (again.code, again.out) == (0, "")


def test_one_job_is_archived(jobmon, old_runs):
    done = jobmon("archive", "--older-than", "P90D", "--job", "sync", "-o", "json")
    assert json.loads(done.out)["jobs"] == {"sync": 2}


def test_it_exports_to_a_folder_and_says_where_the_manifest_is(jobmon, old_runs, tmp_path):
    done = jobmon("archive", "--older-than", "90d", "--to", tmp_path, "-o", "json")
    [manifest] = tmp_path.glob("*/manifest.json")
    told = json.loads(done.out)
    assert (done.code, told["runs"], told["manifest"]) == (0, 4, f"file://{manifest}")
    assert f"see file://{manifest}" in done.err
    assert archived(old_runs) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        pytest.param(["--older-than", "0d"], "error: runs older than 0s cannot be archived", id="zero"),
        pytest.param(["--older-than=-3d"], "error: '-3d' is no duration", id="negative"),
        pytest.param(["--older-than", "quarter"], "error: 'quarter' is no duration", id="no duration"),
        pytest.param(["--older-than", "90d", "--job", "snyc"], "error: job 'snyc' has no run in the job log", id="job"),
    ],
)
def test_bad_input_is_refused_in_one_line(jobmon, old_runs, arguments, complaint):
    refused = jobmon("archive", *arguments)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(complaint)
    assert archived(old_runs) == 0


def test_rows_that_would_not_go_are_told_and_make_the_exit_code_1(jobmon, old_runs):
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
    assert "2 older runs stay: the log is append only" in done.err
    assert archived(old_runs) == 2
