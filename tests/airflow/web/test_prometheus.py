"""The metrics for Prometheus, parsed by the strict parsers of its own client and by promtool."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob
from airflow_jobmon.core.rendering.prometheus_text import Family, label_set, wants_openmetrics, write_metrics
from airflow_jobmon.monitoring.checks import check_and_record
from airflow_jobmon.postgres.registry import apply_jobs
from airflow_jobmon.settings import Settings
from tests.support.database_rows import add_alert
from tests.support.hostile_alerts import NASTY
from tests.support.logged_runs import log_run

_OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
DOCUMENTED = (Path(__file__).parents[3] / "docs" / "prometheus.md").read_text()
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"}


@pytest.fixture
def scrape(client, jobmon_default):
    made, headers = client

    def ask(accept: dict[str, str] | None = None) -> Any:
        return made.get("/jobmon/metrics", headers={**headers, **(accept or {})})

    return ask


def samples(text: str) -> dict[tuple[str, str | None], float]:
    """Samples by metric and job; the newest wins."""
    return {
        (sample.name, sample.labels.get("job_name")): sample.value
        for family in parse_classic(text)
        for sample in family.samples
    }


def test_a_job_is_shown_with_all_its_figures(scrape, conn):
    started = datetime.now(UTC) - timedelta(hours=1)
    log_run(conn, "load", started_at=started - timedelta(hours=1), seconds=12, records_updated=7)
    log_run(conn, "load", "failed", started, seconds=30)
    add_alert(conn, "load", "mail")
    check_and_record(conn, Settings())
    shown = samples(scrape().text)
    assert shown["jobmon_job_health", "load"] == 3
    assert shown["jobmon_job_last_run_timestamp_seconds", "load"] == pytest.approx(started.timestamp(), abs=0.001)
    assert shown["jobmon_job_last_success_timestamp_seconds", "load"] == pytest.approx(
        started.timestamp() - 3600, abs=0.001
    )
    assert shown["jobmon_job_last_run_duration_seconds", "load"] == 30
    assert shown["jobmon_job_success_ratio", "load"] == 0.5
    assert shown["jobmon_job_consecutive_failures", "load"] == 1
    assert shown["jobmon_job_duration_median_seconds", "load"] == 12
    assert shown["jobmon_open_incidents", "load"] == 1
    assert shown["jobmon_deliveries", None] == 1
    assert shown["jobmon_watchers", None] == 0
    assert shown["jobmon_check_age_seconds", None] < 60


def test_a_job_has_the_documented_number_of_series(scrape, conn):
    apply_jobs(conn, [MonitoredJob(name="load")], source="file:x")
    log_run(conn, "load", seconds=12, records_updated=7)
    check_and_record(conn, Settings())
    series = [one for family in parse_classic(scrape().text) for one in family.samples if "job_name" in one.labels]
    assert len(series) == 12
    assert "up to\ntwelve series per job" in DOCUMENTED


def test_an_empty_database_can_be_scraped(scrape, conn):
    assert samples(scrape().text)["jobmon_watchers", None] == 0
    assert scrape(OPENMETRICS).text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        pytest.param(None, "text/plain; version=0.0.4; charset=utf-8", parse_classic, id="classic"),
        pytest.param(
            OPENMETRICS,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            parse_openmetrics,
            id="OpenMetrics",
        ),
    ],
)
def test_hostile_names_come_back_as_they_are(scrape, conn, accept, content_type, parse):
    names = [name for name in NASTY if "\x00" not in name and "\ud800" not in name]
    for name in names:
        log_run(conn, name)
    check_and_record(conn, Settings())
    answer = scrape(accept)
    assert answer.headers["content-type"] == content_type
    health = next(family for family in parse(answer.text) if family.name == "jobmon_job_health")
    assert sorted(sample.labels["job_name"] for sample in health.samples) == sorted(names)


@given(st.lists(st.tuples(st.text(max_size=8), st.floats()), max_size=5, unique_by=lambda pair: _encoded(pair[0])))
def test_any_label_value_is_parsed_back(pairs):
    family = Family(
        "jobmon_x_seconds", "What it is.", [(label_set({"a": text}), value) for text, value in pairs], "seconds"
    )
    for openmetrics, parse in ((False, parse_classic), (True, parse_openmetrics)):
        text = write_metrics([family], openmetrics=openmetrics)
        read = [(one.labels["a"], one.value) for found in parse(text) for one in found.samples]
        assert repr(read) == repr([(_encoded(given), value) for given, value in pairs])  # NaN is not equal to itself


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param(math.inf, "+Inf", id="infinite"),
        pytest.param(-math.inf, "-Inf", id="infinite and negative"),
        pytest.param(math.nan, "NaN", id="no number"),
        pytest.param(1.5, "1.5", id="a fraction"),
        pytest.param(3, "3", id="a count"),
    ],
)
def test_values_are_written_as_both_formats_spell_them(value, written):
    for openmetrics in (False, True):
        assert f"jobmon_x {written}\n" in write_metrics(
            [Family("jobmon_x", "What it is.", [("", value)])], openmetrics=openmetrics
        )


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        pytest.param("", False, id="nothing"),
        pytest.param("*/*", False, id="anything"),
        pytest.param("application/*", False, id="anything of the kind"),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            True,
            id="Prometheus 2",
        ),
        pytest.param(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
            "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            True,
            id="Prometheus 3",
        ),
        pytest.param("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False, id="Prometheus configured for text"),
        pytest.param("Application/OpenMetrics-Text; Version=1.0.0", True, id="in capitals"),
        pytest.param('application/openmetrics-text; version="1.0.0"', True, id="a quoted version"),
        pytest.param("application/openmetrics-text", True, id="any version"),
        pytest.param("application/openmetrics-text; version=2.0.0", False, id="a version that is not written"),
        pytest.param("application/openmetrics-text; q=0", False, id="refused"),
        pytest.param("application/openmetrics-text; q=0.000, */*", False, id="refused in three digits"),
        pytest.param("application/openmetrics-text;q=0.2, text/plain;q=0.3", False, id="liked less"),
        pytest.param("application/openmetrics-text;q=0.2, */*;q=0.3", False, id="liked less than anything else"),
        pytest.param("text/plain, application/openmetrics-text", True, id="liked as well"),
        pytest.param("application/openmetrics-text;q=0.2, text/plain;q=0", True, id="text refused"),
        pytest.param("application/openmetrics-text;q=high, text/plain;q=0.9", True, id="a weight that is none"),
        pytest.param("application/openmetrics-text;q=nan, text/plain;q=1", True, id="a weight that is no number"),
        pytest.param("text/html;note=application/openmetrics-text", False, id="named in another's parameter"),
        pytest.param("application/openmetrics-textual", False, id="another type that begins alike"),
    ],
)
def test_openmetrics_is_written_if_accept_prefers_it(accept, wanted):
    assert wants_openmetrics(accept) is wanted


_WORDS = st.sampled_from(
    ["application/openmetrics-text", "text/plain", "*/*", ";", ",", "=", "q", "version", '"', "0.5"]
)


@given(st.one_of(st.text(), st.lists(_WORDS).map("".join)))
def test_any_accept_header_is_understood(accept):
    assert wants_openmetrics(accept) in {True, False}


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_the_preferred_of_the_two_formats_is_written(of_openmetrics, of_text):
    accept = f"application/openmetrics-text;q={of_openmetrics / 1000}, text/plain;q={of_text / 1000}"
    assert wants_openmetrics(accept) is (of_openmetrics > 0 and of_openmetrics >= of_text)
    assert wants_openmetrics(", ".join(reversed(accept.split(", ")))) is wants_openmetrics(accept)


def _encoded(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def test_no_label_is_called_job(scrape, conn):
    log_run(conn, "load")
    check_and_record(conn, Settings())
    assert 'job="' not in scrape().text.replace('job_name="', "")


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.fail("there is no promtool; run: make extras")
    return found


def test_promtool_finds_no_problem(scrape, conn, promtool):
    log_run(conn, "load", records_updated=3)
    log_run(conn, "broken", "failed")
    add_alert(conn, "load", "mail")
    conn.execute("UPDATE airflow_jobmon.deliveries SET state = 'sent', sent_at = now()")
    check_and_record(conn, Settings())
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=scrape().text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), json.dumps(checked.stderr)
