"""What Airflow's provider discovery reads; imported by every Airflow process, so it imports nothing of ours.

A mistake in it breaks provider discovery for every provider of the installation: it is tested against Airflow's schema.
"""

from __future__ import annotations

from typing import Any

INTEGRATION = "Jobmon"


def get_provider_info() -> dict[str, Any]:
    return {
        "package-name": "airflow-provider-jobmon",
        "name": INTEGRATION,
        "description": "Watches jobs that run outside Airflow and log a row per run in a Postgres table.",
        "integrations": [{"integration-name": INTEGRATION, "tags": ["service"]}],
        "operators": _modules("airflow_jobmon.operators"),
        "sensors": _modules("airflow_jobmon.sensors"),
        "hooks": _modules("airflow_jobmon.hooks"),
        "triggers": _modules("airflow_jobmon.triggers"),
        "notifications": [
            "airflow_jobmon.notifiers.JobSlackNotifier",
            "airflow_jobmon.notifiers.JobEmailNotifier",
            "airflow_jobmon.notifiers.JobResendNotifier",
            "airflow_jobmon.notifiers.JobWebhookNotifier",
        ],
        "extra-links": ["airflow_jobmon.links.JobPageLink"],
        "asset-uris": [{"schemes": ["x-jobmon"], "handler": None}],
        "connection-types": [_resend()],
        "cli": ["airflow_jobmon.cli.definition.get_jobmon_commands"],
        "config": {"jobmon": {"description": _SECTION, "options": _options()}},
    }


def _modules(*modules: str) -> list[dict[str, Any]]:
    return [{"integration-name": INTEGRATION, "python-modules": list(modules)}]


def _resend() -> dict[str, Any]:
    """The connection form of Resend; what `to` and `from_email` hold is stored in the connection's extra."""
    return {
        "connection-type": "resend",
        "hook-class-name": "airflow_jobmon.hooks.ResendHook",
        "hook-name": "Resend",
        "ui-field-behaviour": {
            "hidden-fields": ["login", "port", "schema", "extra"],
            "relabeling": {"password": "API key", "host": "API address"},
            "placeholders": {
                "password": "re_...",
                "host": "empty for https://api.resend.com",
                "to": "oncall@example.com, team@example.com",
                "from_email": "Jobs <alerts@example.com>",
            },
        },
        "conn-fields": {
            "to": {
                "label": "To",
                "schema": {"type": ["string", "null"]},
                "description": "Who gets the alerts; several addresses are separated by commas.",
            },
            "from_email": {
                "label": "From",
                "schema": {"type": ["string", "null"]},
                "description": "The sender; its domain must be verified at Resend.",
            },
        },
    }


_SECTION = "Monitoring of jobs that run outside Airflow and log each run in a Postgres table."


def _options() -> dict[str, dict[str, Any]]:
    return {
        "conn_id": _option(
            "The connection (type postgres) to the database that holds the job log.",
            default="jobmon_default",
        ),
        "jobs_log_table": _option(
            "The table that has one row per run, as schema.table. Read by `airflow jobmon migrate`.",
            default="public.jobs_log",
        ),
        "jobs_log_columns": _option(
            "Where the table's columns have other names: ours=theirs, comma-separated, or a JSON object. Ours are id, "
            "job_name, started_at, completed_at, records_updated, status and error_message. Read by "
            "`airflow jobmon migrate`.",
            example="job_name=name, started_at=start_time",
        ),
        "status_words": _option(
            "Where the log has other words for running, success and failed: ours=theirs, comma-separated, several "
            "words joined by |, or a JSON object. Read by `airflow jobmon migrate`.",
            example="failed=error|aborted, success=ok",
        ),
        "channels": _option(
            "Where alerts go: comma-separated connection ids. The connection's type picks the kind of channel: "
            "slackwebhook, slack, smtp, resend or http.",
            example="slack_oncall, smtp_team",
        ),
        "unregistered_jobs": _option(
            "What to do about jobs in the log that nobody registered: learn (failures and stuck runs alert at once; "
            "missed, slow and low success rate are judged for registered jobs only, for now), defaults (as a job "
            "registered with nothing but its name) or ignore.",
            default="learn",
        ),
        "sweep_interval": _option(
            "How often watchers look for missed and stuck runs, and for anything that no notification told them.",
            default="30s",
        ),
        "realert_interval": _option(
            "After how long a critical problem that stays open is told again.",
            default="24h",
        ),
        "api_token": _option(
            "A bearer token by which machines read the data routes under /jobmon; without one they have no access.",
            sensitive=True,
        ),
        "heartbeat_conn_id": _option(
            "Reserved, not used yet: a connection (type http) for watchers to call while all is well, so that an "
            "outside monitor notices when they stop.",
            example="jobmon_heartbeat",
        ),
    }


def _option(
    description: str, *, default: str | None = None, example: str | None = None, sensitive: bool = False
) -> dict[str, Any]:
    return {
        "description": description,
        "version_added": "0.1.0",
        "type": "string",
        "example": example,
        "default": default,
        "sensitive": sensitive,
    }
