"""`airflow jobmon archive`, killed again and again at any moment: every row stays in exactly one place."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.listen_process import Listener
from tests.support.postgres_server import Postgres
from tests.support.wait_until import wait_until

ROWS = 40_000
_LIVE = "SELECT id::text FROM public.jobs_log"
_ARCHIVED = "SELECT id FROM airflow_jobmon.jobs_log_archive"


@pytest.fixture
def old_log(conn: psycopg.Connection) -> Counter[str]:
    """Log old runs of seven jobs; return all their ids."""
    conn.execute(
        "INSERT INTO public.jobs_log (job_name, started_at, completed_at, status, error_message)"
        " SELECT 'job ' || mod(n, 7), now() - interval '200 days' + n * interval '2 minutes', now(), 'success',"
        " repeat('x', 90) FROM generate_series(1, %s) n",
        [ROWS],
    )
    return ids(conn, _LIVE)


@pytest.fixture
def archive(forker, postgres: Postgres, conn: psycopg.Connection) -> Callable[..., Listener]:
    """Start the command."""

    def start(*arguments: str) -> Listener:
        env = {"AIRFLOW_CONN_JOBMON_DEFAULT": postgres.uri(conn.info.dbname)}
        return forker.start(env, "--older-than", "90d", *arguments, command="archive")

    return start


def ids(conn: psycopg.Connection, query: str) -> Counter[str]:
    return Counter(key for (key,) in conn.execute(query.encode()))


def has_session(conn: psycopg.Connection) -> bool:
    query = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'client backend'"
        " AND datname = current_database() AND pid <> pg_backend_pid())"
    )
    return conn.execute(query).fetchone() == (True,)


def kill_again_and_again(archive: Callable[[], Listener], conn: psycopg.Connection, check: Callable[[], None]) -> int:
    """Kill it at varied moments, checking each time, until it ends by itself once; return the number of kills."""
    chance = random.Random()
    kills = 0
    while True:
        process = archive()
        wait_until(lambda started=process: has_session(conn) or not started.runs, "the archive to connect")
        # The first few hardly get to do anything; later ones live longer, so that this ends.
        ends_at = time.monotonic() + chance.uniform(0, 0.15 * (kills + 1))
        while process.runs and time.monotonic() < ends_at:
            time.sleep(0.002)
        ended = not process.runs
        process.kill()
        kills += not ended
        # What a killed client had under way is over, one way or the other.
        wait_until(lambda: not has_session(conn), "the session of the killed process to end")
        check()
        if ended:
            assert "error" not in process.said
            return kills


def test_a_killed_archive_loses_and_duplicates_no_run(archive, conn, old_log):
    def check() -> None:
        assert ids(conn, _LIVE) + ids(conn, _ARCHIVED) == old_log

    assert kill_again_and_again(archive, conn, check) > 0
    assert ids(conn, _LIVE).total() + ids(conn, _ARCHIVED).total() == ROWS
    assert ids(conn, _LIVE).total() < ROWS / 2


def exported(target: Path, parts: list[tuple[str, str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for folder, name in parts:
        content = gzip.decompress((target / Path(folder).name / name).read_bytes()).decode()
        found.update(row["id"] for row in csv.DictReader(io.StringIO(content, newline="")))
    return found


def test_a_killed_export_loses_and_duplicates_no_run(archive, conn, old_log, tmp_path):
    def check() -> None:
        parts = conn.execute(
            "SELECT e.folder, p.name FROM airflow_jobmon.archive_parts p JOIN airflow_jobmon.archive_exports e"
            " ON e.id = p.export_id WHERE p.state = 'deleted'"
        ).fetchall()
        assert ids(conn, _LIVE) + exported(tmp_path, parts) == old_log

    assert kill_again_and_again(lambda: archive("--to", f"file://{tmp_path}"), conn, check) > 0
    manifests = [json.loads(path.read_text()) for path in tmp_path.glob("*/manifest.json")]
    listed = [(f"jobs_log-{m['id']}", part["name"]) for m in manifests for part in m["parts"]]
    assert all(manifest["complete"] for manifest in manifests)
    assert len(listed) == len(list(tmp_path.glob("*/part-*"))), "no file is there that a manifest does not list"
    assert sum(manifest["runs"] for manifest in manifests) == ROWS - ids(conn, _LIVE).total() > ROWS / 2
    assert conn.execute("SELECT count(*) FROM airflow_jobmon.archive_exports WHERE finished_at IS NULL").fetchone() == (
        0,
    )
