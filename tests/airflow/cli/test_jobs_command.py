"""`airflow jobmon jobs`: list, apply, export, remove and schema."""

from __future__ import annotations

import io
import json

import pytest
import yaml

from airflow_jobmon.core.jobs.json_schema import jobs_schema
from tests.support.logged_runs import log_run


def listed(jobmon):
    return {job["name"]: job for job in json.loads(jobmon("jobs", "list", "-o", "json").out)}


def test_applied_jobs_are_listed_with_their_source(jobmon, jobs_file):
    applied = jobmon("jobs", "apply", str(jobs_file), "-o", "json")
    assert [(job["job_name"], job["change"]) for job in json.loads(applied.out)] == [
        ("nightly", "added"),
        ("often", "added"),
    ]
    assert applied.err == "file:jobs.yaml: 2 added\n"
    found = yaml.safe_load(jobmon("jobs", "list", "-o", "yaml").out)
    assert [(job["name"], job["source"], job["every"], job["owner"]) for job in found] == [
        ("nightly", "file:jobs.yaml", "1d", None),
        ("often", "file:jobs.yaml", "15m", "billing"),
    ]
    assert json.loads(jobmon("jobs", "apply", str(jobs_file), "-o", "json").out)[0]["change"] == "unchanged"


def test_the_list_shows_the_health_of_each_job(jobmon, conn, jobs_file):
    log_run(conn, "often", "failed")
    jobmon("jobs", "apply", jobs_file)
    jobmon("check", "--record")
    assert [job["health"] for job in listed(jobmon).values()] == ["unknown", "critical"]
    table = jobmon("jobs", "list", "-o", "plain").out.splitlines()
    assert table[0].split() == ["job_name", "health", "expected", "grace", "next_due_at", "source"]
    assert table[2].split()[:5] == ["often", "critical", "every", "15m", "1h"]


def test_a_dry_run_prints_each_changed_field_and_writes_nothing(jobmon, jobs_file):
    jobmon("jobs", "apply", jobs_file)
    jobs_file.write_text("jobs:\n- {name: often, schedule: 5 * * * *, grace: 30m}\n- {name: new, every: 5m}\n")
    dry = jobmon("jobs", "apply", jobs_file, "--dry-run", "--prune", "-o", "plain")
    assert (dry.code, dry.err) == (
        0, "file:jobs.yaml: 1 added, 1 changed, 1 removed; dry run, nothing was written\n",
    )  # fmt: skip
    assert [line.split() for line in dry.out.splitlines()] == [
        ["job_name", "change", "field", "old", "new"],
        ["new", "added", "every", "5m"],
        ["nightly", "removed"],
        ["often", "changed", "schedule", "5", "*", "*", "*", "*"],
        ["often", "changed", "every", "15m"],
        ["often", "changed", "grace", "1h", "(default)", "30m"],
        ["often", "changed", "owner", "billing"],
    ]
    assert listed(jobmon).keys() == {"nightly", "often"}
    changes = {
        job["job_name"]: job for job in json.loads(jobmon("jobs", "apply", jobs_file, "--dry-run", "-o", "json").out)
    }
    assert changes["often"]["fields"][2] == {
        "field": "grace", "old": "1h", "new": "30m", "old_is_default": True, "new_is_default": False,
    }  # fmt: skip


def test_jobs_removed_from_the_file_are_unregistered_only_with_prune(jobmon, jobs_file):
    assert jobmon("jobs", "apply", jobs_file).code == 0
    jobs_file.write_text("jobs:\n- name: nightly\n  every: 1d\n")
    assert jobmon("jobs", "apply", jobs_file).code == 0
    assert "often" in listed(jobmon)
    assert "removed" in jobmon("jobs", "apply", jobs_file, "--prune").out
    assert "often" not in listed(jobmon)
    jobs_file.write_text("jobs: []\n")
    assert jobmon("jobs", "apply", jobs_file).code == 1
    assert jobmon("jobs", "apply", jobs_file, "--prune").code == 0
    assert listed(jobmon) == {}


def test_a_job_of_another_source_is_refused_unless_it_is_taken_over(jobmon, jobs_file, tmp_path):
    jobmon("jobs", "apply", str(jobs_file))
    other = tmp_path / "other.yaml"
    other.write_text("jobs: [{name: new}, {name: often}]")
    refused = jobmon("jobs", "apply", str(other))
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("error: job 'often' is registered by file:jobs.yaml, so file:other.yaml cannot")
    assert "new" not in listed(jobmon)
    taken = jobmon("jobs", "apply", other, "--take-over", "-o", "plain")
    assert ["often", "changed", "source", "file:jobs.yaml", "file:other.yaml"] in [
        line.split() for line in taken.out.splitlines()
    ]
    assert {name: job["source"] for name, job in listed(jobmon).items()} == {
        "new": "file:other.yaml", "nightly": "file:jobs.yaml", "often": "file:other.yaml",
    }  # fmt: skip


def test_files_of_the_same_name_are_distinguished_by_their_source(jobmon, jobs_file, tmp_path):
    jobmon("jobs", "apply", jobs_file, "--source", "etl")
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "jobs.yaml"
    other.write_text("source: billing\njobs: [{name: invoices}]\n")
    assert jobmon("jobs", "apply", other, "--prune").code == 0
    assert {job["source"] for job in listed(jobmon).values()} == {"file:etl", "file:billing"}
    assert [job["name"] for job in json.loads(jobmon("jobs", "list", "--source", "billing", "-o", "json").out)] == [
        "invoices"
    ]


