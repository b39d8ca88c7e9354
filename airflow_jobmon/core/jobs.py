"""What a team expects of a job: the registry entry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
    model_validator,
)

from airflow_jobmon.core.schedule import (
    check_cron,
    check_zone,
    first_slot_after,
    latest_slot_at_or_before,
    smallest_gap,
)
from airflow_jobmon.core.times import format_duration, parse_duration
from airflow_jobmon.errors import ConfigurationError

_LONGEST = timedelta(days=3660)
"""A deadline further off would leave the calendar, and is a slip of the pen."""


def _read_duration(value: Any) -> Any:
    """Text is read here, with our own message; pydantic would take a bare number as seconds, which is a guess."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
    raise ValueError(f"{value!r} is no duration; write it like 90s, 1h or 2d")


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError(f"{format_duration(value)} is not a positive duration; write it like 90s, 1h or 2d")
    return _bounded(value)


def _not_negative(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError(f"{format_duration(value)} is negative; write 0s or more")
    return _bounded(value)


def _bounded(value: timedelta) -> timedelta:
    if value > _LONGEST:
        raise ValueError(f"{format_duration(value)} is longer than ten years; write it like 90s, 1h or 2d")
    return value


_Read = BeforeValidator(_read_duration)
_Written = PlainSerializer(format_duration, return_type=str)
Duration = Annotated[timedelta, _Read, _Written]


class MonitoredJob(BaseModel):
    """What we expect of one job. Durations are timedeltas or text such as `90s`, `1h`, `2d`, `PT1H`.

    Give either `schedule` (cron, read in `timezone`) or `every`; neither means every 24 h.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="The job_name its runs are logged under.")
    schedule: str | None = Field(default=None, description="Cron expression of when a run should start.")
    timezone: str = Field(default="UTC", description="IANA zone the schedule is read in.")
    every: Duration = Field(default=timedelta(hours=24), description="Time between starts where there is no schedule.")
    grace: Duration = Field(default=timedelta(hours=1), description="How much later than expected is not yet missed.")
    early: Duration = Field(
        default=timedelta(minutes=5), description="A run that starts this much before a slot counts for that slot."
    )
    timeout: Duration = Field(default=timedelta(hours=1), description="Running longer than this is stuck.")
    max_duration: Duration = Field(default=timedelta(seconds=60), description="A success that took longer is slow.")
    min_success_rate: float = Field(default=95.0, ge=0, le=100, description="Percent; below is a warning.")
    target_success_rate: float = Field(
        default=98.0, ge=0, le=100, description="Reserved, not used yet: percent for reports to compare with."
    )
    window_days: int = Field(default=30, ge=1, le=400, description="Days over which the success rate is taken.")
    failures_to_alert: int = Field(default=1, ge=1, description="Failures in a row before failed is critical.")
    zero_records_days: int = Field(
        default=3, ge=0, description="Reserved, not used yet: days without a record before it is a finding; 0 = off."
    )
    realert_interval: Duration | None = Field(default=None, description="Beats [jobmon] realert_interval.")
    channels: tuple[str, ...] | None = Field(default=None, description="Beats [jobmon] channels.")
    tags: tuple[str, ...] = Field(default=(), description="Free words to group jobs by.")
    owner: str | None = None
    logs_url: str | None = Field(default=None, description="Where View Logs leads; default is the job's own page.")
    runbook_url: str | None = None
    enabled: bool = True

    @field_validator("every", "timeout", "max_duration", "realert_interval")
    @classmethod
    def _durations_are_positive(cls, value: timedelta | None) -> timedelta | None:
        return None if value is None else _positive(value)

    @field_validator("grace", "early")
    @classmethod
    def _durations_are_not_negative(cls, value: timedelta) -> timedelta:
        return _not_negative(value)

    @field_validator("tags", mode="after")
    @classmethod
    def _tags_are_sorted(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))

    @field_validator("logs_url", "runbook_url")
    @classmethod
    def _urls_are_http(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError(f"{value[:80]!r} is no link; it must start with https:// or http://")
        return value

    @model_validator(mode="after")
    def _schedule_is_possible(self) -> MonitoredJob:
        check_zone(self.timezone)
        if self.schedule is not None:
            if "every" in self.model_fields_set:
                raise ValueError("schedule and every are both set; keep the one that is meant")
            check_cron(self.schedule)
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def earliness(self) -> timedelta:
        """`early`, held to half the gap between slots, so that a run never counts for two of them."""
        gap = self.every if self.schedule is None else smallest_gap(self.schedule, self.timezone)
        return min(self.early, gap / 2)

    def expected_after(self, last_start: datetime) -> datetime:
        """When the next run should start, in UTC, given the start of the last one."""
        if self.schedule is None:
            return last_start.astimezone(UTC) + self.every
        return first_slot_after(self.schedule, self.timezone, last_start + self.earliness)

    def due_after(self, last_start: datetime) -> datetime:
        """The moment after which the next run counts as missed, in UTC, grace included.

        Slots are reckoned in the job's zone; grace is added in UTC, so a clock change never shortens it.
        """
        return self.expected_after(last_start) + self.grace

    def latest_slot(self, at: datetime) -> datetime:
        """The newest slot at or before `at`, in UTC; without a schedule, `at - every`."""
        if self.schedule is None:
            return at.astimezone(UTC) - self.every
        return latest_slot_at_or_before(self.schedule, self.timezone, at)


def read_job(fields: dict[str, Any]) -> MonitoredJob:
    """A MonitoredJob from a plain mapping.

    Raises ConfigurationError with every mistake in it: the job, the field, what is wrong, and what was meant.
    """
    try:
        return MonitoredJob.model_validate(fields)
    except ValidationError as error:
        name = fields.get("name") or "(no name)"
        raise ConfigurationError(
            "; ".join(_explain(str(name)[:100], dict(found)) for found in error.errors(include_url=False))
        ) from None


def _explain(name: str, found: dict[str, Any]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    field = ".".join(str(part) for part in found["loc"])
    message = str(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        near = get_close_matches(field, MonitoredJob.model_fields, n=1)
        message = "no such field" + (f"; did you mean {near[0]!r}?" if near else "")
    elif not message.endswith(("2d", "more")) and found["type"] != "value_error":
        message = f"{message} (got {str(found.get('input'))[:60]!r})"
    return f"job {name!r}: {field + ': ' if field else ''}{message}"
