"""`airflow jobmon report`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.command import command, migrated_target, print_to_stderr
from airflow_jobmon.cli.output import CommandResult
from airflow_jobmon.core.rendering.report_text import report_text
from airflow_jobmon.errors import ConfigurationError


@command()
def report(args: Namespace) -> CommandResult:
    from airflow_jobmon.runtime.report import NO_CHANNEL, make_report, send_to_channels  # noqa: PLC0415 - psycopg, only when the command runs

    if args.channels is not None and not args.send:
        raise ConfigurationError("--channels selects where to send the report, but it is only printed; add --send")
    if args.kind == "daily" and args.keep_at:
        raise ConfigurationError(
            "--keep-at saves the page of the weekly review; the daily report has none, leave it out"
        )
    target, settings = migrated_target(args)
    made = make_report(target, settings, args.kind, keep_at=args.keep_at, page_url=args.page_url)
    if made.kept_at:
        print_to_stderr(f"kept at {made.kept_at}")
    failed: dict[str, str] = {}
    if args.send:
        sent = send_to_channels(target, made.report, settings, args.channels)
        failed = sent.failed
        for name, state in sent.states.items():
            print_to_stderr(f"channel {name}: {_STATE_TEXTS[state]}")
        for name, why in failed.items():
            print_to_stderr(f"channel {name}: {why}")
        if sent.has_no_channel:
            print_to_stderr(f"warning: {NO_CHANNEL}")
    text = report_text(made.report) if args.output in {"table", "plain"} else None
    return CommandResult(value=made.report.as_json(), text=text, exit_code=1 if failed else 0)


_STATE_TEXTS = {"sent": "sent", "open": "not accepted yet, will be retried", "dead": "refused for good"}
