"""The plan of an end-to-end drill: the test data, how to call the job, and the expected result."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from airflow_jobmon.core.jobs.field_types import Duration
from airflow_jobmon.errors import ConfigurationError


class EndToEndPlan(BaseModel):
    """How to test a job from end to end.

    The first row that the last statement of `setup_sql` returns is available by column name to `trigger_sql`,
    `check_sql` and `cleanup_sql`, as `%(id)s`; `%(job_name)s` is always available. Write a literal `%` as `%%`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    setup_sql: str | None = Field(default=None, description="Creates the test data, in one transaction.")
    trigger_sql: str | None = Field(default=None, description="Runs the job, like `CALL my_job()`.")
    http_conn_id: str | None = Field(default=None, description="Connection (type http) to call the job with.")
    endpoint: str = Field(default="", description="Path after the connection's host.")
    method: str = "POST"
    headers: dict[str, str] = Field(default_factory=dict)
    data: Any = Field(default=None, description="Body: text is sent unchanged, anything else as JSON.")
    check_sql: str | None = Field(default=None, description="Returns one value, compared with `expected` as text.")
    expected: str | None = None
    min_records: int | None = Field(default=1, ge=0, description="Records the run must have updated.")
    cleanup_sql: str | None = Field(default=None, description="Removes the test data; always runs.")
    timeout: Duration = Field(default=timedelta(minutes=10), description="How long the run may take to be logged.")

    @field_validator("method")
    @classmethod
    def _method_is_known(cls, value: str) -> str:
        if value.upper() not in {"GET", "POST", "PUT", "PATCH"}:
            raise ValueError(f"method {value[:20]!r} cannot call a job; use POST, PUT, PATCH or GET")
        return value.upper()

    @field_validator("expected", mode="before")
    @classmethod
    def _expected_is_text(cls, value: Any) -> Any:
        return as_text(value) if isinstance(value, (bool, int, float)) else value

    @field_validator("timeout")
    @classmethod
    def _timeout_is_bounded(cls, value: timedelta) -> timedelta:
        if not timedelta(0) < value <= timedelta(days=1):
            raise ValueError("timeout must be more than 0s and at most 1d; write it like 90s or 10m")
        return value

    @model_validator(mode="after")
    def _plan_is_complete(self) -> EndToEndPlan:
        if (self.trigger_sql is None) == (self.http_conn_id is None):
            raise ValueError("give either trigger_sql or http_conn_id, to call the job with")
        if self.http_conn_id is None and {"endpoint", "method", "headers", "data"} & self.model_fields_set:
            raise ValueError("endpoint, method, headers and data are for a call by HTTP; give http_conn_id")
        if (self.check_sql is None) != (self.expected is None):
            raise ValueError("check_sql and expected go together; give both or neither")
        if self.setup_sql is not None and self.cleanup_sql is None:
            raise ValueError("setup_sql creates test data that nothing removes; give cleanup_sql")
        return self


def as_text(value: Any) -> str:
    """A value as it is compared; true and false are in lower case, as in SQL and YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_plan(fields: Any, *, source: str) -> EndToEndPlan:
    """Read a plan from a mapping. Raises ConfigurationError with every mistake, each with `source` in front."""
    if not isinstance(fields, dict):
        raise ConfigurationError(f"{source}: a plan is a mapping of {', '.join(EndToEndPlan.model_fields)}")
    try:
        return EndToEndPlan.model_validate(fields)
    except ValidationError as error:
        raise ConfigurationError(
            "; ".join(_explain(source, dict(found)) for found in error.errors(include_url=False))
        ) from None


def _explain(source: str, found: dict[str, Any]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    field = ".".join(str(part) for part in found["loc"])
    message = str(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        near = get_close_matches(field, EndToEndPlan.model_fields, n=1)
        message = "no such field" + (f"; did you mean {near[0]!r}?" if near else "")
    elif found["type"] != "value_error":
        message = f"{message} (got {str(found.get('input'))[:60]!r})"
    return f"{source}: {field + ': ' if field else ''}{message}"
