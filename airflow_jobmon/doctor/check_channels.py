"""Checks of where alerts go: whether each channel can be opened, and how its last deliveries went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_jobmon.core.text import counted, fit, one_line
from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.installation import Patient
from airflow_jobmon.doctor.result import Diagnosis, explained, listed, ok, reason, warning, wrong
from airflow_jobmon.errors import JobmonError
from airflow_jobmon.runtime.connections import open_channel

_FAILING = 3
"""Temporary failures in a row that are no hiccup any more."""

_NAME_THEM = "name Airflow connections in [jobmon] channels, like AIRFLOW__JOBMON__CHANNELS=slack_oncall,smtp_team"


def configured(patient: Patient) -> Iterator[Diagnosis]:
    """Whether every job has somewhere to alert."""
    known = patient.ask_one("channel_names")
    shared = list(dict.fromkeys((*patient.settings.channels, *known.notifiers)))
    if shared:
        yield ok(f"alerts go to {listed(shared, 10)}")
    elif not known.addressed:
        yield wrong("no channel is configured: alerts are recorded and told to nobody", _NAME_THEM)
    elif known.without_own:
        yield wrong(
            f"[jobmon] channels is empty: {counted(known.without_own, 'registered job')} without channels of their own "
            "alert nobody",
            _NAME_THEM,
        )
    elif patient.settings.unregistered_jobs != "ignore":
        yield warning("[jobmon] channels is empty: jobs that nobody registered alert nobody", _NAME_THEM)
    else:
        yield ok("every registered job names its own channels")


def each(patient: Patient) -> Iterator[Diagnosis]:
    """Every channel that alerts are, or would be, addressed to."""
    known = patient.ask_one("channel_names")
    names = list(dict.fromkeys((*patient.settings.channels, *known.addressed, *known.notifiers)))
    past = {row.name: row for row in patient.ask("channel_past", names=names)}
    for name in names:
        given_by_a_task = name in known.notifiers and name not in patient.settings.channels
        problem = None if given_by_a_task else _problem(name)
        yield problem or _past(name, past.get(name), given_by_a_task=given_by_a_task)


def _problem(name: str) -> Diagnosis | None:
    try:
        open_channel(name)
    except JobmonError as error:
        return explained(error, about=name)
    except Exception as error:  # noqa: BLE001 - one channel's trouble must not hide another's
        return wrong(f"cannot be opened: {reason(error)}", f"correct connection {name!r}", about=name)
    return None


def _past(name: str, past: Any, *, given_by_a_task: bool) -> Diagnosis:
    last_sent = f"last sent {roughly(past.since_sent)} ago" if past and past.since_sent else "nothing was sent yet"
    mend = (
        f"correct connection {name!r} (or the notifier of that name)"
        if given_by_a_task
        else f"correct connection {name!r}"
    )
    if past and past.dead and past.last_dead:
        return wrong(
            f"refuses messages for good: {_cut(past.dead_error or past.last_error)}; "
            f"{counted(past.dead, 'alert')} of the last 7 days dead, {last_sent}",
            f"{mend}, then send them again: `airflow jobmon alerts --retry`",
            about=name,
        )
    if past and past.failures and past.last_failed:
        say = wrong if past.failures >= _FAILING else warning
        times = "1 time" if past.failures == 1 else f"{past.failures} times in a row"
        return say(
            f"failed {times}, last {roughly(past.since_error)} ago: {_cut(past.last_error)}; {last_sent}",
            f"{mend} unless it is the other side; it is tried again by itself",
            about=name,
        )
    if past and past.dead:
        return warning(
            f"works again ({last_sent}), but {counted(past.dead, 'alert')} of the last 7 days never arrived: "
            f"{_cut(past.dead_error)}",
            "look at them: `airflow jobmon alerts --state dead`; send them again: `airflow jobmon alerts --retry`",
            about=name,
        )
    what = "given as a notifier by a task" if given_by_a_task else "its connection is complete"
    return ok(f"{what}; {last_sent}", about=name)


def _cut(error: str | None) -> str:
    return fit(one_line(error or "no reason was given"), 160)
