"""A JSON Schema for editors, of the file that `jobs apply` reads."""

from __future__ import annotations

from typing import Any

from airflow_jobmon.core.jobs.monitored_job import MonitoredJob

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def jobs_schema() -> dict[str, Any]:
    """Accepts what MonitoredJob accepts, but cannot check which zones exist and which cron expressions come due."""
    return {
        "$schema": _DIALECT,
        "title": "Jobs that airflow_jobmon watches",
        "description": "A file for `airflow jobmon jobs apply`.",
        "type": "object",
        "required": ["jobs"],
        "additionalProperties": False,
        "properties": {
            "source": {
                "type": "string",
                "minLength": 1,
                "maxLength": 205,
                "description": "Who registers these jobs; by default the name of the file. --source overrides it.",
                "examples": ["billing"],
            },
            "jobs": {"type": "array", "description": "One entry for each job.", "items": {"$ref": "#/$defs/job"}},
        },
        "$defs": {"job": _job()},
    }


def _job() -> dict[str, Any]:
    """Pydantic's schema, with defaults as people write them and without titles that only repeat the names."""
    schema = MonitoredJob.model_json_schema()
    defaults = MonitoredJob(name="any").model_dump(mode="json")
    properties = {
        name: {key: value for key, value in given.items() if key not in {"title", "default"}}
        for name, given in schema["properties"].items()
    }
    for name, given in properties.items():
        if name not in schema["required"] and defaults[name] is not None:
            given["default"] = defaults[name]
    return {
        "type": "object",
        "description": "The expectations of one job: either `schedule` or `every`; neither means every 24 h.",
        "required": schema["required"],
        "additionalProperties": False,
        "not": {"required": ["schedule", "every"], "properties": {"schedule": {"type": "string"}}},
        "properties": properties,
    }
