"""`airflow jobmon doctor`."""

from __future__ import annotations

import atexit
import os
import sys
from argparse import Namespace

from airflow_jobmon import settings as jobmon_settings
from airflow_jobmon.cli.command import command
from airflow_jobmon.cli.output import CommandResult

_WHOLE = 1000
"""Characters: advice that is cut is none."""


@command()
def doctor(args: Namespace) -> CommandResult:
    from airflow_jobmon.doctor.checks import examine  # noqa: PLC0415
    from airflow_jobmon.doctor.result import State  # noqa: PLC0415 - psycopg, only when it runs

    settings = jobmon_settings.load()
    examination = examine(args.conn_id or settings.conn_id, settings)
    results = examination.results
    worst_first = list(State)
    results.sort(key=lambda result: worst_first.index(result.diagnosis.state))
    counts = {state: sum(result.diagnosis.state is state for result in results) for state in State}
    exit_code = 1 if counts[State.WRONG] else 0
    if examination.abandoned:
        atexit.register(_leave, exit_code)
    return CommandResult(
        rows=[
            {
                "check": f"{result.check} {result.diagnosis.about}".strip(),
                "state": result.diagnosis.state.value,
                "seen": result.diagnosis.seen,
                "next": result.diagnosis.advice,
            }
            for result in results
        ],
        note=", ".join(f"{counts[state]} {state}" for state in State if counts[state]),
        max_cell=_WHOLE,
        exit_code=exit_code,
    )


def _leave(exit_code: int) -> None:
    """End without Airflow's own way of ending, which fails over a session that hangs in a thread."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
