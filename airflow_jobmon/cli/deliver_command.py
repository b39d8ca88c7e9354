"""`airflow jobmon deliver`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.command import command, migrated_target, print_to_stderr
from airflow_jobmon.cli.output import CommandResult


@command()
def deliver(args: Namespace) -> CommandResult:
    from airflow_jobmon.runtime.deliver import deliver as deliver_due  # noqa: PLC0415 - psycopg, only when the command runs

    target, settings = migrated_target(args)
    report = deliver_due(target, settings)
    errors = {**report.errors, **report.unopened}
    for name, error in errors.items():
        print_to_stderr(f"channel {name}: {error}")
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
    return CommandResult(rows, note=None if rows else "nothing is due", exit_code=1 if errors else 0)
