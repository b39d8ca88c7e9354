"""`airflow jobmon report`."""

from __future__ import annotations

from argparse import Namespace

from airflow_jobmon.cli.command import command, ready_target, say
from airflow_jobmon.cli.output import Outcome
from airflow_jobmon.core.rendering.report_text import report_text
from airflow_jobmon.errors import ConfigurationError


@command()
def report(args: Namespace) -> Outcome:
    from airflow_jobmon.runtime.report import SENT_NOWHERE, announce, make_report  # noqa: PLC0415 - psycopg, only when it runs

    if args.channels is not None and not args.send:
        raise ConfigurationError("--channels says where to send it, and it is only printed; add --send")
    if args.kind == "daily" and args.keep_at:
        raise ConfigurationError("--keep-at keeps the weekly review's page; the daily report has none, leave it out")
    target, settings = ready_target(args)
    made = make_report(target, settings, args.kind, keep_at=args.keep_at, page_url=args.page_url)
    if made.kept_at:
        say(f"kept at {made.kept_at}")
    failed: dict[str, str] = {}
    if args.send:
        told = announce(target, made.report, settings, args.channels)
        failed = told.failed
        for name, state in told.states.items():
            say(f"channel {name}: {_WORDS[state]}")
        for name, why in failed.items():
            say(f"channel {name}: {why}")
        if told.nowhere:
            say(f"warning: {SENT_NOWHERE}")
    text = report_text(made.report) if args.output in {"table", "plain"} else None
    return Outcome(value=made.report.as_json(), text=text, exit_code=1 if failed else 0)


_WORDS = {"sent": "sent", "open": "did not take it yet; whoever delivers tries again", "dead": "refused for good"}
