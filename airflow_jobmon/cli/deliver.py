"""`airflow jobmon deliver`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.output import Outcome
from airflow_jobmon.cli.running import channels_of, command, database, say, target_of


@command()
def deliver(args: Namespace) -> Outcome:
    from airflow_jobmon.delivery import deliver_due  # noqa: PLC0415 - psycopg, only when it runs

    with database(args) as (conn, settings):
        channels, problems = channels_of(conn, settings)
    target, _ = target_of(args)
    report = deliver_due(target, channels)
    errors = {**report.errors, **problems}
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
        for name in [*channels, *problems]
    ]
    note = None if rows else "no channels are configured; name some in [jobmon] channels"
    return Outcome(rows, note=note, exit_code=1 if errors or not rows else 0)
