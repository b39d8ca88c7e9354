"""`airflow jobmon deliver`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.command import command, ready_target, say
from airflow_jobmon.cli.output import Outcome


@command()
def deliver(args: Namespace) -> Outcome:
    from airflow_jobmon.runtime.deliver import deliver as deliver_due  # noqa: PLC0415 - psycopg, only when it runs

    target, settings = ready_target(args)
    report = deliver_due(target, settings)
    errors = {**report.errors, **report.unopened}
    for name, error in errors.items():
        say(f"channel {name}: {error}")
    rows = [
        {
            "channel": name,
            "sent": report.sent.get(name, 0),
            "alerts": report.alerts.get(name, 0),
            "failed": report.failed.get(name, 0),
            "dead": report.dead.get(name, 0),
            "error": errors.get(name),
        }
        for name in dict.fromkeys([*report.sent, *errors])
    ]
    return Outcome(rows, note=None if rows else "nothing is due", exit_code=1 if errors else 0)
