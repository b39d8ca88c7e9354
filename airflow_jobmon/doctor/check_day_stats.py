"""The check of day counting: past days are counted once, so that statistics need not read the whole log each time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from airflow_jobmon.core.text import counted
from airflow_jobmon.core.times import roughly
from airflow_jobmon.doctor.installation import CheckedInstallation
from airflow_jobmon.doctor.result import CheckResult, ok, warning

_SLOW = "statistics count the other days from the log each time, which is correct but slow for a long log"
_NEW_INSTALLATION = timedelta(days=1)
"""Until this age, an installation may have no counted day yet."""


def counted_days(installation: CheckedInstallation) -> Iterator[CheckResult]:
    found = installation.fetch_one("counted_days")
    through = found.sealed_through
    behind = (found.cold - through).days if through else None
    if through is None and found.installed < _NEW_INSTALLATION:
        yield ok(f"none yet, {roughly(found.installed)} after the installation; watchers count days bit by bit")
    elif behind is not None and behind <= 1:
        yield ok(f"counted from {found.sealed_from} through {through}; later days can still change")
    else:
        yield warning(
            f"no day is counted; {_SLOW}"
            if behind is None
            else f"counted through {through}, {counted(behind, 'day')} behind; {_SLOW}",
            _next_step(found),
        )


def _next_step(found: Any) -> str:
    if not found.marked:
        return "see the check `change triggers`; once it is ok, the days are counted automatically"
    if not found.held:
        return "watchers count days: start one, or run `airflow jobmon check --record`, which counts some of them"
    waits = "counting waits for the end of transactions that may have changed those days"
    if found.pid is None:
        return waits
    return (
        f"{waits}; the longest open one is that of {found.who} ({roughly(found.age)}), end it with "
        f"SELECT pg_terminate_backend({found.pid})"
    )
