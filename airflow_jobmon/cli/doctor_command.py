"""`airflow jobmon doctor`."""

from __future__ import annotations

import atexit
import os
import sys
from argparse import Namespace

from airflow_jobmon import settings as jobmon_settings
from airflow_jobmon.cli.command import command
from airflow_jobmon.cli.output import CommandResult

_MAX_CELL = 1000
"""Characters, so that no advice is cut."""


@command()
def doctor(args: Namespace) -> CommandResult:
    from airflow_jobmon.doctor.result import CheckState  # noqa: PLC0415 - psycopg, only when the command runs
    from airflow_jobmon.doctor.runner import run_all_checks  # noqa: PLC0415

    settings = jobmon_settings.load()
    report = run_all_checks(args.conn_id or settings.conn_id, settings)
    worst_first = list(CheckState)
    results = sorted(report.results, key=lambda result: worst_first.index(result.state))
    counts = {state: sum(result.state is state for result in results) for state in CheckState}
    exit_code = 1 if counts[CheckState.WRONG] else 0
    if report.abandoned:
        atexit.register(_exit_at_once, exit_code)
    return CommandResult(
        rows=[
            {
                "check": f"{result.check} {result.about}".strip(),
                "state": result.state.value,
                "seen": result.seen,
                "next": result.advice,
            }
            for result in results
        ],
        note=", ".join(f"{counts[state]} {state}" for state in CheckState if counts[state]),
        max_cell=_MAX_CELL,
        exit_code=exit_code,
    )


def _exit_at_once(exit_code: int) -> None:
    """Exit without Airflow's own exit handlers, which fail if a session hangs in a thread."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
