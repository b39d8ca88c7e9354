from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from airflow_jobmon.core.jobs import MonitoredJob
from airflow_jobmon.errors import ConfigurationError
from airflow_jobmon.postgres.connect import connect
from airflow_jobmon.postgres.registry import AppliedJobs, apply_jobs, list_jobs
from tests.jobs import monitored_jobs

NIGHTLY = MonitoredJob(name="nightly", schedule="0 2 * * *", timezone="Europe/Berlin")
OFTEN = MonitoredJob(name="often", every=timedelta(minutes=15))


def judge_at(conn) -> dict[str, object]:
    return dict(conn.execute("SELECT job_name, judge_at FROM airflow_jobmon.job_state").fetchall())


def test_jobs_are_added_changed_and_left_as_they_are(conn):
    assert apply_jobs(conn, [OFTEN, NIGHTLY], source="file:a") == AppliedJobs(("nightly", "often"), (), (), ())
    changed = MonitoredJob(name="often", every=timedelta(minutes=15), owner="billing")
    assert apply_jobs(conn, [changed, NIGHTLY], source="file:a") == AppliedJobs((), ("often",), ("nightly",), ())
    assert [(entry.job, entry.source) for entry in list_jobs(conn)] == [(NIGHTLY, "file:a"), (changed, "file:a")]


def test_a_changed_job_keeps_the_moment_it_was_registered(conn):
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
    second.join(10)
    assert [str(error).split(" is registered by ")[1][:10] for error in refused] == ["file:first"]


def test_what_changed_is_judged_soon_and_watchers_are_woken(conn, database):
    with connect(database) as listener:
        listener.execute("LISTEN airflow_jobmon")
        apply_jobs(conn, [NIGHTLY, OFTEN], source="file:a")
        assert judge_at(conn).keys() == {"nightly", "often"}
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
        conn.execute("UPDATE airflow_jobmon.job_state SET judge_at = NULL")
        apply_jobs(conn, [NIGHTLY, OFTEN], source="file:a")
        assert judge_at(conn) == {"nightly": None, "often": None}
        assert list(listener.notifies(timeout=0.1)) == []
        apply_jobs(conn, [MonitoredJob(name="nightly", owner="billing")], source="file:a")
        assert [name for name, at in judge_at(conn).items() if at] == ["nightly"]


def test_fields_that_a_newer_package_stored_do_not_hinder_an_older_one(conn):
    apply_jobs(conn, [NIGHTLY], source="file:a")
    conn.execute("""UPDATE airflow_jobmon.jobs SET config = config || '{"invented_later": 1}'""")
    assert [entry.job for entry in list_jobs(conn)] == [NIGHTLY]


def test_what_was_left_unset_takes_the_default_of_the_package_that_reads_it(conn):
    apply_jobs(conn, [MonitoredJob(name="plain")], source="file:a")
    assert conn.execute("SELECT config FROM airflow_jobmon.jobs").fetchall() == [({"name": "plain"},)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job=monitored_jobs())
def test_any_job_is_read_as_it_was_registered(conn, job):
    with conn.transaction(force_rollback=True):
        apply_jobs(conn, [job], source="file:a")
        assert [entry.job for entry in list_jobs(conn)] == [job]
        assert apply_jobs(conn, [job], source="file:a").unchanged == (job.name,)
