"""What a message says, in words; how a sink lays it out, escapes it and cuts it is the channel's matter.

Text that is returned is safe to show (secrets masked, nothing invisible) but not escaped for any sink.
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
"""Jobs that a batch names at least, before `and N more`."""

MOST_LINES = 200
"""Nobody reads more in an email."""

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
"""Kinds as they follow a number of jobs, worst first: `212 jobs failed`."""

_LONGEST_NAME = 500


def name_of(alert: Alert) -> str:
    return fit(one_line(alert.job_name, 4 * _LONGEST_NAME), _LONGEST_NAME) or "(no name)"


def is_good_news(alert: Alert) -> bool:
    """Nobody has to do anything: it is over, or it never was a problem."""
    return alert.event is AlertEvent.RESOLVED or alert.recovered or alert.severity is Health.OK


def mark_of(alerts: Sequence[Alert]) -> str:
    """The emoji a title starts with: that of the worst among them."""
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
    """`ALERT: Job Failed - NAME`, in plain words and on one line; a batch as its title says it."""
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
    """How many jobs, and in what state; a job with two alerts counts once in each state."""
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
    """What is wrong in a sentence or two, with what this alert is where that changes its meaning."""
    said = _as_sentence(one_line(alert.message), alert.job_name)
    if alert.event is AlertEvent.TEST:
        said = f"This is a test, no real problem. {said}"
    elif alert.event is AlertEvent.REPEATED and not said.lower().startswith("still"):
        said = f"This is still so. {said}"
    elif alert.recovered and "recovered" not in said.lower():
        said = f"It failed and has recovered since. {said}"
    return said


def _as_sentence(said: str, job_name: str) -> str:
    """With a capital where it starts with a word, which a job's name is not."""
    first = said.partition(" ")[0]
    return said[:1].upper() + said[1:] if first.isalpha() and first != job_name.partition(" ")[0] else said


def error_of(alert: Alert) -> str:
    """The job's own error, over several lines if it has them; empty where there is none."""
    return paragraph(alert.error) if alert.error else ""


def gist_of(error: str) -> str:
    """The line of an error that says most: a traceback's last, else the first."""
    lines = [line.strip() for line in error.split("\n") if line.strip()] or [""]
    return lines[-1 if lines[0].startswith("Traceback (most recent call last)") else 0]


def facts_of(alert: Alert) -> list[tuple[str, str]]:
    """What is known besides name, error and time: (label, value), each on one line, none empty."""
    return [
        (label, value)
        for label, value in ((one_line(label), one_line(value)) for label, value in alert.facts[:12])
        if label and value
    ]


def moment(at: datetime) -> str:
    """UTC, ISO 8601, to the second."""
    return iso(at.replace(microsecond=0))


def links_of(alert: Alert) -> list[tuple[str, str]]:
    """The buttons: (label, URL), only those that lead somewhere by http or https."""
    links = [("View Logs", alert.logs_url), ("Runbook", alert.runbook_url)]
    return [(label, url) for label, url in links if url and is_link(url)]


def is_link(url: str) -> bool:
    """Whether a sink may be given this as a link: http or https with a host, printable, without quotes or blanks."""
    if len(url) > 2000 or not url.isprintable() or any(char in url for char in " \"'<>\\`|"):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One job in a batch: its mark, its name, and what is to be said of it, in the order it happened."""

    mark: str
    name: str
    said: str
    link: str | None


def batch_lines(alerts: Sequence[Alert], most: int) -> tuple[list[BatchLine], int]:
    """One line per job, at most `most` of them, and how many jobs there are.

    Those that need somebody come first, since what does not fit is at the end.
    """
    by_job: dict[str, list[Alert]] = {}
    for alert in alerts:
        by_job.setdefault(alert.job_name, []).append(alert)
    ordered = sorted(by_job.values(), key=lambda told: min(_badness(alert) for alert in told))
    return [_batch_line(told) for told in ordered[:most]], len(ordered)


def _batch_line(told: Sequence[Alert]) -> BatchLine:
    newest = told[-1]
    said = "; ".join(_phrase(alert) for alert in told[-4:])
    link = next((url for _, url in links_of(newest)), None)
    return BatchLine(mark_of([newest]), name_of(newest), said, link)


def _phrase(alert: Alert) -> str:
    resolved = alert.event is AlertEvent.RESOLVED  # its message says how long it lasted, its error is old
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
    """The whole message as plain text, for an email's text part and for readers of JSON."""
    if len(alerts) > 1:
        lines, jobs = batch_lines(alerts, MOST_LINES)
        shown = [f"{line.mark} {fit(line.name, 120)} - {fit(line.said, 200)}" for line in lines]
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
