"""`airflow jobmon jobs suggest`: it prints a file that can be applied, whatever the job names contain."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from airflow_jobmon.postgres.registry import list_jobs
from airflow_jobmon.postgres.run_history import histories, zones_of_database
from tests.support.logged_runs import log_run

HOSTILE = [
    "x\n  - name: evil",
    "- name: evil\n",
    "# comment",
    "'quoted\" & *alias",
    "{a: b}",
    "yes",
    "0123",
    "a: b # c",
    "\u2028line",
    "\x1b[31mred",
    "%TAG",
    "é💥",
]


@pytest.fixture
def nightly(conn):
    """Log runs at about 02:00 UTC of the last nights, for a job of this name."""

    def log(name: str, nights: int = 40, until: int = 1) -> None:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        with conn.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO public.jobs_log (job_name, status, started_at, completed_at) VALUES (%s, %s, %s, %s)",
                [
                    (name, "success", start, start + timedelta(seconds=12))
                    for night in range(until, until + nights)
                    for start in [midnight - timedelta(days=night) + timedelta(hours=2, seconds=night % 5)]
                ],
            )

    return log


def test_suggestions_come_with_evidence_and_can_be_applied(jobmon, conn, nightly, tmp_path):
    nightly("nightly-load")
    log_run(conn, "once")
    nightly("retired", until=60)
    suggested = jobmon("jobs", "suggest")
    assert suggested.code == 0
    assert suggested.err.endswith("1 of 3 jobs suggested, 2 left out\n")
    assert "  # 40 runs since" in suggested.out
    assert "40 within 10 s of 02:00 UTC" in suggested.out
    assert "#   once: only 1 run; at least 5 are needed\n" in suggested.out
    assert "#   retired: it has not run for" in suggested.out
    (tmp_path / "jobs.yaml").write_text(suggested.out)
    assert jobmon("jobs", "apply", tmp_path / "jobs.yaml").code == 0
    [entry] = list_jobs(conn)
    assert entry.config == {
        "name": "nightly-load",
        "schedule": "0 2 * * *",
        "grace": "5m",
        "timeout": "15m",
        "max_duration": "30s",
    }


def test_hostile_names_do_not_break_the_file(jobmon, conn, nightly, tmp_path):
    for name in HOSTILE:
        nightly(name, nights=10)
        log_run(conn, f"{name} once")
    suggested = jobmon("jobs", "suggest").out
    jobs = yaml.safe_load(suggested)["jobs"]
    taken = [name for name in HOSTILE if not {"\n", "\u2028", "\x1b"} & set(name)]
    assert sorted(job["name"] for job in jobs) == sorted(taken)
    assert "\x1b" not in suggested
    comments = [line for line in suggested.split("\n") if line.lstrip().startswith("#")]
    assert len([line for line in comments if "only 1 run;" in line]) == len(HOSTILE)
    assert len([line for line in comments if "the registry would refuse it" in line]) == len(HOSTILE) - len(taken)
    (tmp_path / "jobs.yaml").write_text(suggested, encoding="utf-8")
    assert jobmon("jobs", "apply", tmp_path / "jobs.yaml").code == 0


def test_registered_jobs_are_left_out_unless_given_by_name(jobmon, nightly, tmp_path):
    nightly("mine")
    (tmp_path / "jobs.yaml").write_text("jobs: [{name: mine, every: 1d}]")
    jobmon("jobs", "apply", tmp_path / "jobs.yaml")
    left_out = jobmon("jobs", "suggest")
    assert "jobs: []\n" in left_out.out
    assert "#   mine: is already registered by file:jobs.yaml\n" in left_out.out
    [job] = json.loads(jobmon("jobs", "suggest", "--job", "mine", "-o", "json").out)["jobs"]
    assert job["schedule"] == "0 2 * * *"


def test_a_given_zone_is_used_where_the_history_shows_none(jobmon, nightly):
    nightly("load", nights=8)
    suggested = jobmon("jobs", "suggest", "--timezone", "Asia/Kolkata").out
    [job] = yaml.safe_load(suggested)["jobs"]
    assert (job["schedule"], job["timezone"]) == ("30 7 * * *", "Asia/Kolkata")


@pytest.mark.parametrize(
    ("arguments", "expected_error"),
    [
        pytest.param(["--days", "0"], "--days 0 covers no run", id="no days"),
        pytest.param(["--timezone", "Europe/Berln"], "did you mean 'Europe/Berlin'?", id="unknown zone"),
        pytest.param(["--job", "nobody"], "job 'nobody' has no run in the log", id="unknown job"),
    ],
)
def test_bad_input_is_an_error(jobmon, arguments, expected_error):
    answered = jobmon("jobs", "suggest", *arguments)
    assert (answered.code, answered.out) == (1, "")
    assert expected_error in answered.err


def test_the_history_leaves_out_older_days_drills_and_future_runs(conn):
    for hours in (-5, 2, 30, 100):
        log_run(conn, "load", started_at=datetime.now(UTC) - timedelta(hours=hours))
    log_run(conn, "load", "failed", started_at=datetime.now(UTC), error_message="TEST ALERT")
    log_run(conn, "load", "failed", started_at=datetime.now(UTC) - timedelta(hours=3))
    [history] = histories(conn, ["load"], 2)
    assert len(history.starts) == 3
    assert history.starts == sorted(history.starts)
    assert history.durations == [timedelta(seconds=10)] * 2
    assert not history.cut


def test_the_zones_of_the_database_are_not_those_of_the_session(conn):
    assert zones_of_database(conn) == ["UTC"] or "UTC" not in zones_of_database(conn)
    conn.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone = ''Europe/Berlin''', current_database()); END $$"
    )
    from airflow_jobmon.postgres.connect import connect

    with connect(conn.info.dsn) as again:
        assert again.execute("SHOW timezone").fetchone() == ("UTC",)
        assert zones_of_database(again) == ["Europe/Berlin"]