def test_standard_input_needs_a_source(jobmon, monkeypatch):
    def given(text):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    given("jobs: [{name: a}]")
    refused = jobmon("jobs", "apply", "-")
    assert (refused.code, refused.err) == (
        1, "error: standard input has no file name to serve as the source; give --source NAME\n",
    )  # fmt: skip
    given("jobs: [{name: a}]")
    assert jobmon("jobs", "apply", "-", "--source", "generated").code == 0
    assert listed(jobmon)["a"]["source"] == "file:generated"


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_an_exported_file_applies_without_a_change(jobmon, jobs_file, tmp_path, form):
    jobmon("jobs", "apply", jobs_file)
    exported = jobmon("jobs", "export", "-o", form, "--source", "file:jobs.yaml")
    (tmp_path / "exported.yaml").write_text(exported.out)
    again = jobmon("jobs", "apply", tmp_path / "exported.yaml")
    assert (again.code, again.out, again.err) == (0, "", "file:jobs.yaml: 2 unchanged\n")


def test_an_export_of_all_jobs_names_their_sources(jobmon, jobs_file):
    assert jobmon("jobs", "export").out.endswith("jobs: []\n")
    jobmon("jobs", "apply", jobs_file)
    exported = jobmon("jobs", "export")
    assert "  # registered by file:jobs.yaml\n  - name: nightly\n    every: 1d\n" in exported.out
    assert "source:" not in exported.out


def test_jobs_are_removed(jobmon, jobs_file):
    jobmon("jobs", "apply", jobs_file)
    removed = json.loads(jobmon("jobs", "remove", "often", "-o", "json").out)
    assert removed == [{"job_name": "often", "change": "removed", "source": "file:jobs.yaml"}]
    assert "nightly" in jobmon("jobs", "remove", "--source", "jobs.yaml").out
    assert listed(jobmon) == {}


def test_the_schema_is_printed_without_a_database(jobmon, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_JOBMON_DEFAULT")
    assert json.loads(jobmon("jobs", "schema").out) == jobs_schema()


@pytest.mark.parametrize(
    ("command", "expected_error"),
    [
        pytest.param(["jobs", "remove"], "name the jobs to remove", id="nothing to remove"),
        pytest.param(["jobs", "remove", "a", "--source", "b"], "name the jobs to remove", id="a name and a source"),
        pytest.param(["jobs", "remove", "nobody"], "job 'nobody' is not registered", id="an unknown job"),
        pytest.param(["jobs", "export", "--source", "x"], "no job is registered by 'file:x'", id="an unknown source"),
        pytest.param(
            ["jobs", "apply", "{file}", "--source", "dag:a/b"],
            "only the task of a DAG registers its jobs",
            id="a DAG's",
        ),
    ],
)
def test_a_bad_argument_is_a_one_line_error(jobmon, jobs_file, command, expected_error):
    failed = jobmon(*(str(jobs_file) if word == "{file}" else word for word in command))
    assert (failed.code, failed.out) == (1, "")
    assert expected_error in failed.err
    assert len(failed.err.splitlines()) == 1


class TestChannels:
    @pytest.fixture
    def job_on(self, tmp_path):
        def write(channel):
            path = tmp_path / "jobs.yaml"
            path.write_text(f"jobs: [{{name: load, channels: [{channel}]}}]")
            return path

        return write

    def test_an_unknown_connection_is_refused_with_a_suggestion(self, jobmon, job_on, monkeypatch):
        monkeypatch.setenv("AIRFLOW__JOBMON__CHANNELS", "slack_ops")
        refused = jobmon("jobs", "apply", job_on("slak_ops"))
        assert (refused.code, listed(jobmon)) == (1, {})
        assert refused.err.startswith("error: job 'load': channels: Airflow has no connection 'slak_ops'")
        assert "(did you mean 'slack_ops'?); if it exists only on other machines, give --allow" in refused.err

    def test_a_connection_that_is_not_a_channel_is_refused(self, jobmon, job_on):
        refused = jobmon("jobs", "apply", job_on("jobmon_default"), "--dry-run")
        assert refused.code == 1
        assert (
            "job 'load': channels: connection 'jobmon_default' has type 'postgres', which is not a channel"
            in refused.err
        )

    def test_a_connection_and_a_notifier_of_a_dag_are_accepted(self, jobmon, conn, job_on, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_PAGER", '{"conn_type": "http", "host": "http://127.0.0.1:9"}')
        assert jobmon("jobs", "apply", job_on("pager")).code == 0
        assert jobmon("jobs", "apply", job_on("on_call")).code == 1
        conn.execute("INSERT INTO airflow_jobmon.channels (name, notifier_seen_at) VALUES ('on_call', now())")
        assert jobmon("jobs", "apply", job_on("on_call")).code == 0

    def test_an_unknown_channel_is_accepted_on_request(self, jobmon, job_on):
        assert jobmon("jobs", "apply", job_on("elsewhere"), "--allow-unknown-channels").code == 0
        assert listed(jobmon)["load"]["channels"] == ["elsewhere"]
