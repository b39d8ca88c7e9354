"""The words of an alert message; each channel lays them out, escapes and cuts them for its own sink.

Returned text is safe to show (secrets masked, nothing invisible) but not escaped for any sink.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from airflow_jobmon.core.model.alerts import Alert, AlertEvent
from airflow_jobmon.core.model.health import Health
from airflow_jobmon.core.text import fit, one_line, paragraph
from airflow_jobmon.core.times import iso

CRITICAL_MARK, WARNING_MARK, GOOD_MARK = "🚨", "⚠️", "✅"

LEAST_LINES = 150
"""A batch names at least this many jobs before `and N more`."""

MOST_LINES = 200
"""Lines of a batch in an email; more would not be read."""

STATES = {
    "failed": "failed",
    "missed": "missed",
    "stuck": "stuck",
    "deadline": "past a deadline",
    "undelivered": "not delivered",
    "low_success_rate": "with a low success rate",
    "slow": "slow",
    "late": "late",
    "retrying": "retrying",
    "succeeded": "succeeded",
}
"""Kinds in words that follow a number of jobs, worst first: `212 jobs failed`."""

_LONGEST_NAME = 500


def name_of(alert: Alert) -> str:
    return fit(one_line(alert.job_name, 4 * _LONGEST_NAME), _LONGEST_NAME) or "(no name)"


def is_good_news(alert: Alert) -> bool:
    """Whether nothing needs to be done: the problem is over, or there was none."""
    return alert.event is AlertEvent.RESOLVED or alert.recovered or alert.severity is Health.OK


def mark_of(alerts: Sequence[Alert]) -> str:
    """The emoji that a title starts with: that of the worst alert."""
    bad = [alert for alert in alerts if not is_good_news(alert)]
    if not bad:
        return GOOD_MARK
    return WARNING_MARK if all(alert.severity is Health.WARNING for alert in bad) else CRITICAL_MARK


def title(alerts: Sequence[Alert], limit: int) -> str:
    """`🚨 Job Failed: NAME`, or `🚨 212 jobs failed` for a batch, in at most `limit` characters; the name is cut."""
    mark = mark_of(alerts)
    if len(alerts) > 1:
        test = "TEST ALERT - " if _all_tests(alerts) else ""
        return fit(f"{mark} {test}{_batch_heading(alerts)}", limit)
    (alert,) = alerts
    start = f"{mark} {_title_prefix(alert)}{_heading(alert)}: "
    return start + fit(name_of(alert), limit - len(start))


def subject(alerts: Sequence[Alert], limit: int) -> str:
    """`ALERT: Job Failed - NAME`, on one line; for a batch, the heading of its title."""
    if len(alerts) > 1:
        return fit(f"{_subject_prefix(alerts)}: {_batch_heading(alerts)}", limit)
    (alert,) = alerts
    start = f"{_subject_prefix(alerts)}: {_heading(alert)} - "
    return start + fit(name_of(alert), limit - len(start))


def _heading(alert: Alert) -> str:
    words = fit(one_line(alert.kind_title), 60)
    if alert.recovered:
        return f"{words} and Recovered"
    return f"{words} (still)" if alert.event is AlertEvent.REPEATED else words


def _title_prefix(alert: Alert) -> str:
    return {AlertEvent.TEST: "TEST ALERT - ", AlertEvent.RESOLVED: "Resolved: "}.get(alert.event, "")


def _subject_prefix(alerts: Sequence[Alert]) -> str:
    if _all_tests(alerts):
        return "TEST ALERT"
    if all(alert.severity is Health.OK and alert.event is not AlertEvent.RESOLVED for alert in alerts):
        return "OK"
    return "RESOLVED" if all(is_good_news(alert) for alert in alerts) else "ALERT"


def _all_tests(alerts: Sequence[Alert]) -> bool:
    return all(alert.event is AlertEvent.TEST for alert in alerts)


def _batch_heading(alerts: Sequence[Alert]) -> str:
    """How many jobs are in which state; a job with two alerts counts once in each state."""
    jobs = {alert.job_name for alert in alerts}
    states: dict[str, set[str]] = {}
    only_tests = _all_tests(alerts)
    for alert in sorted(alerts, key=_badness):
        states.setdefault(_state(alert, only_tests=only_tests), set()).add(alert.job_name)
    if len(jobs) == 1:
        return f"{fit(name_of(alerts[0]), 80)}: {', '.join(states)}"
    if len(states) == 1:
        return f"{len(jobs)} jobs {next(iter(states))}"
    return f"{len(jobs)} jobs: " + ", ".join(f"{len(names)} {state}" for state, names in states.items())


def _state(alert: Alert, *, only_tests: bool = False) -> str:
    if alert.event is AlertEvent.RESOLVED:
        return "resolved"
    if alert.event is AlertEvent.TEST and not only_tests:
        return "tested (TEST ALERT)"
    word = STATES.get(alert.kind, one_line(alert.kind_title).lower())
    return f"{word} and recovered" if alert.recovered else word


def _badness(alert: Alert) -> tuple[bool, bool, int]:
    kinds = list(STATES)
    order = kinds.index(alert.kind) if alert.kind in STATES else len(kinds)
    return (alert.event is AlertEvent.TEST, is_good_news(alert), order)


def statement(alert: Alert) -> str:
    """What is wrong, in a sentence or two; says so if the alert is a test, a repetition or a recovery."""
    said = _as_sentence(one_line(alert.message), alert.job_name)
    if alert.event is AlertEvent.TEST:
        said = f"This is a test, not a real problem. {said}"
    elif alert.event is AlertEvent.REPEATED and not said.lower().startswith("still"):
        said = f"Not resolved yet. {said}"
    elif alert.recovered and "recovered" not in said.lower():
        said = f"It failed and has since recovered. {said}"
    return said


def _as_sentence(said: str, job_name: str) -> str:
    """Capitalize the first word unless it is the job's name."""
    first = said.partition(" ")[0]
    return said[:1].upper() + said[1:] if first.isalpha() and first != job_name.partition(" ")[0] else said


