from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from psycopg.conninfo import make_conninfo

from airflow_jobmon.cli.jobs_file_reader import read_jobs_file
from airflow_jobmon.cli.jobs_file_writer import jobs_as_yaml
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.errors import ConfigurationError, UnknownJob
from airflow_jobmon.monitoring.checks import evaluate_jobs
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.registry import AppliedJobs, apply_jobs, list_jobs, remove_jobs
from airflow_jobmon.postgres.waits import registered_job
from airflow_jobmon.settings import Settings
from tests.support.job_strategies import monitored_jobs, registries
from tests.support.logged_runs import log_run

NIGHTLY = MonitoredJob(name="nightly", schedule="0 2 * * *", timezone="Europe/Berlin")
OFTEN = MonitoredJob(name="often", every=timedelta(minutes=15))


def names(applied: AppliedJobs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for job in applied.jobs:
        found.setdefault(job.change, []).append(job.job_name)
    return found


def judge_at(conn) -> dict[str, object]:
    return dict(conn.execute("SELECT job_name, judge_at FROM airflow_jobmon.job_state").fetchall())


def test_jobs_are_added_changed_and_left_as_they_are(conn):
    assert names(apply_jobs(conn, [OFTEN, NIGHTLY], source="file:a")) == {"added": ["nightly", "often"]}
    changed = MonitoredJob(name="often", every=timedelta(minutes=15), owner="billing")
    applied = apply_jobs(conn, [changed, NIGHTLY], source="file:a")
    assert names(applied) == {"changed": ["often"], "unchanged": ["nightly"]}
    assert [(field.field, field.new) for field in applied.jobs[1].fields] == [("owner", "billing")]
    assert [(entry.job, entry.source) for entry in list_jobs(conn)] == [(NIGHTLY, "file:a"), (changed, "file:a")]


def test_a_changed_job_keeps_its_registration_time(conn):
    apply_jobs(conn, [NIGHTLY], source="file:a")
    [before] = list_jobs(conn)
    apply_jobs(conn, [MonitoredJob(name="nightly", owner="billing")], source="file:a")
    assert [entry.registered_at for entry in list_jobs(conn)] == [before.registered_at]


def test_jobs_left_out_stay_unless_they_are_pruned_and_other_sources_are_never_touched(conn):
    apply_jobs(conn, [NIGHTLY, OFTEN], source="file:a")
    apply_jobs(conn, [MonitoredJob(name="theirs")], source="dag:b/c")
    assert apply_jobs(conn, [OFTEN], source="file:a").removed == ()
    assert apply_jobs(conn, [OFTEN], source="file:a", prune=True).removed == ("nightly",)
    assert [entry.job.name for entry in list_jobs(conn)] == ["often", "theirs"]


def test_a_job_of_another_source_is_refused_naming_both_and_nothing_is_changed(conn):
    apply_jobs(conn, [NIGHTLY], source="dag:health/check")
    with pytest.raises(ConfigurationError, match="'nightly' is registered by dag:health/check, so file:a cannot"):
        apply_jobs(conn, [OFTEN, NIGHTLY], source="file:a")
    assert [entry.job.name for entry in list_jobs(conn)] == ["nightly"]


def test_a_name_given_twice_is_refused(conn):
    with pytest.raises(ConfigurationError, match="'often' is listed 2 times; keep one"):
        apply_jobs(conn, [OFTEN, NIGHTLY, OFTEN], source="file:a")
    assert list_jobs(conn) == []


def test_of_two_sources_that_claim_a_job_at_once_one_is_refused(conn, database):
    refused: list[ConfigurationError] = []

    def claim() -> None:
        with connect(database) as other:
            try:
                apply_jobs(other, [NIGHTLY], source="file:second")
            except ConfigurationError as error:
                refused.append(error)

    second = threading.Thread(target=claim)
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'airflow_jobmon.jobs'::regclass"
    with connect(database) as first, first.transaction():
        apply_jobs(first, [NIGHTLY], source="file:first")
        second.start()
        while conn.execute(waits).fetchone() == (0,):
            second.join(0.01)
    second.join(60)
    assert [str(error).split(" is registered by ")[1][:10] for error in refused] == ["file:first"]


def test_changed_jobs_are_evaluated_soon_and_watchers_are_woken(conn, database):
    with connect(database) as listener:
        listener.execute("LISTEN airflow_jobmon")
        apply_jobs(conn, [NIGHTLY, OFTEN], source="file:a")
        assert judge_at(conn).keys() == {"nightly", "often"}
        assert len(list(listener.notifies(timeout=60, stop_after=1))) == 1
        conn.execute("UPDATE airflow_jobmon.job_state SET judge_at = NULL")
        apply_jobs(conn, [NIGHTLY, OFTEN], source="file:a")
        assert judge_at(conn) == {"nightly": None, "often": None}
        assert list(listener.notifies(timeout=0.1)) == []
        apply_jobs(conn, [MonitoredJob(name="nightly", owner="billing")], source="file:a")
        assert [name for name, at in judge_at(conn).items() if at] == ["nightly"]


def test_fields_that_a_newer_package_stored_do_not_break_an_older_one(conn):
    apply_jobs(conn, [NIGHTLY], source="file:a")
    conn.execute("""UPDATE airflow_jobmon.jobs SET config = config || '{"invented_later": 1}'""")
    assert [entry.job for entry in list_jobs(conn)] == [NIGHTLY]


def test_an_unset_field_takes_the_default_of_the_package_that_reads_it(conn):
    apply_jobs(conn, [MonitoredJob(name="plain")], source="file:a")
    assert conn.execute("SELECT config FROM airflow_jobmon.jobs").fetchall() == [({"name": "plain"},)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job=monitored_jobs())
def test_any_job_is_read_as_it_was_registered(conn, job):
    with conn.transaction(force_rollback=True):
        apply_jobs(conn, [job], source="file:a")
        assert [entry.job for entry in list_jobs(conn)] == [job]
        assert apply_jobs(conn, [job], source="file:a").unchanged == (job.name,)


def test_a_dry_run_reports_the_same_changes_writes_nothing_and_needs_no_permission_to_write(conn, database):
    apply_jobs(conn, [NIGHTLY, OFTEN], source="file:a")
    conn.execute("UPDATE airflow_jobmon.job_state SET judge_at = NULL")
    conn.execute("DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    conn.execute("GRANT USAGE ON SCHEMA airflow_jobmon TO reader")
    conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA airflow_jobmon TO reader")
    wanted = [MonitoredJob(name="nightly", owner="billing"), MonitoredJob(name="new")]
    with connect(make_conninfo(database, user="reader")) as reader:
        planned = apply_jobs(reader, wanted, source="file:a", prune=True, dry_run=True)
    assert names(planned) == {"changed": ["nightly"], "added": ["new"], "removed": ["often"]}
    assert judge_at(conn) == {"nightly": None, "often": None}
    assert [entry.job for entry in list_jobs(conn)] == [NIGHTLY, OFTEN]
    assert apply_jobs(conn, wanted, source="file:a", prune=True) == planned


def test_a_dry_run_refuses_what_applying_would_refuse(conn):
    apply_jobs(conn, [NIGHTLY], source="dag:health/check")
    with pytest.raises(ConfigurationError, match="is registered by dag:health/check"):
        apply_jobs(conn, [NIGHTLY], source="file:a", dry_run=True)


@pytest.mark.parametrize(
    ("holder", "source", "way"),
    [
        pytest.param("dag:health/check", "file:a", "then give --take-over", id="from a DAG to a file"),
        pytest.param("file:a", "dag:health/check", "run `airflow jobmon jobs remove` with its name", id="to a DAG"),
        pytest.param("dag:health/one", "dag:health/two", "remove it from dag:health/one", id="between two tasks"),
    ],
)
def test_a_refusal_says_how_to_move_the_job(conn, holder, source, way):
    apply_jobs(conn, [NIGHTLY, OFTEN], source=holder)
    with pytest.raises(ConfigurationError) as refused:
        apply_jobs(conn, [NIGHTLY, OFTEN], source=source)
    assert way in str(refused.value)
    assert str(refused.value).startswith(
        f"job 'nightly' (and 1 more of its jobs) is registered by {holder}, so {source}"
    )


def test_a_job_that_is_taken_over_keeps_its_registration_time_and_belongs_to_the_new_source_alone(conn):
    apply_jobs(conn, [NIGHTLY, OFTEN], source="file:old")
    before = {entry.job.name: entry.registered_at for entry in list_jobs(conn)}
    applied = apply_jobs(conn, [NIGHTLY], source="file:new", may_take_from=lambda holder: holder == "file:old")
    assert [(field.field, field.old) for field in applied.jobs[0].fields] == [("source", "file:old")]
    after = {entry.job.name: (entry.source, entry.registered_at) for entry in list_jobs(conn)}
    assert after == {"nightly": ("file:new", before["nightly"]), "often": ("file:old", before["often"])}
    assert apply_jobs(conn, [], source="file:old", prune=True).removed == ("often",)
    with pytest.raises(ConfigurationError, match="is registered by file:new"):
        apply_jobs(conn, [NIGHTLY], source="file:old")


def test_jobs_are_removed_by_name_or_by_source_and_evaluated_anew(conn):
    apply_jobs(conn, [NIGHTLY, OFTEN], source="file:a")
    apply_jobs(conn, [MonitoredJob(name="theirs")], source="dag:b/c")
    conn.execute("UPDATE airflow_jobmon.job_state SET judge_at = NULL")
    assert [entry.job.name for entry in remove_jobs(conn, ["often"])] == ["often"]
    assert [name for name, at in judge_at(conn).items() if at] == ["often"]
    assert [(entry.job.name, entry.source) for entry in remove_jobs(conn, source="dag:b/c")] == [("theirs", "dag:b/c")]
    assert [entry.job.name for entry in list_jobs(conn)] == ["nightly"]
    assert remove_jobs(conn, source="dag:b/c") == []


def test_a_name_that_is_not_registered_removes_nothing(conn):
    apply_jobs(conn, [NIGHTLY, OFTEN], source="file:a")
    with pytest.raises(UnknownJob, match="job 'nigthly' is not registered; did you mean 'nightly'"):
        remove_jobs(conn, ["often", "nigthly"])
    assert len(list_jobs(conn)) == 2


def test_an_entry_that_this_host_cannot_read_is_listed_with_its_reason_beside_the_others(conn):
    apply_jobs(conn, [NIGHTLY, OFTEN], source="file:a")
    conn.execute(
        """UPDATE airflow_jobmon.jobs SET config = config || '{"timezone": "Mars/Olympus"}' WHERE name = 'often'"""
    )
    good, bad = list_jobs(conn)
    assert (good.job, good.problem) == (NIGHTLY, None)
    assert "timezone: 'Mars/Olympus' is unknown" in (bad.problem or "")
    assert names(apply_jobs(conn, [OFTEN], source="file:a"))["changed"] == ["often"]


def test_the_list_shows_the_health_and_the_due_time_of_each_job(conn):
    log_run(conn, "often", "failed")
    apply_jobs(conn, [NIGHTLY, OFTEN, MonitoredJob(name="rests", enabled=False)], source="file:a")
    assert [entry.health for entry in list_jobs(conn)] == [None, None, None]
    evaluate_jobs(conn, Settings())
    nightly, often, rests = list_jobs(conn)
    assert (nightly.health, often.health, rests.health) == ("unknown", "critical", None)
    assert nightly.next_due_at is not None
    assert nightly.next_due_at > datetime.now(UTC)
    assert (rests.next_due_at, [entry.job.name for entry in list_jobs(conn, source="file:b")]) == (None, [])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jobs=registries())
def test_applying_an_export_gives_the_same_registry(conn, tmp_path, jobs):
    path = tmp_path / "exported.yaml"
    with conn.transaction(force_rollback=True):
        apply_jobs(conn, jobs, source="file:a")
        before = list_jobs(conn)
        path.write_text(jobs_as_yaml(before, "file:a"), encoding="utf-8")
        read = read_jobs_file(str(path), may_be_empty=True)
        assert read.source == "file:a"
        assert names(apply_jobs(conn, read.jobs, source=read.source, prune=True)).keys() <= {"unchanged"}
        apply_jobs(conn, [], source="file:a", prune=True)
        apply_jobs(conn, read.jobs, source=read.source)
        assert [(entry.job, entry.config) for entry in list_jobs(conn)] == [
            (entry.job, entry.config) for entry in before
        ]


@pytest.mark.parametrize("name", ["two\nlines", " padded ", "x" * 600, "\x1b[31m"])
def test_the_defaults_apply_to_a_job_that_the_registry_would_refuse(conn, name):
    log_run(conn, name)
    assert registered_job(conn, name).model_dump() == {**MonitoredJob(name="any").model_dump(), "name": name}
    assert [health.job_name for health in evaluate_jobs(conn, Settings())] == [name]
