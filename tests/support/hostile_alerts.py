"""Alerts as a hostile or unlucky job would make them, for properties over every sink."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import strategies as st

from airflow_jobmon.core.model.alerts import KIND_TITLES, Alert, AlertEvent
from airflow_jobmon.core.model.health import Health

_WITHOUT_SECRETS = [
    "<!channel>",
    "<!here|here>",
    "<@U012345>",
    "<!subteam^S1>",
    "@here",
    "@channel",
    "@EVERYONE",
    "<https://evil.example|click>",
    "```",
    "`",
    "*_~",
    ":boom:",
    "<script>alert(1)</script>",
    "</pre></td></table><img src=x onerror=alert(1)>",
    '"><a href="javascript:alert(1)">',
    "{{ 7*7 }}",
    "{% raw %}",
    "\r\nBcc: victim@example.com\r\n\r\n",
    "\n.\n",
    "\x00",
    "\x1b[31m",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u2028",
    "\x85",
    "\ud800",
    "\U000e0041",
    "=?utf-8?q?x?=",
    "e\u0301" * 5,
    "\U0001f469\u200d\U0001f4bb",
    "&amp;",
    "&",
    "&#60;",
    "x" * 300,
    "<" * 300,
    "\U0001f6a8" * 200,
]

_WITH_SECRETS = ["postgres://app:hunter2@db/prod", "https://x.example/?token=hunter2&a=1"]
"""A job may log these; no message may repeat them."""

NASTY = [*_WITHOUT_SECRETS, *_WITH_SECRETS]


def _texts_of(pieces: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.one_of(st.sampled_from(pieces), st.text(max_size=20)), min_size=1, max_size=4).map("".join)


texts = _texts_of(NASTY)
long_texts = st.builds(lambda text, times: text * times, texts, st.sampled_from([1, 1, 1, 100]))
_link_texts = _texts_of(_WITHOUT_SECRETS)
links = st.one_of(
    st.none(), st.just("https://wiki.example.com/runbook"), _link_texts.map("https://x.example/".__add__), _link_texts
)
"""From the team's own configuration, so they are sent unchanged and hold no secret that a test looks for."""
moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001

alerts = st.builds(
    Alert,
    event=st.sampled_from(AlertEvent),
    kind=st.sampled_from([*KIND_TITLES, "something_new"]),
    job_name=long_texts,
    severity=st.sampled_from([Health.OK, Health.WARNING, Health.CRITICAL]),
    at=moments,
    message=long_texts,
    error=st.none() | long_texts,
    facts=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    logs_url=links,
    runbook_url=links,
    recovered=st.booleans(),
)

some_alerts = st.lists(alerts, min_size=1, max_size=3)
copies = st.sampled_from([1, 2, 40, 300])


def copied(some: list[Alert], times: int) -> list[Alert]:
    """A batch: each of `some` this many times, under different names."""
    return [replace(alert, job_name=f"{number}-{alert.job_name}") for number in range(times) for alert in some]


def an_alert(**changes: object) -> Alert:
    """The procedures' own alert, with changes."""
    alert = Alert(
        event=AlertEvent.OPENED,
        kind="failed",
        job_name="update-installment-statuses",
        severity=Health.CRITICAL,
        at=datetime(2025, 11, 13, 2, 5, tzinfo=UTC),
        message="run of 2025-11-13T02:00:00Z failed",
        error="Connection timeout after 3 retries",
        facts=(("Duration", "5 min 0 s"),),
        logs_url="https://airflow.example.com/jobmon/",
        runbook_url="https://wiki.example.com/runbook",
    )
    return replace(alert, **changes)  # type: ignore[arg-type]