def error_of(alert: Alert) -> str:
    """The run's error, on several lines if it has them; empty if there is none."""
    return paragraph(alert.error) if alert.error else ""


def gist_of(error: str) -> str:
    """The most telling line of an error: the last line of a traceback, else the first line."""
    lines = [line.strip() for line in error.split("\n") if line.strip()] or [""]
    return lines[-1 if lines[0].startswith("Traceback (most recent call last)") else 0]


def facts_of(alert: Alert) -> list[tuple[str, str]]:
    """The facts besides name, error and time: (label, value), each on one line, none empty."""
    return [
        (label, value)
        for label, value in ((one_line(label), one_line(value)) for label, value in alert.facts[:12])
        if label and value
    ]


def moment(at: datetime) -> str:
    """UTC, ISO 8601, to the second."""
    return iso(at.replace(microsecond=0))


def links_of(alert: Alert) -> list[tuple[str, str]]:
    """The buttons: (label, URL), only those with a valid http or https link."""
    links = [("View Logs", alert.logs_url), ("Runbook", alert.runbook_url)]
    return [(label, url) for label, url in links if url and is_link(url)]


def is_link(url: str) -> bool:
    """Whether a sink may show this as a link: http or https with a host, printable, without quotes or blanks."""
    if len(url) > 2000 or not url.isprintable() or any(char in url for char in " \"'<>\\`|"):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One job in a batch: its mark, its name, and what happened to it, in order."""

    mark: str
    name: str
    text: str
    link: str | None


def batch_lines(alerts: Sequence[Alert], most: int) -> tuple[list[BatchLine], int]:
    """One line per job, at most `most` of them, and how many jobs there are.

    Jobs that need attention come first, since the lines at the end are cut.
    """
    by_job: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_job.setdefault(alert.job_name, []).append(alert)
    ordered = sorted(by_job.values(), key=lambda of_job: min(_badness(alert) for alert in of_job))
    return [_batch_line(of_job) for of_job in ordered[:most]], len(ordered)


def _batch_line(alerts: Sequence[Alert]) -> BatchLine:
    newest = alerts[-1]
    text = "; ".join(_phrase(alert) for alert in alerts[-4:])
    link = next((url for _, url in links_of(newest)), None)
    return BatchLine(mark_of([newest]), name_of(newest), text, link)


def _phrase(alert: Alert) -> str:
    resolved = alert.event is AlertEvent.RESOLVED  # its message says how long it lasted; its error is outdated
    error = "" if resolved else gist_of(error_of(alert))
    detail = fit(error or one_line(alert.message), 300)
    words = one_line(alert.kind_title).lower().removeprefix("job ")
    start = {
        AlertEvent.RESOLVED: f"resolved ({words})",
        AlertEvent.TEST: f"TEST ALERT ({words})",
        AlertEvent.REPEATED: f"still {words}",
    }.get(alert.event, f"{words} and recovered" if alert.recovered else words)
    return f"{start}: {detail}" if detail else start


def plain_text(alerts: Sequence[Alert], *, error_limit: int = 4000) -> str:
    """The whole message as plain text, for the text part of an email and for JSON."""
    if len(alerts) > 1:
        lines, jobs = batch_lines(alerts, MOST_LINES)
        shown = [f"{line.mark} {fit(line.name, 120)} - {fit(line.text, 200)}" for line in lines]
        more = jobs - len(shown)
        return "\n".join([title(alerts, 200), "", *shown, *([f"and {more} more"] if more else [])])
    (alert,) = alerts
    error = fit(error_of(alert), error_limit)
    rows = [("Job Name", name_of(alert))]
    if error and "\n" not in error:
        rows.append(("Error", error))
    rows += [("Time", moment(alert.at)), *((label, fit(value, 500)) for label, value in facts_of(alert))]
    parts = [title(alerts, 200), fit(statement(alert), 1000), "\n".join(f"{label}: {value}" for label, value in rows)]
    if "\n" in error:
        parts.append("Error:\n" + "\n".join(f"    {line}" for line in error.split("\n")))
    parts.append("\n".join(f"{label}: {url}" for label, url in links_of(alert)))
    return "\n\n".join(part for part in parts if part)
