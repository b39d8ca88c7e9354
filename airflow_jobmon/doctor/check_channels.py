"""Checks of the channels: whether each can be opened, and the outcome of its last deliveries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_jobmon.core.text import counted, fit, one_line
from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, error_text, from_error, listed, ok, warning, wrong
from airflow_jobmon.errors import JobmonError
from airflow_jobmon.runtime.connections import open_channel

_FAILING = 3
"""Temporary failures in a row after which a channel counts as wrong."""

_CONFIGURE = "name Airflow connections in [jobmon] channels, such as AIRFLOW__JOBMON__CHANNELS=slack_oncall,smtp_team"


def configured(installation: CheckedInstallation) -> Iterator[CheckResult]:
    """Whether every job has a channel."""
    known = installation.fetch_one("channel_names")
    shared = list(dict.fromkeys((*installation.settings.channels, *known.notifiers)))
    if shared:
        yield ok(f"alerts go to {listed(shared, 10)}")
    elif not known.addressed:
        yield wrong("no channel is configured: alerts are recorded and not sent", _CONFIGURE)
    elif known.without_own:
        yield wrong(
            f"[jobmon] channels is empty: {counted(known.without_own, 'registered job')} without channels of their own "
            "cannot send alerts",
            _CONFIGURE,
        )
    elif installation.settings.unregistered_jobs != "ignore":
        yield warning("[jobmon] channels is empty: unregistered jobs cannot send alerts", _CONFIGURE)
    else:
        yield ok("every registered job names its own channels")


def each(installation: CheckedInstallation) -> Iterator[CheckResult]:
    """Every channel that alerts go to."""
    known = installation.fetch_one("channel_names")
    names = list(dict.fromkeys((*installation.settings.channels, *known.addressed, *known.notifiers)))
    history = {row.name: row for row in installation.fetch_all("channel_history", names=names)}
    for name in names:
        is_notifier = name in known.notifiers and name not in installation.settings.channels
        problem = None if is_notifier else _problem(name)
        yield problem or _last_deliveries(name, history.get(name), is_notifier=is_notifier)


def _problem(name: str) -> CheckResult | None:
    try:
        open_channel(name)
    except JobmonError as error:
        return from_error(error, about=name)
    except Exception as error:  # noqa: BLE001 - one channel must not hide the others
        return wrong(f"cannot be opened: {error_text(error)}", f"correct connection {name!r}", about=name)
    return None


def _last_deliveries(name: str, history: Any, *, is_notifier: bool) -> CheckResult:
    last_sent = f"last sent {roughly(history.since_sent)} ago" if history and history.since_sent else "nothing sent yet"
    correct = f"correct connection {name!r}" + (" (or the notifier of that name)" if is_notifier else "")
    if history and history.dead and history.last_dead:
        return wrong(
            f"refuses messages for good: {_shortened(history.dead_error or history.last_error)}; "
            f"{counted(history.dead, 'alert')} of the last 7 days dead, {last_sent}",
            f"{correct}, then send the dead alerts again: `airflow jobmon alerts --retry`",
            about=name,
        )
    if history and history.failures and history.last_failed:
        result = wrong if history.failures >= _FAILING else warning
        times = "once" if history.failures == 1 else f"{history.failures} times in a row"
        return result(
            f"failed {times}, last {roughly(history.since_error)} ago: {_shortened(history.last_error)}; {last_sent}",
            f"{correct}, unless the fault is on the other side; delivery is retried automatically",
            about=name,
        )
    if history and history.dead:
        return warning(
            f"works again ({last_sent}), but {counted(history.dead, 'alert')} of the last 7 days never arrived: "
            f"{_shortened(history.dead_error)}",
            "list them: `airflow jobmon alerts --state dead`; send them again: `airflow jobmon alerts --retry`",
            about=name,
        )
    what = "given as a notifier by a task" if is_notifier else "its connection is complete"
    return ok(f"{what}; {last_sent}", about=name)


def _shortened(error: str | None) -> str:
    return fit(one_line(error or "no reason given"), 160)
