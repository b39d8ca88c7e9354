"""An exported registry is read back unchanged."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given

from airflow_jobmon.cli.jobs_file_reader import read_jobs_file
from airflow_jobmon.cli.jobs_file_writer import jobs_as_json, jobs_as_yaml
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.postgres.registry import RegisteredJob
from tests.support.job_strategies import registries

AT = datetime(2025, 11, 13, tzinfo=UTC)


def registered(job: MonitoredJob, source: str = "file:jobs.yaml") -> RegisteredJob:
    # jsonb keeps no order
    config = dict(sorted(job.model_dump(mode="json", exclude_unset=True).items(), reverse=True))
    return RegisteredJob(job, source, AT, config)


def stored(jobs: list[MonitoredJob]) -> dict[str, dict[str, object]]:
    return {job.name: job.model_dump(mode="json", exclude_unset=True) for job in jobs}


@given(registries())
def test_any_registry_is_read_back_from_its_own_yaml(tmp_path_factory, jobs):
    path = tmp_path_factory.getbasetemp() / "exported.yaml"
    path.write_text(jobs_as_yaml([registered(job) for job in jobs]), encoding="utf-8")
    assert stored(read_jobs_file(str(path), may_be_empty=True).jobs) == stored(jobs)


@given(registries())
def test_any_registry_is_read_back_from_its_own_json(tmp_path_factory, jobs):
    path = tmp_path_factory.getbasetemp() / "exported.json"
    path.write_text(json.dumps(jobs_as_json([registered(job) for job in jobs], "file:billing")))
    read = read_jobs_file(str(path), may_be_empty=True)
    assert (stored(read.jobs), read.source) == (stored(jobs), "file:billing")


def test_the_file_looks_as_a_person_would_write_it():
    jobs = [
        registered(MonitoredJob(name="nightly", schedule="*/5 * * * *", owner="Bücher", tags=("b", "a"))),
        registered(MonitoredJob(name="plain"), "dag:health/check"),
    ]
    assert jobs_as_yaml(jobs) == (
        "# yaml-language-server: $schema=jobs.schema.json\n"
        "jobs:\n"
        "\n"
        "  # registered by dag:health/check\n"
        "  - name: plain\n"
        "\n"
        "  # registered by file:jobs.yaml\n"
        "  - name: nightly\n"
        "    schedule: '*/5 * * * *'\n"
        "    tags:\n"
        "    - a\n"
        "    - b\n"
        "    owner: Bücher\n"
    )


def test_an_export_of_one_source_names_it(tmp_path):
    path = tmp_path / "elsewhere.yaml"
    path.write_text(jobs_as_yaml([registered(MonitoredJob(name="plain"))], "file:jobs.yaml"))
    assert read_jobs_file(str(path)).source == "file:jobs.yaml"


def test_an_unreadable_entry_is_printed_as_stored():
    entry = RegisteredJob(
        MonitoredJob.model_construct(name="a"),
        "file:x\n- evil",
        AT,
        {"timezone": "Mars/Olympus", "name": "a", "invented_later": 1},
        "job 'a': timezone: 'Mars/Olympus' is unknown",
    )
    printed = jobs_as_yaml([entry])
    assert "  # registered by file:x\\n- evil\n  # cannot be read here: job 'a': timezone: 'Mars/" in printed
    assert printed.endswith("  - name: a\n    timezone: Mars/Olympus\n    invented_later: 1\n")
