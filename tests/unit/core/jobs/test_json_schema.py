"""The JSON Schema for editors: the copy in docs/ is current, and documented files fit it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from airflow_jobmon.core.jobs.json_schema import jobs_schema
from airflow_jobmon.core.jobs.monitored_job import MonitoredJob, read_job
from airflow_jobmon.errors import ConfigurationError
from tests.support.job_strategies import monitored_jobs

ROOT = Path(__file__).parents[4]
VALIDATOR = Draft202012Validator(jobs_schema())


def mistakes(content: Any) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(content)]


_JOBS = r"^    jobs:\n(?: *(?:#.*)?\n)* *- "
"""A list of jobs, which the workflow of a CI service has not under that key."""


def written_down() -> list[Any]:
    """Every example of a registry in the documentation, and the demo's."""
    found = [pytest.param((ROOT / "demo" / "jobs.yaml").read_text(), id="demo/jobs.yaml")]
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        blocks = re.findall(r"(?:^    .*\n|^\n)+", page.read_text(), re.MULTILINE)
        for number, block in enumerate(block for block in blocks if re.search(_JOBS, block, re.MULTILINE)):
            found.append(pytest.param(re.sub(r"^    ", "", block, flags=re.MULTILINE), id=f"{page.name} {number}"))
    return found


def test_the_schema_is_valid():
    Draft202012Validator.check_schema(jobs_schema())


def test_the_copy_in_the_documentation_is_current():
    assert json.loads((ROOT / "docs" / "jobs.schema.json").read_text()) == jobs_schema(), (
        "run: airflow jobmon jobs schema > docs/jobs.schema.json"
    )


@pytest.mark.parametrize("text", written_down())
def test_documented_files_fit_the_schema_and_the_model(text):
    content = yaml.safe_load(text)
    assert mistakes(content) == []
    assert [read_job(job).name for job in content["jobs"]]


def test_the_documentation_has_examples():
    assert len(written_down()) >= 4


@given(monitored_jobs())
def test_every_job_fits_the_schema_as_it_is_exported(job):
    assert mistakes({"jobs": [job.model_dump(mode="json", exclude_unset=True)]}) == []


_DURATIONS = st.text("0123456789.smhdwMSHDWPTpt -", max_size=8) | st.from_regex(
    r"\d{1,2}(ms|s|m|h|d|w|M)", fullmatch=True
)


@given(_DURATIONS)
def test_the_schema_accepts_the_durations_that_we_parse(text):
    try:
        read_job({"name": "load", "grace": text})
        read = True
    except ConfigurationError as error:
        read = "longer than ten years" in str(error)
    assert (mistakes({"jobs": [{"name": "load", "grace": text}]}) == []) == read


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({}, id="no name"),
        pytest.param({"name": "a", "gracee": "1h"}, id="an unknown field"),
        pytest.param({"name": "a", "grace": 60}, id="a duration without a unit"),
        pytest.param({"name": "a", "grace": "-1h"}, id="a negative duration"),
        pytest.param({"name": "a", "every": "1h", "schedule": "0 2 * * *"}, id="a schedule and an interval"),
        pytest.param({"name": "a", "min_success_rate": 101}, id="over a hundred"),
        pytest.param({"name": "a", "tags": "billing"}, id="text for a list"),
        pytest.param({"name": "a\nb"}, id="two lines"),
        pytest.param({"name": "a", "runbook_url": "javascript:alert(1)"}, id="no link"),
    ],
)
def test_an_editor_shows_a_mistake_where_apply_would_refuse(entry):
    assert mistakes({"jobs": [entry]})
    with pytest.raises(ConfigurationError):
        read_job(entry)


@pytest.mark.parametrize("field", MonitoredJob.model_fields)
def test_every_field_is_described(field):
    described = jobs_schema()["$defs"]["job"]["properties"][field]
    assert described["description"]
    assert "title" not in described
